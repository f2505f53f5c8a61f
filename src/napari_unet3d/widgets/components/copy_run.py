"""The button that copies what a form would do, as a command or as Python code."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtGui import QAction, QGuiApplication
from qtpy.QtWidgets import QMenu, QPushButton

from napari_unet3d.configs.snippets import RunSnippet
from napari_unet3d.widgets.components.context import MessageLine


class CopyButton(QPushButton):
    """A button with a menu: copy the run in the form as a command or as Python code.

    Parameters
    ----------
    message : MessageLine
        Shows what was copied, or why it cannot be.
    snippet : callable
        Returns the run in the form; it raises a `UserError` when something is missing or has no path.
    """

    def __init__(self, message: MessageLine, snippet: Callable[[], RunSnippet]) -> None:
        super().__init__("Copy")
        self.setToolTip("Copy exactly this run as a command, for a terminal or a cluster, or as Python code.")
        self.setStyleSheet("QPushButton { padding-right: 16px; }")  # for the arrow, which napari draws over the text
        self._message, self._snippet = message, snippet
        menu = QMenu(self)
        self.command_action, self.python_action = QAction("As command", menu), QAction("As Python", menu)
        self.command_action.triggered.connect(self._copy_command)
        self.python_action.triggered.connect(self._copy_python)
        menu.addActions([self.command_action, self.python_action])
        self.setMenu(menu)

    def _copy_command(self) -> None:
        with self._message.explaining():
            _copy(self._snippet().command)
            self._message.show_message(
                "The command is copied, with what is not at its default, quoted for bash and other POSIX shells. "
                "Its paths are those of this computer."
            )

    def _copy_python(self) -> None:
        with self._message.explaining():
            _copy(self._snippet().python)
            self._message.show_message(
                "The Python code is copied, with what is not at its default; it runs as it stands. "
                "Its paths are those of this computer."
            )


def _copy(text: str) -> None:
    if (clipboard := QGuiApplication.clipboard()) is not None:
        clipboard.setText(text)
