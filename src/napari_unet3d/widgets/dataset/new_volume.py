"""The part of the Dataset dock that adds layers to the dataset as a new volume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from napari.layers import Image, Labels, Layer

from napari_unet3d.data.pairs import Pair, Subset
from napari_unet3d.data.time_points import series_of
from napari_unet3d.errors import UserError
from napari_unet3d.session.dataset_volumes import has_volume, named_for
from napari_unet3d.session.shared_volumes import SharedVolume, add_series_unless_shared, add_unless_shared
from napari_unet3d.widgets.components.containers import Panel, button, column, row
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dialogs import confirm
from napari_unet3d.widgets.components.voxel_size_row import VoxelSizeRow
from napari_unet3d.widgets.forms.channel_list import ChannelList
from napari_unet3d.widgets.forms.convert_row import ConvertRow
from napari_unet3d.widgets.forms.layer_menu import layer_menu, prefer_pair
from napari_unet3d.widgets.forms.paths import PathEdit
from napari_unet3d.widgets.viewer.connections import connect_while_alive
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.time_layers import LayerSeries, series_of_layers


class NewVolume(Panel):
    """Writes layers to a dataset, after a question where that replaces a volume or both subsets show the same.

    Parameters
    ----------
    context : Context
        Viewer, jobs and message line.
    kind : str
        The kind of the jobs of the dock.
    folder : PathEdit
        The dataset folder.

    Attributes
    ----------
    image_layer, labels_layer : ComboBox
        The layers that `add` writes.
    channels : ChannelList
        The layers of further channels of the image.
    voxel_size : VoxelSizeRow
        The voxel size of the image.
    convert : ConvertRow
        Makes labels of an Image layer that holds some.
    train_button, test_button : PushButton
        Add the layers to a subset.
    """

    def __init__(self, context: Context, kind: str, folder: PathEdit) -> None:
        self._context, self._viewer, self._kind, self._folder = context, context.viewer, kind, folder
        self._notices = ""  # of the layers that are being added
        self._asked: SharedVolume | None = None
        self._again: Callable[[], object] | None = None  # adds the volume that was asked about
        self.image_layer = layer_menu(
            self._viewer, Image, "The image of the new volume; its name becomes the file's.", label="Image"
        )
        self.channels = ChannelList(self._viewer, self.image_layer)
        self.labels_layer = layer_menu(
            self._viewer, Labels, "The labels of the new volume, of the same shape.", label="Labels"
        )
        self.voxel_size = VoxelSizeRow(context, self.image_layer)
        self.convert = ConvertRow(context, self.labels_layer, self.image_layer)
        self.train_button = button(
            "Add to training set", "Write both layers to train/.", partial(self.add, Subset.TRAIN)
        )
        self.test_button = button("Add to test set", "Write both layers to test/.", partial(self.add, Subset.TEST))
        super().__init__(
            column(self.image_layer, self.channels, self.labels_layer, labels=True),
            self.convert,
            self.voxel_size,
            row(self.train_button, self.test_button),
        )
        self.prefer_available()
        connect_while_alive(self.native, self._viewer.layers.selection.events.changed, self._choose_selected)

    def prefer_available(self) -> None:
        """Choose the image and the labels that a person is likely to mean, unless others were chosen."""
        prefer_pair(self._viewer, self.image_layer, self.labels_layer)

    def choose(self, image: Layer, labels: Layer | None) -> None:
        """Choose layers."""
        self.image_layer.value, self.labels_layer.value = image, labels

    def add(self, subset: Subset | str) -> None:
        """Write the chosen layers to the dataset, after a question where they replace a volume.

        Parameters
        ----------
        subset : Subset
            ``"train"`` or ``"test"``.
        """
        with self._context.message.explaining():
            subset, folder = Subset(subset), self._folder.require("a folder for the dataset")
            if (labels := self.labels_layer.value) is None:
                raise UserError("No labels layer is chosen; add one with 'New labels layer' and paint the objects.")
            layers = self.image_layer.value, labels, self.channels.layers[1:]
            if (series := series_of_layers(*layers, viewer=self._viewer)) is not None:
                self._add_series(folder, series, subset)
                return
            sample = named_for(subset, sample_from_layers(*layers))
            overwrite = has_volume(folder, subset, sample.name)
            question = f"The {subset} subset already has a volume '{sample.name}'. Replace it?"
            if overwrite and not confirm(self.native, "Replace volume?", question):
                return
            self._notices = " ".join(sample.notices)
            self._start(sample.name, partial(add_unless_shared, folder, sample, subset, overwrite))

    def show_added(self, pair: Pair) -> None:
        """Show that a volume was added, with the notices of its layers."""
        added, notices = f"Added '{pair.name}' to {pair.subset}.", self._notices
        self._context.message.show_message(f"{added} {notices}".rstrip(), "warning" if notices else "info")
        self._notices = ""

    def take_shared(self, shared: SharedVolume) -> None:
        """Take note that the other subset shows the same as a volume, which was therefore not added."""
        self._asked = shared  # once the job has ended

    def ask(self, *, has_failed: bool) -> None:
        """Ask at the end of a job whether such a volume is to be added all the same; not if the job has failed."""
        shared, self._asked = self._asked, None
        if shared is None or has_failed:
            return
        title = f"Add to the {'training' if shared.subset is Subset.TRAIN else 'test'} set?"
        if self._again is not None and confirm(self.native, title, shared.question):
            with self._context.message.explaining():
                self._again()
        else:
            self._context.message.show_message(f"'{shared.name}' was not added; the dataset is as it was.")

    def _start(self, name: str, work: Callable[..., Iterator[Pair | SharedVolume]]) -> None:
        """Add volumes, and once more if the user accepts that the other subset shows the same."""
        start = partial(self._context.jobs.start, self._kind, f"Add {name}")
        self._asked, self._again = None, partial(start, partial(work, is_accepted=True))
        start(work)

    def _add_series(self, folder: Path, series: LayerSeries, subset: Subset) -> None:
        """Write each time point as a volume, after a question where they replace others."""
        first = named_for(subset, series.sample(0))
        name = series_of(first.name)
        overwrite = has_volume(folder, subset, first.name)
        question = f"The {subset} subset already has time points of '{name}'. Replace them?"
        if overwrite and not confirm(self.native, "Replace volumes?", question):
            return
        self._notices = " ".join(first.notices)
        work = partial(add_series_unless_shared, folder, series.sample, series.n_times, subset, overwrite)
        self._start(name, work)

    def _choose_selected(self, *_: object) -> None:
        for menu, kind in ((self.image_layer, Image), (self.labels_layer, Labels)):
            selected = [layer for layer in self._viewer.layers.selection if isinstance(layer, kind)]
            if selected and selected[0] in menu.choices:
                menu.value = selected[0]
