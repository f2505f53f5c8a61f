"""The button *More* of a dock: a menu of what is needed less often than its main button."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import PushButton
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QMenu

MENU_BUTTON_STYLE = "QPushButton { padding-right: 16px; }"
"""For a button with a menu, whose arrow is drawn over the text otherwise."""


class ActionMenu(PushButton):
    """A button with a menu, whose entries explain themselves in tooltips.

    Attributes
    ----------
    menu : QMenu
        The menu.
    """

    def __init__(self) -> None:
        super().__init__(text="More", tooltip="What else can be done here.")
        self.native.setStyleSheet(MENU_BUTTON_STYLE)
        self.menu = QMenu(self.native)
        self.menu.setToolTipsVisible(True)
        self.native.setMenu(self.menu)

    def add(self, text: str, tooltip: str, action: Callable[[], Any]) -> QAction:
        """Add an entry at the end of the menu.

        Parameters
        ----------
        text, tooltip : str
            What the entry is called, and what it does.
        action : callable
            What it does, without arguments.
        """
        entry = QAction(text, self.menu)
        entry.setToolTip(tooltip)
        entry.triggered.connect(lambda: action())
        self.menu.addAction(entry)
        return entry
