"""Small pictures in the table of errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qtpy.QtCore import QLineF, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap

_SIDE = 10
_CORRECTED = "#20a040"  # seen on a light ground as well as on a dark one


def dot(colour: str) -> QIcon:
    """Draw a dot, whose colour tells the kind of an error."""
    picture = _empty()
    with _painter(picture) as painter:
        painter.setBrush(QColor(colour))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawEllipse(0, 0, _SIDE, _SIDE)
    return _icon(picture)


def tick() -> QIcon:
    """Draw a green tick, which tells that an error was corrected."""
    picture = _empty()
    with _painter(picture) as painter:
        painter.setPen(QPen(QColor(_CORRECTED), 2))
        painter.drawLine(QLineF(1, 5, 4, 8))
        painter.drawLine(QLineF(4, 8, 9, 1))
    return _icon(picture)


def _icon(picture: QPixmap) -> QIcon:
    icon = QIcon(picture)
    icon.addPixmap(picture, QIcon.Mode.Selected)  # Qt would mix it with the colour of the selected row
    return icon


def _empty() -> QPixmap:
    picture = QPixmap(_SIDE, _SIDE)
    picture.fill(Qt.GlobalColor.transparent)
    return picture


@contextmanager
def _painter(picture: QPixmap) -> Iterator[QPainter]:
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    try:
        yield painter
    finally:
        painter.end()
