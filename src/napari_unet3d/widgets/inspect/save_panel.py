"""What is saved of an inspection: notes beside the run, and errors, metrics, pictures and the report on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.reports.error_files import write_errors
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.widgets.components.containers import Panel, button, single_shot
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dialogs import ask_for_file
from napari_unet3d.widgets.export.report_panel import ReportPanel
from napari_unet3d.widgets.export.save_section import SaveSection

_MILLISECONDS = 500  # to wait for more changes


class ReviewStore(QObject):
    """Reads the notes when errors are shown, and writes them when they change.

    Parameters
    ----------
    session : InspectionSession
        Whose notes.
    context : Context
        The message line, which explains why notes cannot be saved.
    parent : QObject
        The dock.
    """

    def __init__(self, session: InspectionSession, context: Context, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._message = session, context.message
        self._is_reading = False
        self._timer = single_shot(self, self._write, _MILLISECONDS)
        session.events.errors.connect(self._read)
        session.events.notes.connect(self._on_notes)

    def flush(self) -> None:
        """Write now what waits to be written."""
        if self._timer.isActive():
            self._timer.stop()
            self._write()

    def _read(self, _errors: Any) -> None:
        self._is_reading = True
        try:
            self._session.load_notes()
        except UserError as error:
            self._message.show_message(str(error), "warning")
        self._is_reading = False

    def _on_notes(self, _notes: Any) -> None:
        if not self._is_reading:
            self._timer.start()

    def _write(self) -> None:
        try:
            self._session.save_notes()
        except UserError as error:
            self._message.show_message(f"Your notes are not saved: {error}", "warning")


class ExportPanel(Panel):
    """Saves results of an inspection; hidden while there is none.

    Parameters
    ----------
    session : InspectionSession
        What is inspected.
    context : Context
        The viewer, its jobs and the message line.

    Attributes
    ----------
    section : SaveSection
        Metrics, figure, screenshot and turntable.
    errors_button : PushButton
        Saves the table of errors.
    report : ReportPanel
        Writes the report on the run that predicted, if it is known.
    """

    def __init__(self, session: InspectionSession, context: Context) -> None:
        super().__init__()
        self._session, self._context = session, context
        self.errors_button = button(
            "Save table of errors…",
            "Save every error as a table for spreadsheets (CSV): kind, volume, depth and position, in µm or in voxels.",
            self.save_errors,
        )
        self.section, self.report = SaveSection(context, self.errors_button), ReportPanel(context)
        self.lay_out(self.section, self.report)
        session.events.comparison.connect(self._refresh)
        session.events.errors.connect(self._refresh)
        self._refresh()

    def _refresh(self, *_: Any) -> None:
        comparison = self._session.comparison if self._session.errors is not None else None
        self.visible = comparison is not None
        self.section.results.show_comparison(comparison)
        self.section.results.show_scores(
            () if comparison is None or comparison.scores is None else (comparison.scores,)
        )
        self.report.offer(None if comparison is None else self._session.origin.run)

    def save_errors(self, path: Path | None = None) -> None:
        """Save the table of errors as CSV; asks for the file when no path is given."""
        errors, name = self._session.errors, self._session.origin.name
        if errors is None:
            return
        with self._context.message.explaining():
            path = path or ask_for_file(self.native, "Save table of errors", f"{name} errors", (".csv",))
            if path is not None:
                write_errors(path, name, errors)
                self._context.message.show_message(f"The errors are in {path}")
