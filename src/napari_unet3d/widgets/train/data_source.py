"""What the Train dock trains on: a dataset folder, or pairs of layers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from napari.layers import Image, Labels
from psygnal import Signal

from napari_unet3d.configs import FourthAxis
from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.dataset import Subset, list_pairs
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.formatting import format_count
from napari_unet3d.widgets.components.containers import Panel, column, show_text, wrapping_label
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.files_voxel_size import DatasetVoxelSizeRow
from napari_unet3d.widgets.forms.choices import RadioChoice
from napari_unet3d.widgets.forms.paths import PathEdit
from napari_unet3d.widgets.train.layer_pairs import LayerPairs
from napari_unet3d.widgets.viewer.layer_metadata import dataset_of_layer


class SourceKind(ChoiceEnum):
    """What is trained on."""

    FOLDER = "folder"
    LAYERS = "layers"

    @property
    def label(self) -> str:
        """The text of its button."""
        return "Dataset folder" if self is SourceKind.FOLDER else super().label


_TOOLTIPS = {
    SourceKind.FOLDER: "Train on the training volumes of a dataset folder.",
    SourceKind.LAYERS: "Train on volumes that are open in the viewer, with labels that you paint.",
}


class TrainingSource(Panel):
    """Choice between a dataset folder and pairs of an Image and a Labels layer.

    Parameters
    ----------
    context : Context
        The viewer whose layers are offered.

    Attributes
    ----------
    source_changed : Signal()
        Emitted after another source, folder or pair was chosen.
    kind : RadioChoice
        ``"folder"`` or ``"layers"``.
    dataset : PathEdit
        The dataset folder.
    layers : LayerPairs
        The layers to train on: ``layers.add_pair()`` adds the chosen ones to ``layers.pairs``.
    image_layer, labels_layer : ComboBox
        The menus of the layers.
    voxel_size : VoxelSizeRow
        The voxel size of the image layer.
    voxel_sizes : DatasetVoxelSizeRow
        The voxel sizes of the training volumes of the dataset.
    channels : ChannelList
        The layers of further channels of the image.
    """

    source_changed = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__(spacing=4)
        self.kind = RadioChoice(_TOOLTIPS, "train-source")
        self.dataset = PathEdit("d", "dataset", "The folder with train/images and train/labels.")
        self.found = wrapping_label()
        self.voxel_sizes = DatasetVoxelSizeRow(context, "train", self.dataset, Subset.TRAIN)
        self.layers = LayerPairs(context)
        self.image_layer, self.labels_layer = self.layers.image_layer, self.layers.labels_layer
        self.channels, self.voxel_size = self.layers.channels, self.layers.voxel_size
        self._folder_page = column(self.dataset, self.found, self.voxel_sizes, spacing=4)
        self.lay_out(self.kind, self._folder_page, self.layers)
        self.kind.changed.connect(self._on_change)
        self.dataset.changed.connect(self._on_change)
        self.layers.pairs_changed.connect(self.source_changed)
        self._on_change()

    @property
    def from_layers(self) -> bool:
        """Whether layers are chosen instead of a folder."""
        return bool(self.kind.value is SourceKind.LAYERS)

    @property
    def folder(self) -> Path | None:
        """The dataset folder, or None while layers are chosen or the line is empty."""
        return None if self.from_layers else self.dataset.value

    @property
    def is_empty(self) -> bool:
        """Whether neither the folder nor the viewer holds anything to train on."""
        return self.layers.is_empty and not self._n_volumes(Subset.TRAIN)

    @property
    def can_convert(self) -> bool:
        """Whether an Image layer is offered that holds labels."""
        return self.layers.convert.image is not None

    def data(self, fourth_axis: FourthAxis = FourthAxis.AUTO) -> Path | tuple[Sample, ...]:
        """Return what `train` takes; of layers of several time points each of them.

        Parameters
        ----------
        fourth_axis : FourthAxis
            What the axis of layers beside z, y and x is.

        Raises
        ------
        UserError
            When nothing is chosen, or a layer is no volume with labels.
        """
        if not self.from_layers:
            return self.dataset.require("the folder of a dataset")
        return self.layers.samples(fourth_axis)

    def labels_of(self, name: str) -> list[Labels]:
        """Return the Labels layers that are paired with the image layer of a name; none while a folder is chosen."""
        return self.layers.labels_of(name) if self.from_layers else []

    def known_datasets(self) -> list[Path]:
        """Return the dataset folders that the chosen layers may be from; none while a folder is chosen."""
        if not self.from_layers:
            return []
        folders = [self.dataset.value, *map(dataset_of_layer, self.layers.chosen_layers())]
        return [folder for folder in folders if folder is not None]

    def labels_layers(self) -> list[Labels]:
        """Return the Labels layers that are trained on; none while a folder is chosen."""
        return self.layers.labels_layers() if self.from_layers else []

    def use_folder(self, folder: Path) -> None:
        """Choose a dataset folder."""
        self.kind.value = SourceKind.FOLDER
        self.kind.is_chosen = True
        self.dataset.value = folder

    def show_folder(self, folder: Path, *, is_shared: bool = False) -> None:
        """Choose a dataset folder that the user has not named, which is not remembered.

        Parameters
        ----------
        folder : Path
            Such as the dataset of an earlier run.
        is_shared : bool
            Whether other docks of this session show it, too.
        """
        self.kind.prefer(SourceKind.FOLDER)
        self.kind.is_chosen = True
        self.dataset.offer(folder, is_shared=is_shared)
        self._on_change()

    def use_layers(
        self, image: Image | None = None, labels: Labels | None = None, channels: Sequence[Image] = ()
    ) -> None:
        """Choose layers: those of one volume instead of what was chosen before, if they are given."""
        self.kind.value = SourceKind.LAYERS
        if image is not None and labels is not None:
            self.layers.choose(image, labels, channels)
        self._on_change()

    def prefer_available(self) -> None:
        """Choose layers if the viewer holds an image with labels, or else a folder with volumes, unless one was chosen.

        Of several layers, the selected ones are chosen, then those that were opened last.
        """
        self.layers.prefer_available()
        if self.kind.is_chosen:
            return
        has_layers = self.layers.is_chosen or self.can_convert
        kind = SourceKind.LAYERS if has_layers else SourceKind.FOLDER
        if kind is not self.kind.value and (has_layers or self._n_volumes(Subset.TRAIN) > 0):
            self.kind.prefer(kind)
            self._on_change()

    def _n_volumes(self, subset: Subset) -> int:
        if (folder := self.dataset.value) is None:
            return 0
        try:
            return sum(None not in (pair.image, pair.labels) for pair in list_pairs(folder, subset))
        except UserError:  # shown below the line, and again when training starts
            return 0

    def _on_change(self) -> None:
        self._folder_page.visible, self.layers.visible = not self.from_layers, self.from_layers
        show_text(self.found, self._found_text())
        self.source_changed.emit()

    def _found_text(self) -> str:
        folder = self.dataset.value
        if folder is None:
            return ""
        if not os.path.isdir(folder):
            return "This folder does not exist."
        try:
            list_pairs(folder)
        except UserError as error:
            return str(error)
        n_test = self._n_volumes(Subset.TEST)
        return f"{self._n_volumes(Subset.TRAIN)} training, {format_count(n_test, 'test volume')}"
