"""What the Train dock trains on: a dataset folder, or pairs of layers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from magicgui.widgets import Select
from napari.layers import Image, Labels
from psygnal import Signal

from napari_unet3d.configs import FourthAxis
from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.dataset import Subset, list_pairs
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.formatting import format_count
from napari_unet3d.widgets.components.containers import Panel, button, column, row, show_text, wrapping_label
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.files_voxel_size import DatasetVoxelSizeRow
from napari_unet3d.widgets.components.voxel_size_row import VoxelSizeRow
from napari_unet3d.widgets.forms.channel_list import ChannelList
from napari_unet3d.widgets.forms.choices import RadioChoice
from napari_unet3d.widgets.forms.layer_menu import layer_menu, prefer_pair
from napari_unet3d.widgets.forms.paths import PathEdit
from napari_unet3d.widgets.viewer.channel_layers import names_of
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.layer_metadata import dataset_of_layer
from napari_unet3d.widgets.viewer.time_layers import series_of_layers

_ROW_HEIGHT = 22


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
    image_layer, labels_layer : ComboBox
        The layers to train on, or to add as a pair.
    voxel_size : VoxelSizeRow
        The voxel size of the image layer.
    voxel_sizes : DatasetVoxelSizeRow
        The voxel sizes of the training volumes of the dataset.
    channels : ChannelList
        The layers of further channels of the image.
    pairs : list of (Image, Labels)
        The pairs that were added; without any, the chosen layers are the only pair.
    """

    source_changed = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__(spacing=4)
        self._viewer = context.viewer
        self.kind = RadioChoice(_TOOLTIPS, "train-source")
        self.dataset = PathEdit("d", "dataset", "The folder with train/images and train/labels.")
        self.found = wrapping_label()
        self.voxel_sizes = DatasetVoxelSizeRow(context, "train", self.dataset, Subset.TRAIN)
        self.image_layer = layer_menu(self._viewer, Image, "The volume to train on.", label="Image")
        self.channels = ChannelList(self._viewer, self.image_layer)
        self.labels_layer = layer_menu(
            self._viewer, Labels, "Its ground truth; the settings define what the label values mean.", label="Labels"
        )
        self.voxel_size = VoxelSizeRow(context, self.image_layer)
        self.pairs: list[tuple[Image, Labels]] = []
        self._further: dict[tuple[Image, Labels], tuple[Image, ...]] = {}
        self._lay_out()
        self.kind.changed.connect(self._on_change)
        self.dataset.changed.connect(self._on_change)
        self._show_pairs()
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
        return not self._has_layers and not self.pairs and not self._n_volumes(Subset.TRAIN)

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
        self.forget_removed_layers()
        pairs = self.pairs or [(self.image_layer.value, self.labels_layer.value)]
        if pairs[0][1] is None:
            raise UserError("No labels layer is chosen; label some objects in a new Labels layer, then choose it.")
        return tuple(sample for pair in pairs for sample in self._samples_of(pair, fourth_axis))

    def _samples_of(self, pair: tuple[Image, Labels], fourth_axis: FourthAxis) -> Iterator[Sample]:
        layers = *pair, self._channels_of(pair)[1:]
        series = series_of_layers(*layers, fourth_axis, self._viewer)
        if series is None:
            yield sample_from_layers(*layers, has_channels=fourth_axis is FourthAxis.CHANNELS)
        else:
            yield from map(series.sample, range(series.n_times))

    def labels_of(self, name: str) -> list[Labels]:
        """Return the Labels layers that are paired with the image layer of a name; none while a folder is chosen."""
        pairs = self.pairs or [(self.image_layer.value, self.labels_layer.value)]
        chosen = [pair for pair in pairs if self.from_layers and None not in pair]
        return [pair[1] for pair in chosen if name in (pair[0].name, names_of(self._channels_of(pair))[0])]

    def known_datasets(self) -> list[Path]:
        """Return the dataset folders that the chosen layers may be from; none while a folder is chosen."""
        if not self.from_layers:
            return []
        pairs = self.pairs or [(self.image_layer.value, self.labels_layer.value)]
        layers = [layer for pair in pairs for layer in (*self._channels_of(pair), pair[1]) if layer is not None]
        folders = [self.dataset.value, *map(dataset_of_layer, layers)]
        return [folder for folder in folders if folder is not None]

    def labels_layers(self) -> list[Labels]:
        """Return the Labels layers that are trained on; none while a folder is chosen."""
        pairs = self.pairs or [(self.image_layer.value, self.labels_layer.value)]
        return [labels for _, labels in pairs if self.from_layers and labels is not None]

    def _channels_of(self, pair: tuple[Image, Labels]) -> list[Image]:
        """Return the layers of all channels of a pair that was added, or else of the one that is chosen."""
        if pair in self.pairs:
            further = self._further.get(pair, ())
            return [pair[0], *(layer for layer in further if layer in self._viewer.layers)]
        return self.channels.layers

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
            self.pairs.clear()
            self._show_pairs()
            self.reset_choices()  # a new layer may not be in the menus yet
            self.image_layer.value, self.labels_layer.value = image, labels
            self.channels.choose(list(channels))
        self._on_change()

    def prefer_available(self) -> None:
        """Choose layers if the viewer holds an image with labels, or else a folder with volumes, unless one was chosen.

        Of several layers, the selected ones are chosen, then those that were opened last.
        """
        prefer_pair(self._viewer, self.image_layer, self.labels_layer)
        if self.kind.is_chosen:
            return
        kind = SourceKind.LAYERS if self._has_layers else SourceKind.FOLDER
        if kind is not self.kind.value and (self._has_layers or self._n_volumes(Subset.TRAIN) > 0):
            self.kind.prefer(kind)
            self._on_change()

    def reset_choices(self, *_: Any) -> None:
        """Update the layer menus, and drop pairs whose layers left the viewer."""
        super().reset_choices()
        self.forget_removed_layers()

    def forget_removed_layers(self) -> None:
        """Drop pairs whose layers left the viewer."""
        present = list(self._viewer.layers)
        self.pairs = [pair for pair in self.pairs if pair[0] in present and pair[1] in present]
        self._show_pairs()

    def add_pair(self) -> None:
        """Add the chosen layers to the pairs."""
        pair = (self.image_layer.value, self.labels_layer.value)
        if None not in pair and pair not in self.pairs:
            self.pairs.append(pair)
            self._further[pair] = tuple(self.channels.layers[1:])
        self._show_pairs()
        self.source_changed.emit()

    def remove_pairs(self) -> None:
        """Remove the selected pairs from the list."""
        selected = self.pair_list.value
        self.pairs = [pair for index, pair in enumerate(self.pairs) if index not in selected]
        self._show_pairs()
        self.source_changed.emit()

    @property
    def _has_layers(self) -> bool:
        return self.image_layer.value is not None and self.labels_layer.value is not None

    def _n_volumes(self, subset: Subset) -> int:
        if (folder := self.dataset.value) is None:
            return 0
        try:
            return sum(None not in (pair.image, pair.labels) for pair in list_pairs(folder, subset))
        except UserError:  # shown below the line, and again when training starts
            return 0

    def _pair_choices(self, _list: Any) -> list[tuple[str, int]]:
        names = [", ".join(layer.name for layer in self._channels_of(pair)) for pair in self.pairs]
        return [
            (f"{name}  +  {pair[1].name}", index)
            for index, (name, pair) in enumerate(zip(names, self.pairs, strict=True))
        ]

    def _show_pairs(self) -> None:
        self.pair_list.reset_choices()
        self.pair_list.native.setFixedHeight(6 + _ROW_HEIGHT * min(4, max(1, len(self.pairs))))
        self.pair_list.visible = self.remove_button.visible = bool(self.pairs)

    def _on_change(self) -> None:
        self._folder_page.visible, self._layers_page.visible = not self.from_layers, self.from_layers
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

    def _lay_out(self) -> None:
        self.add_button = button(
            "Add pair", "Train on several pairs: choose the next two layers and add them, too.", self.add_pair
        )
        self.remove_button = button(
            "Remove", "Remove the selected pairs from the list; their layers stay.", self.remove_pairs
        )
        self.pair_list = Select(choices=self._pair_choices, tooltip="The pairs of image and labels to train on.")
        menus = column(self.image_layer, self.channels, self.labels_layer, labels=True, spacing=4)
        self._folder_page = column(self.dataset, self.found, self.voxel_sizes, spacing=4)
        self._layers_page = column(
            menus, self.voxel_size, self.pair_list, row(self.remove_button, self.add_button), spacing=4
        )
        self.lay_out(self.kind, self._folder_page, self._layers_page)
