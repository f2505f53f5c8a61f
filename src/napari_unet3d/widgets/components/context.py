"""The message line of a dock, and the context that its panels get: viewer, jobs and message line."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from qtpy.QtCore import QEvent, QObject, Qt, QUrl
from qtpy.QtGui import QAction, QDesktopServices, QGuiApplication
from qtpy.QtWidgets import QLabel, QScrollArea, QSizePolicy

from napari_unet3d.errors import UserError
from napari_unet3d.session.message_paths import PathInMessage, find_paths
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
    """One message, hidden while there is none; it wraps, and its menu copies it.

    Files and folders that it names, and that exist, are links: a click opens them, or Tab and Enter.
    """

    def __init__(self) -> None:
        super().__init__()
        self._message = self._refusal = ""
        self.setWordWrap(True)
        copy = QAction("Copy message", self)
        copy.triggered.connect(lambda: copy_text(self._message))
        self.addAction(copy)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self._paths: list[PathInMessage] = []
        flag = Qt.TextInteractionFlag
        self._reachable = flag.LinksAccessibleByMouse | flag.LinksAccessibleByKeyboard
        self.linkActivated.connect(self._open)
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
        self._paths = find_paths(message)
        self.setTextInteractionFlags(self._reachable if self._paths else Qt.TextInteractionFlag.NoTextInteraction)
        self._render()
        self.setVisible(bool(message))
        if message:
            self._after_layout.start()

    def show_error(self, message: str) -> None:
        """Show why something failed."""
        self.show_message(message, "error")

    def clear(self) -> None:
        """Show nothing."""
        self.show_message("")

    def withdraw(self, message: str) -> None:
        """Hide a message that no longer holds, unless another one is shown already."""
        if message and message == self._message:
            self.clear()

    def withdraw_refusal(self) -> None:
        """Hide why an action was not possible, since what it depends on has changed."""
        self.withdraw(self._refusal)

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Show a `UserError` that the block raises; the previous message is cleared first."""
        self.clear()
        try:
            yield
        except UserError as error:
            self._refusal = str(error)
            self.show_message(self._refusal, "error")

    def text(self) -> str:
        """Return the message as it was given, without the places where Qt may break it."""
        return self._message

    def changeEvent(self, event: QEvent | None) -> None:
        """Update the colour of links in another theme."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange and self._paths:
            self._render()

    def _render(self) -> None:
        if not self._paths:
            self.setTextFormat(Qt.TextFormat.PlainText)  # a file name may look like markup
            self.setText(_breakable(self._message))
            return
        self.ensurePolished()
        colour = self.palette().color(self.foregroundRole()).name()
        parts, end = [], 0
        for number, found in enumerate(self._paths):
            link = _as_html(self._message[found.start : found.stop])
            parts += [
                _as_html(self._message[end : found.start]),
                f'<a href="{number}" style="color: {colour}">{link}</a>',
            ]
            end = found.stop
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setText("".join([*parts, _as_html(self._message[end:])]))

    def _open(self, link: str) -> None:
        path = self._paths[int(link)].path
        if not os.path.exists(path):
            self.show_message(f"{path} is no longer there: it was moved or deleted.", "warning")
        elif not QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))):
            copy_text(str(path))
            self.show_message(f"No program was found that opens {path}. Its path is on the clipboard.", "warning")

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


def _as_html(text: str) -> str:
    return _breakable(html.escape(text)).replace("\n", "<br>")


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
