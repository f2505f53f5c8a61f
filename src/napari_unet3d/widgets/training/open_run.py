"""The button that shows any run: an earlier one, or one that another process writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QPushButton

from napari_unet3d.widgets.kit.runs import recent_runs, remember_run
from napari_unet3d.widgets.training.record import opened_record

if TYPE_CHECKING:
    from napari_unet3d.widgets.kit.base import Dock


class OpenRunButton(QPushButton):
    """Asks for a run folder and reads what is known of the run.

    Parameters
    ----------
    dock : Dock
        Its message line.

    Attributes
    ----------
    opened : Signal(object)
        The `TrainingRecord` of the run.
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
            record = opened_record(run_folder)
            if record.has_model:
                remember_run(run_folder)
            self.opened.emit(record)

    def _choose(self) -> None:
        recent = recent_runs()
        start = str(recent[0].parent) if recent else ""
        if chosen := QFileDialog.getExistingDirectory(self, "Choose a run folder", start):
            self.open(Path(chosen))
