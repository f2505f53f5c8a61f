"""A window beside the viewer that shows something until it is closed."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QPushButton, QVBoxLayout, QWidget


class PluginWindow(QDialog):
    """What is shown, and below it the button that closes the window for good.

    Parameters
    ----------
    parent : QWidget
        The dock; the window closes with it.
    title : str
        The title of the window.
    *content : QWidget
        What it shows, from top to bottom; the last one takes the room that is left.
    """

    def __init__(self, parent: QWidget, title: str, *content: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        close_button = QPushButton("Close")
        close_button.setToolTip("Close this window.")
        close_button.clicked.connect(self.close)
        column = QVBoxLayout(self)
        for widget in content:
            column.addWidget(widget)
        column.setStretchFactor(content[-1], 1)
        column.addWidget(close_button, alignment=Qt.AlignmentFlag.AlignRight)
