"""The message line of a dock, and the context that its panels get: viewer, jobs and message line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QAction, QGuiApplication
from qtpy.QtWidgets import QLabel, QScrollArea, QSizePolicy

from napari_unet3d.errors import UserError
from napari_unet3d.widgets.components.containers import single_shot
from napari_unet3d.widgets.jobs.jobs import Jobs
from napari_unet3d.widgets.jobs.latest_only import LatestOnly

Kind = Literal["error", "warning", "info"]
"""How serious a message is."""

_MESSAGE = "QLabel {{ border-radius: 3px; padding: 6px; {colours} }}"
# Text and background are set together, so that they can be read in every theme.
_COLOURS = {
    "error": "background-color: #8c1d18; color: white;",
    "warning": "background-color: #6b4e00; color: white;",
    "info": "background-color: rgba(128, 128, 128, 50);",
}


class MessageLine(QLabel):
    """One message, hidden while there is none; it wraps, and its menu copies it."""

    def __init__(self) -> None:
        super().__init__()
        self._message = ""
        self.setWordWrap(True)
        copy = QAction("Copy message", self)
        copy.triggered.connect(lambda: copy_text(self._message))
        self.addAction(copy)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self.setTextFormat(Qt.TextFormat.PlainText)  # a file name may look like markup
        # Without a minimum of its own, a long path (one word) would make the dock as wide as itself.
        self.setMinimumWidth(1)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.kind: Kind = "info"
        self._after_layout = single_shot(self, self._come_into_view)
        self.hide()

    def show_message(self, message: str, kind: Kind = "info") -> None:
        """Replace what is shown.

        Parameters
        ----------
        message : str
            One or two sentences; an empty text hides the line.
        kind : {"error", "warning", "info"}
            Chooses the colours.
        """
        self.kind, self._message = kind, message
        self.setStyleSheet(_MESSAGE.format(colours=_COLOURS[kind]))
        self.setText(_breakable(message))
        self.setVisible(bool(message))
        if message:
            self._after_layout.start()

    def show_error(self, message: str) -> None:
        """Show why something failed."""
        self.show_message(message, "error")

    def clear(self) -> None:
        """Show nothing."""
        self.show_message("")

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Show a `UserError` that the block raises; the previous message is cleared first."""
        self.clear()
        try:
            yield
        except UserError as error:
            self.show_message(str(error), "error")

    def text(self) -> str:
        """Return the message as it was given, without the places where Qt may break it."""
        return self._message

    def _come_into_view(self) -> None:
        parent = self.parentWidget()
        while parent is not None and not isinstance(parent, QScrollArea):
            parent = parent.parentWidget()
        if parent is not None:
            parent.ensureWidgetVisible(self)


def copy_text(text: str) -> None:
    """Copy a text to the clipboard."""
    if (clipboard := QGuiApplication.clipboard()) is not None:
        clipboard.setText(text)


def _breakable(message: str) -> str:
    """Return the message with a zero-width space after each slash, where Qt may break long paths."""
    return message.replace("/", "/\u200b").replace("\\", "\\\u200b")


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of a panel, the same for all panels of a dock.

    Attributes
    ----------
    viewer : napari.Viewer
        The viewer that the dock is in.
    jobs : Jobs
        The jobs of that viewer.
    message : MessageLine
        Where the dock shows messages.
    """

    viewer: Any
    jobs: Jobs
    message: MessageLine

    def latest_only(self, parent: QObject, kind: str, *, stops: bool = False) -> LatestOnly:
        """Return a `LatestOnly` for jobs of a kind, whose failures the message line shows."""
        work = LatestOnly(parent, self.jobs, kind, stops=stops)
        work.failed.connect(self.message.show_error)
        return work
