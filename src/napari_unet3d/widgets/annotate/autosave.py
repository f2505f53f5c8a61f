"""Saves an annotation in the background while it is painted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_unet3d.errors import UserError
from napari_unet3d.session.annotation import AnnotationSession
from napari_unet3d.session.annotation_store import AnnotationSnapshot, AnnotationWriter
from napari_unet3d.widgets.components.containers import Panel, single_shot
from napari_unet3d.widgets.components.context import Context

_SAVE_AFTER_MS = 2000


class Autosave:
    """Saves the annotation of a session two seconds after it was changed, and at once when it is left.

    Parameters
    ----------
    parent : Panel
        The dock.
    context : Context
        Jobs and message line.

    Attributes
    ----------
    session : AnnotationSession or None
        What is saved.
    changed : Signal()
        `text` has changed.
    text : str
        When it was saved, or why it could not be.
    """

    changed = Signal()

    def __init__(self, parent: Panel, context: Context) -> None:
        self.text = ""
        self._session: AnnotationSession | None = None
        self._writer = AnnotationWriter()
        self._message, self._is_gone = context.message, False
        parent.native.destroyed.connect(self._on_destroyed)
        self._work = context.latest_only(parent.native, "autosave")
        self._work.failed.connect(self._on_failed)
        self._timer = single_shot(parent.native, self._begin, _SAVE_AFTER_MS)

    @property
    def session(self) -> AnnotationSession | None:
        """What is saved."""
        return self._session

    @session.setter
    def session(self, session: AnnotationSession | None) -> None:
        self._session = session
        saved = "" if session is None or not os.path.exists(session.file) else "Saved automatically"
        self._show(saved or ("" if session is None else "Saved automatically as soon as something is painted"))

    @property
    def is_busy(self) -> bool:
        """Whether something is to be saved, or is being saved."""
        return self._timer.isActive() or self._work.is_busy

    def request(self) -> None:
        """Save soon; changes until then are saved together."""
        if not self._timer.isActive():
            self._timer.start()

    def save_now(self) -> None:
        """Save at once what is not saved yet, before the annotation is left."""
        session = self._session
        if session is None or (session.is_saved and not self._work.is_busy):
            return
        if not session.is_worth_saving:
            return
        try:
            self._writer.write(self._writer.snapshot(session))
            session.is_saved = True
        except UserError as error:
            self._on_failed(str(error))

    def _begin(self) -> None:
        session = self._session
        if session is None or session.is_saved or not session.is_worth_saving:
            return
        session.is_saved = True  # as it is now; later changes are noted
        work = partial(_save, self._writer, self._writer.snapshot(session))
        self._work.request(f"Saving {session.name} annotation", work, self._on_saved)

    def _on_saved(self, file: Path) -> None:
        if self._session is not None and file == self._session.file:
            self._show(f"Saved automatically at {datetime.now():%H:%M}")

    def _on_failed(self, message: str) -> None:
        if self._session is not None:
            self._session.is_saved = False
        if not self._is_gone:
            self._show("NOT saved automatically")
            self._message.show_error(f"{message} Save the layer yourself, with File ▸ Save Selected Layers.")

    def _on_destroyed(self) -> None:
        self._is_gone = True

    def _show(self, text: str) -> None:
        self.text = text
        self.changed.emit()


def _save(writer: AnnotationWriter, snapshot: AnnotationSnapshot) -> Iterator[Any]:
    writer.write(snapshot)
    yield snapshot.file
