"""The part of the Inspect dock that saves what is in view: errors, metrics, pictures, and the page about the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_unet3d.evaluation.reports.error_files import write_errors
from napari_unet3d.widgets.components.dialogs import ask_for_file
from napari_unet3d.widgets.export.report_panel import ReportPanel
from napari_unet3d.widgets.export.section import SaveSection

if TYPE_CHECKING:
    from napari_unet3d.widgets.inspect.dock import InspectDock
    from napari_unet3d.widgets.inspect.inspection import Inspection


class ExportPanel(QWidget):
    """Follows the inspection in view; hidden while there is none.

    Parameters
    ----------
    dock : InspectDock
        Whose inspection it is.

    Attributes
    ----------
    section : SaveSection
        Metrics, figure, screenshot and turntable.
    errors_button : QPushButton
        Saves the table of errors.
    report : ReportPanel
        Writes the page about the run that predicted, if it is known.
    """

    def __init__(self, dock: InspectDock) -> None:
        super().__init__()
        self._dock = dock
        self.section, self.report = SaveSection(dock), ReportPanel(dock)
        self.errors_button = QPushButton("Save table of errors…")
        self.errors_button.setToolTip(
            "Save every error as a table for spreadsheets (CSV): kind, volume in µm³, depth and place."
        )
        self.errors_button.clicked.connect(self._save_errors)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.section.add_first(self.errors_button)
        for widget in (self.section, self.report):
            column.addWidget(widget)
        dock.inspection_changed.connect(self._follow)
        self._follow(dock.inspection)

    def _follow(self, inspection: Inspection | None) -> None:
        self.setVisible(inspection is not None)
        outcome = None if inspection is None else inspection.comparison
        self.section.results.show_outcome(outcome)
        self.section.results.show_scores(() if outcome is None or outcome.scores is None else (outcome.scores,))
        self.report.offer(None if inspection is None else inspection.run)

    def _save_errors(self) -> None:
        if (inspection := self._dock.inspection) is None:
            return
        with self._dock.message.explaining():
            path = ask_for_file(self, "Save table of errors", f"{inspection.name} errors", (".csv",))
            if path is not None:
                write_errors(path, inspection.name, inspection.errors)
                self._dock.message.show_message(f"The errors are in {path}")
