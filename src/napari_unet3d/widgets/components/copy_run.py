"""The button that copies what a form would do, as a command or as Python code."""

from __future__ import annotations

from collections.abc import Callable

from magicgui.widgets import PushButton
from qtpy.QtWidgets import QMenu, QWidget

from napari_unet3d.configs.snippets import RunSnippet
from napari_unet3d.widgets.components.action_menu import MENU_BUTTON_STYLE
from napari_unet3d.widgets.components.context import MessageLine, copy_text

_TOOLTIP = "Copy exactly this run as a command, for a terminal or a cluster, or as Python code."


class CopyMenu(QMenu):
    """Copies the run in the form as a command or as Python code.

    Parameters
    ----------
    parent : QWidget
        What the menu belongs to.
    message : MessageLine
        Shows what was copied, or why it cannot be.
    snippet : callable
        Returns the run in the form; it raises a `UserError` when something is missing or has no path.
    slurm_script : callable, optional
        Returns it as a script for Slurm.
    """

    def __init__(
        self,
        parent: QWidget,
        message: MessageLine,
        snippet: Callable[[], RunSnippet],
        slurm_script: Callable[[], str] | None = None,
    ) -> None:
        super().__init__("Copy this run", parent)
        self.setToolTip(_TOOLTIP)
        self._message, self._snippet = message, snippet
        self.command_action = self.addAction("As command", self.copy_command)
        self.python_action = self.addAction("As Python", self.copy_python)
        self._slurm_script = slurm_script
        self.slurm_action = None if slurm_script is None else self.addAction("As Slurm job", self.copy_slurm_job)

    def copy_command(self) -> None:
        """Copy the run as a command."""
        self._copy(
            lambda: self._snippet().command,
            "The command is copied, with what is not at its default, quoted for bash and other POSIX shells.",
        )

    def copy_python(self) -> None:
        """Copy the run as Python code."""
        self._copy(
            lambda: self._snippet().python,
            "The Python code is copied, with what is not at its default; it runs as it stands.",
        )

    def copy_slurm_job(self) -> None:
        """Copy the run as a script for Slurm."""
        if (script := self._slurm_script) is not None:
            self._copy(
                script,
                "The script is copied: save it as job.sh and submit it with sbatch job.sh. It saves its state before "
                "its time is over, and continues by itself.",
            )

    def _copy(self, make_text: Callable[[], str], what: str) -> None:
        with self._message.explaining():
            copy_text(make_text())
            self._message.show_message(f"{what} Its paths are those of this computer.")


class CopyButton(PushButton):
    """A button with a `CopyMenu`.

    Parameters
    ----------
    message : MessageLine
        Shows what was copied, or why it cannot be.
    snippet : callable
        Returns the run in the form; it raises a `UserError` when something is missing or has no path.
    """

    def __init__(self, message: MessageLine, snippet: Callable[[], RunSnippet]) -> None:
        super().__init__(text="Copy", tooltip=_TOOLTIP)
        self.native.setStyleSheet(MENU_BUTTON_STYLE)
        self.menu = CopyMenu(self.native, message, snippet)
        self.command_action, self.python_action = self.menu.command_action, self.menu.python_action
        self.native.setMenu(self.menu)
