"""The window with the summary of a network: layers, shapes, parameters and memory."""

from __future__ import annotations

from qtpy.QtGui import QFontDatabase, QFontMetrics
from qtpy.QtWidgets import QPlainTextEdit, QWidget

from napari_unet3d.widgets.kit.side_window import SideWindow


class SummaryWindow(SideWindow):
    """Shows a `ModelSummary` in a font whose columns stand in line, beside the viewer.

    Parameters
    ----------
    parent : QWidget
        The dock; the window closes with it.
    text : str
        What to show.
    """

    def __init__(self, parent: QWidget, text: str) -> None:
        self.text = QPlainTextEdit(text)
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSize(10)
        # napari's style sheet would replace a font that is only set
        self.text.setStyleSheet(f"QPlainTextEdit {{ font-family: '{font.family()}'; font-size: 10pt; }}")
        super().__init__(parent, "Model summary", self.text)
        widest = max((len(line) for line in text.splitlines()), default=0)
        self.resize(min(1100, 80 + QFontMetrics(font).horizontalAdvance("0" * widest)), 560)
