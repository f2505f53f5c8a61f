"""The button that copies what a form would do, as a command or as Python code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtGui import QAction, QGuiApplication
from qtpy.QtWidgets import QMenu, QPushButton

from napari_unet3d.configs.snippets import RunSnippet

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.dock import Dock


class CopyButton(QPushButton):
    """A button with a menu: copy the run in the form as a command or as Python code.

    Parameters
    ----------
    dock : Dock
        Its message line says what was copied, or why it cannot be.
    text : callable
        Gives the run in the form; it raises a `UserError` when something is missing or has no path.
    """

    def __init__(self, dock: Dock, text: Callable[[], RunSnippet]) -> None:
        super().__init__("Copy")
        self.setToolTip("Copy exactly this run as a command, for a terminal or a cluster, or as Python code.")
        self.setStyleSheet("QPushButton { padding-right: 16px; }")  # for the arrow, which napari draws over the word
        self._dock, self._text = dock, text
        menu = QMenu(self)
        self.command_action, self.python_action = QAction("As command", menu), QAction("As Python", menu)
        self.command_action.triggered.connect(self._copy_command)
        self.python_action.triggered.connect(self._copy_python)
        menu.addActions([self.command_action, self.python_action])
        self.setMenu(menu)

    def _copy_command(self) -> None:
        with self._dock.message.explaining():
            _copy(self._text().command)
            self._dock.message.show_message(
                "The command is copied, with what is not at its default, quoted for bash and other POSIX shells. "
                "Its paths are those of this computer."
            )

    def _copy_python(self) -> None:
        with self._dock.message.explaining():
            _copy(self._text().python)
            self._dock.message.show_message(
                "The Python code is copied, with what is not at its default; it runs as it stands. "
                "Its paths are those of this computer."
            )


def _copy(text: str) -> None:
    if (clipboard := QGuiApplication.clipboard()) is not None:
        clipboard.setText(text)
