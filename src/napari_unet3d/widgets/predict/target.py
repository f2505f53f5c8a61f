"""What the Predict dock applies a model to: a layer, files, or the test set of a dataset; and where results go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.configs.snippets import RunSnippet, evaluation_snippet, prediction_snippet
from napari_unet3d.data.formats.registry import file_filter
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.components.run_bar import compact_form_layout
from napari_unet3d.widgets.forms.path_edit import PathEdit
from napari_unet3d.widgets.forms.radio_row import RadioRow

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.qt_dock import QtDock as Dock


class Target(ChoiceEnum):
    """What a model is applied to."""

    LAYER = "layer"
    FILES = "files"
    TEST_SET = "test-set"


_TOOLTIPS = {
    Target.LAYER: "Predict a volume that is open in the viewer.",
    Target.FILES: "Predict files and write the results to a folder.",
    Target.TEST_SET: "Predict the test volumes of a dataset folder and compare them with their labels.",
}


class PredictionTarget(QWidget):
    """Choice between a layer, files and a test set, and the folder for results.

    Parameters
    ----------
    dock : Dock
        Makes the menus of layers and keeps them fresh.

    Attributes
    ----------
    changed : Signal()
        Emitted after another kind of target was chosen.
    """

    changed = Signal()

    def __init__(self, dock: Dock) -> None:
        super().__init__()
        self.image = dock.layer_box(Image, "The volume to predict.")
        self.truth = dock.layer_box(Labels | None, "The true labels, if you have them: the difference is shown.")
        self.dataset = PathEdit("d", "dataset", "The folder with test/images and test/labels.")
        self.paths: list[Path] = []
        self.save = QCheckBox("Write the results to a folder")
        self.save.setToolTip(
            "Labels, and with a truth the difference, as files; a test set also gets figures and scores."
        )
        self.out = PathEdit("d", "predictions", "The folder that results are written to.")
        self.probability = QCheckBox("Write the probability, too")
        self.probability.setToolTip("Also a file NAME_probability: how likely each voxel is foreground, from 0 to 1.")
        self._choice = RadioRow(_TOOLTIPS, "predict-target")
        self.buttons = self._choice.buttons
        self._pages = {
            Target.LAYER: self._make_layer_page(),
            Target.FILES: self._make_files_page(),
            Target.TEST_SET: self._page(self.dataset.native),
        }
        self._lay_out()
        self.image.changed.connect(self.find_truth)
        self.save.toggled.connect(self._show_pages)
        self._show_pages()

    @property
    def kind(self) -> Target:
        """Which target is chosen."""
        return Target(self._choice.value)

    def choose(self, target: Target) -> None:
        """Choose another kind of target."""
        self._choice.value = target
        self._show_pages()

    def folder(self) -> Path | None:
        """Return the folder for results, or None when they only go into the viewer.

        Raises
        ------
        UserError
            When results shall be written and no folder is chosen.
        """
        if self.kind is Target.FILES or self.save.isChecked():
            return self.out.require("a folder for the results")
        return None

    def files(self) -> tuple[Path, ...]:
        """Return the files to predict.

        Raises
        ------
        UserError
            When there are none.
        """
        if not self.paths:
            raise UserError("No files are chosen; add at least one volume to the list.")
        return tuple(self.paths)

    def as_text(self, model: Path, config: Any) -> RunSnippet:
        """Write down what is done with the target.

        Parameters
        ----------
        model : Path
            Run folder or model file.
        config : PredictionConfig, or EvaluationConfig for a test set
            The settings.

        Raises
        ------
        UserError
            For a layer, which no text can name, and when something is not chosen.
        """
        match self.kind:
            case Target.LAYER:
                raise UserError("A text cannot name a layer. Save it to a file, then choose 'Files' and copy again.")
            case Target.FILES:
                out = self.out.require("a folder for the results")
                return prediction_snippet(model, self.files(), out, config, probability=self.probability.isChecked())
            case Target.TEST_SET:
                dataset = self.dataset.require("the folder of a dataset")
                return evaluation_snippet(model, dataset, self.folder(), config)

    def add_files(self, paths: Sequence[Path]) -> None:
        """Add files to the list; results go beside the first one unless a folder was chosen before."""
        self.paths += [path for path in paths if path not in self.paths]
        if self.paths and self.out.value is None:
            self.out.value = self.paths[0].parent / "predictions"
        self._show_files()

    def find_truth(self, *_: Any) -> None:
        """Choose the Labels layer ``NAME labels`` as the truth of the Image layer NAME when none is chosen."""
        if self.image.value is None or self.truth.value is not None:
            return
        wanted = f"{self.image.value.name} labels"
        self.truth.value = next((c for c in self.truth.choices if c is not None and c.name == wanted), None)

    def _on_choice(self) -> None:
        self._show_pages()
        self.changed.emit()

    def _show_pages(self, *_: Any) -> None:
        for target, page in self._pages.items():
            page.setVisible(target is self.kind)
        is_files = self.kind is Target.FILES
        self.save.setVisible(not is_files)
        self._out_row.setVisible(is_files or self.save.isChecked())
        self.probability.setVisible(is_files)

    def _show_files(self) -> None:
        self._list.clear()
        self._list.addItems([path.name for path in self.paths])
        for row, path in enumerate(self.paths):
            item = self._list.item(row)
            assert item is not None
            item.setToolTip(str(path))
        self._remove_button.setEnabled(bool(self.paths))

    def _browse_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "Choose volumes", "", file_filter())
        self.add_files([Path(path) for path in chosen])

    def _browse_zarr(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "Choose an OME-Zarr folder"):
            self.add_files([Path(chosen)])

    def _remove_file(self) -> None:
        row = self._list.currentRow()
        del self.paths[row if row >= 0 else -1]
        self._show_files()

    def _make_layer_page(self) -> QWidget:
        page = QWidget()
        rows = compact_form_layout()
        rows.addRow("Image", self.image.native)
        rows.addRow("Truth (optional)", self.truth.native)
        page.setLayout(rows)
        return page

    def _make_files_page(self) -> QWidget:
        self._list = QListWidget()
        self._list.setFixedHeight(76)
        self._list.setToolTip("The volumes that are predicted, one after the other.")
        buttons = QWidget()
        row = QHBoxLayout(buttons)
        row.setContentsMargins(0, 0, 0, 0)
        self._remove_button = QPushButton("Remove")
        self._remove_button.setToolTip("Take the selected volume, or the last one, off the list; its file stays.")
        self._remove_button.clicked.connect(self._remove_file)
        row.addWidget(self._remove_button)
        row.addStretch(1)
        for text, tooltip, slot in (
            ("Add Zarr …", "Add a volume that is an OME-Zarr folder.", self._browse_zarr),
            ("Add files …", "Add volumes that are files, such as TIFF, NIfTI or npy.", self._browse_files),
        ):
            button = QPushButton(text)
            button.setToolTip(tooltip)
            button.clicked.connect(slot)
            row.addWidget(button)
        self._remove_button.setEnabled(False)
        return self._page(self._list, buttons)

    def _page(self, *widgets: QWidget) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for widget in widgets:
            column.addWidget(widget)
        return page

    def _lay_out(self) -> None:
        self._choice.chosen.connect(self._on_choice)
        self._out_row = QWidget()
        out = compact_form_layout()
        out.addRow("Results to", self.out.native)
        self._out_row.setLayout(out)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for widget in (self._choice.native, *self._pages.values(), self.save, self._out_row, self.probability):
            column.addWidget(widget)
