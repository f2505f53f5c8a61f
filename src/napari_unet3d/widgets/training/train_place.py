"""Where a training writes its run, and which model it begins with."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet3d.widgets.kit.form import compact_form_layout
from napari_unet3d.widgets.kit.model_box import ModelBox
from napari_unet3d.widgets.kit.parts import line
from napari_unet3d.widgets.kit.paths import PathBox
from napari_unet3d.widgets.kit.runs import new_run_folder


class RunPlace(QWidget):
    """The rows for the run folder and for the model to start from.

    Attributes
    ----------
    folder : PathBox
        The run folder.
    start_from : ModelBox
        The model; empty for a new network.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = PathBox("d", "run-folder", "Where the model, its settings and the loss history are written.")
        self.start_from = ModelBox("New network", takes_newest=False)
        words = "A model whose weights the training begins with, also one of qim3d (.pth); empty for a new network."
        self.start_from.setToolTip(words)
        self._hint = line()
        self._hint.setText("Network and normalisation are those of the model.")
        self._hint.hide()
        self._suggested: Path | None = None
        rows = compact_form_layout()
        rows.addRow("Folder", self.folder)
        rows.addRow("Start from", self.start_from)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(rows)
        column.addWidget(self._hint)
        self.start_from.changed.connect(lambda: self._hint.setVisible(self.start_from.value is not None))

    def suggest(self, dataset: Path | None) -> None:
        """Name a new folder beside a dataset, unless the person has named one that holds no run yet."""
        mine = self.folder.value
        if self._suggested is None or mine is None or mine == self._suggested or (mine / "config.json").exists():
            self._suggested = new_run_folder(dataset)
            self.folder.value = self._suggested
