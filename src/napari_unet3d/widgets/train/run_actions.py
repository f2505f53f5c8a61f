"""The button that shows any run: an earlier one, or one that another process writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_unet3d.errors import UserError
from napari_unet3d.runs.run_files import read_run_files
from napari_unet3d.session.recent_runs import recent_runs, remember_run
from napari_unet3d.session.training_run import load_run

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.qt_dock import QtDock as Dock

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.qt_dock import QtDock as Dock


class OpenRunButton(QPushButton):
    """Asks for a run folder and reads what is known of the run.

    Parameters
    ----------
    dock : Dock
        Its message line.

    Attributes
    ----------
    opened : Signal(object)
        The `TrainingRun` of the run.
    """

    opened = Signal(object)

    def __init__(self, dock: Dock) -> None:
        super().__init__("Show a run …")
        self._dock = dock
        self.setToolTip(
            "Show the curves and the epochs of any run folder, also of one that the command or another process writes."
        )
        self.clicked.connect(self._choose)

    def open(self, run_folder: Path) -> None:
        """Show the run in a folder; what is wrong with it is said in the message line."""
        with self._dock.message.explaining():
            record = load_run(run_folder)
            if record.has_model:
                remember_run(run_folder)
            self.opened.emit(record)

    def _choose(self) -> None:
        recent = recent_runs()
        start = str(recent[0].parent) if recent else ""
        if chosen := QFileDialog.getExistingDirectory(self, "Choose a run folder", start):
            self.open(Path(chosen))


class ModelActions(QWidget):
    """Leads from a run to the docks Predict and Inspect; hidden while there is no model.

    Parameters
    ----------
    dock : Dock
        Its viewer opens the other docks.

    Attributes
    ----------
    predict_button, inspect_button : QPushButton
        The second is hidden when the run did not learn from a dataset that is still there.
    """

    def __init__(self, dock: Dock) -> None:
        super().__init__()
        self._dock = dock
        self._run: Path | None = None
        self.predict_button, self.inspect_button = QPushButton("Predict with it"), QPushButton("Inspect its errors")
        self.predict_button.setToolTip("Open the dock Predict with the model of this run.")
        self.inspect_button.setToolTip(
            "Predict the test volumes of the dataset, or the training volumes when it has none, and list every error."
        )
        self.predict_button.clicked.connect(self._predict)
        self.inspect_button.clicked.connect(self._inspect)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.predict_button, 1)
        row.addWidget(self.inspect_button, 1)
        self.offer(None)

    def offer(self, run: Path | None) -> None:
        """Offer to go on with the model of a run folder, or with none."""
        self._run = run
        self.setVisible(run is not None)
        self.inspect_button.setVisible(run is not None and _has_dataset(run))

    def _predict(self) -> None:
        if self._run is not None:
            self._dock.open_dock("Predict").use_run(self._run)

    def _inspect(self) -> None:
        if self._run is not None:
            self._dock.open_dock("Inspect").inspect_run(self._run)


def _has_dataset(run: Path) -> bool:
    try:
        dataset = read_run_files(run).dataset
    except UserError:
        return False
    return dataset is not None and dataset.is_dir()
