"""Saves the notes on errors beside the run a moment after they were written."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_unet3d.errors import UserError
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.widgets.components.context import Context

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
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_MILLISECONDS)
        self._timer.timeout.connect(self._write)
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
