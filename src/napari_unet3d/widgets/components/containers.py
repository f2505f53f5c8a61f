"""A part of a dock that is folded away until it is wanted."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import QWidget
from superqt import QCollapsible

_HEADING = """QPushButton {
    text-align: left; border: none; outline: none; padding: 4px; background-color: rgba(128, 128, 128, 40);
}"""


class CollapsibleSection(QCollapsible):
    """A heading with an arrow that shows and hides what is below it.

    Parameters
    ----------
    heading : str
        Its words.
    content : QWidget
        What it shows.
    """

    def __init__(self, heading: str, content: QWidget) -> None:
        # Superqt draws its arrows once, in a colour that another theme makes invisible; ours are part of the text.
        nothing = QPixmap(1, 1)
        nothing.fill(Qt.GlobalColor.transparent)  # superqt takes an icon without any picture for no icon on PySide6
        super().__init__(heading, expandedIcon=QIcon(nothing), collapsedIcon=QIcon(nothing))
        self.toggleButton().setIconSize(QSize(0, 0))
        self._heading = heading
        self._remark = ""
        self.setDuration(120)
        self.toggleButton().setStyleSheet(_HEADING)
        self.toggleButton().setMinimumWidth(1)  # a long remark shall not widen the dock
        self.toggleButton().setToolTip("Show or hide what belongs to this heading.")
        if (layout := self.layout()) is not None:
            layout.setContentsMargins(0, 0, 0, 0)
        self.addWidget(content)
        self.toggled.connect(self._write_heading)
        self._write_heading()

    def show_remark(self, words: str) -> None:
        """Say something after the heading."""
        self._remark = words
        self._write_heading()

    def _write_heading(self) -> None:
        arrow = "▾" if self.isExpanded() else "▸"
        remark = f"  ·  {self._remark}" if self._remark else ""
        self.setText(f"{arrow}  {self._heading}{remark}")
