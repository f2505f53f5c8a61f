"""What the Train dock trains on: a dataset folder, or pairs of layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image, Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.dataset import Subset, list_pairs
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.components.run_bar import compact_form_layout, wrapping_label
from napari_unet3d.widgets.forms.path_edit import PathEdit
from napari_unet3d.widgets.forms.radio_row import RadioRow
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.qt_dock import QtDock as Dock


class SourceKind(ChoiceEnum):
    """What is trained on."""

    FOLDER = "folder"
    LAYERS = "layers"

    @property
    def label(self) -> str:
        """The text on its button."""
        return "Dataset folder" if self is SourceKind.FOLDER else super().label


_TOOLTIPS = {
    SourceKind.FOLDER: "Train on the training volumes of a dataset folder.",
    SourceKind.LAYERS: "Train on volumes that are open in the viewer, with labels that you paint.",
}


class TrainingSource(QWidget):
    """Choice between a dataset folder and pairs of an Image and a Labels layer.

    Parameters
    ----------
    dock : Dock
        Makes the menus of layers and keeps them fresh.

    Attributes
    ----------
    changed : Signal()
        Emitted after the user chose another source, folder or pair.
    """

    changed = Signal()

    def __init__(self, dock: Dock) -> None:
        super().__init__()
        self._choice = RadioRow(_TOOLTIPS, "train-source")
        self.layers_button = self._choice.buttons[SourceKind.LAYERS]
        self.folder = PathEdit("d", "dataset", "The folder with train/images and train/labels.")
        self.found = wrapping_label()
        self.image = dock.layer_box(Image, "The volume to learn from.")
        self.labels = dock.layer_box(Labels, "What is to be found in it; the settings say what its values mean.")
        self.pairs: list[tuple[Image, Labels]] = []
        self._viewer = dock.viewer
        self._folder_page, self._layers_page = self._make_folder_page(), self._make_layers_page()
        self._lay_out()
        self._choice.chosen.connect(self._on_change)
        self.folder.changed.connect(self._on_change)
        self._on_change()

    @property
    def from_layers(self) -> bool:
        """Whether layers are chosen instead of a folder."""
        return self._choice.value is SourceKind.LAYERS

    @property
    def dataset(self) -> Path | None:
        """The dataset folder, or None while layers are chosen or the line is empty."""
        return None if self.from_layers else self.folder.value

    @property
    def is_empty(self) -> bool:
        """Whether neither the folder nor the viewer holds anything to train on."""
        no_layers = self.image.value is None or self.labels.value is None
        return no_layers and not self.pairs and not self._n_volumes(Subset.TRAIN)

    def data(self) -> Path | tuple[Sample, ...]:
        """Return what `train` takes.

        Raises
        ------
        UserError
            When nothing is chosen, or a layer is no volume with labels.
        """
        if not self.from_layers:
            return self.folder.require("the folder of a dataset")
        self.forget_lost_layers()
        if self.pairs:
            return tuple(sample_from_layers(image, labels) for image, labels in self.pairs)
        return (self._chosen_sample(),)

    def labels_of(self, name: str) -> list[Labels]:
        """Return the Labels layers that are paired with the image layer of a name; none while a folder is chosen."""
        pairs = self.pairs or [(self.image.value, self.labels.value)]
        return [labels for image, labels in pairs if self.from_layers and image and labels and image.name == name]

    def use_folder(self, folder: Path) -> None:
        """Choose a dataset folder."""
        self._choose(SourceKind.FOLDER)
        self.folder.value = folder

    def use_layers(self) -> None:
        """Choose layers."""
        self._choose(SourceKind.LAYERS)

    def prefer_what_is_there(self) -> None:
        """Choose layers while only the viewer, or the folder while only it, holds something to train on."""
        has_layers = self.image.value is not None and self.labels.value is not None
        has_folder = self._n_volumes(Subset.TRAIN) > 0
        if has_layers != has_folder:
            self._choice.value = SourceKind.LAYERS if has_layers else SourceKind.FOLDER
            self._on_change()

    def forget_lost_layers(self) -> None:
        """Drop pairs whose layers left the viewer."""
        there = list(self._viewer.layers)
        self.pairs = [pair for pair in self.pairs if pair[0] in there and pair[1] in there]
        self._show_pairs()

    def _chosen_sample(self) -> Sample:
        if self.labels.value is None:
            raise UserError("No labels layer is chosen; label some objects in a new Labels layer, then choose it.")
        return sample_from_layers(self.image.value, self.labels.value)

    def _n_volumes(self, part: Subset) -> int:
        if (folder := self.folder.value) is None:
            return 0
        try:
            return sum(None not in (pair.image, pair.labels) for pair in list_pairs(folder, part))
        except UserError:  # it is said below the line, and again when training starts
            return 0

    def _add_pair(self) -> None:
        pair = (self.image.value, self.labels.value)
        if None not in pair and pair not in self.pairs:
            self.pairs.append(pair)
        self._show_pairs()
        self.changed.emit()

    def _remove_pair(self) -> None:
        if (row := self.pair_list.currentRow()) >= 0:
            del self.pairs[row]
        self._show_pairs()
        self.changed.emit()

    def _show_pairs(self) -> None:
        self.pair_list.clear()
        self.pair_list.addItems([f"{image.name}  +  {labels.name}" for image, labels in self.pairs])
        self.pair_list.setVisible(bool(self.pairs))
        self.pair_list.setFixedHeight(6 + 22 * min(4, max(1, len(self.pairs))))
        self.remove_button.setVisible(bool(self.pairs))

    def _choose(self, kind: SourceKind) -> None:
        self._choice.value = kind
        self._choice.keep()
        self._on_change()

    def _on_change(self) -> None:
        self._folder_page.setVisible(not self.from_layers)
        self._layers_page.setVisible(self.from_layers)
        self.found.setText(self._found_words())
        self.changed.emit()

    def _found_words(self) -> str:
        folder = self.folder.value
        if folder is None:
            return ""
        if not folder.is_dir():
            return "This folder does not exist."
        try:
            list_pairs(folder)
        except UserError as error:
            return str(error)
        n_test = self._n_volumes(Subset.TEST)
        return f"{self._n_volumes(Subset.TRAIN)} training, {n_test} test volume{'' if n_test == 1 else 's'}"

    def _make_folder_page(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.folder.native)
        column.addWidget(self.found)
        return page

    def _make_layers_page(self) -> QWidget:
        self.add_button, self.remove_button = QPushButton("Add pair"), QPushButton("Remove")
        self.add_button.setToolTip("Train on several pairs: choose the next two layers and add them, too.")
        self.add_button.clicked.connect(self._add_pair)
        self.remove_button.clicked.connect(self._remove_pair)
        self.remove_button.setToolTip("Take the selected pair off the list; its layers stay.")
        self.pair_list = QListWidget()
        self.pair_list.setToolTip("The pairs of image and labels that are trained on.")
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        rows = compact_form_layout()
        rows.addRow("Image", self.image.native)
        rows.addRow("Labels", self.labels.native)
        column.addLayout(rows)
        column.addWidget(self.pair_list)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.remove_button)
        buttons.addWidget(self.add_button)
        column.addLayout(buttons)
        self._show_pairs()
        return page

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self._choice.native)
        column.addWidget(self._folder_page)
        column.addWidget(self._layers_page)
