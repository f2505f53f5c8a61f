"""The columns of the table of errors: their headings, what they mean, and their texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from qtpy.QtCore import QLineF, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap

from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.evaluation.errors.types import ErrorKind, SegmentationError


class Column(NamedTuple):
    """A column; those that a person fills in, a tick and a note, have neither text nor order here."""

    heading: str
    explanation: str
    text: Callable[[SegmentationError], str]
    sort: Callable[[SegmentationError], Any]


_SEEN = Column("✓", "Whether you have seen it. Going to an error marks it as seen.", lambda _: "", lambda _: 0)
_KIND = Column(
    "Kind",
    "Missed: in the ground truth only. Extra: in the prediction only. Wrong class: in both, as another class. "
    "Merge: several true objects predicted as one. Split: one true object predicted as several.",
    lambda error: error.kind.label,
    lambda error: error.kind.value,
)
_PLACE = Column(
    "z, y, x",
    "The voxel that you go to.",
    lambda error: ", ".join(map(str, error.position_zyx)),
    lambda error: error.position_zyx,
)
_NOTE = Column("Note", "Your note; double-click to write one.", lambda _: "", lambda _: "")


def _size_columns(geometry: Geometry) -> tuple[Column, Column]:
    """Return the columns of volume and depth, in µm³ and µm or in voxels."""
    unknown = "" if geometry.is_calibrated else ", since the voxel size is unknown"
    volume = Column(
        geometry.volume_unit,
        f"Volume of the error in {geometry.volume_unit}{unknown}.",
        lambda error: format_number(error.volume),
        lambda error: error.volume,
    )
    depth = Column(
        "Depth",
        f"How deep the error goes, in {geometry.unit}{unknown}: the largest distance of one of its voxels from the "
        "true surface; of an object that is extra as a whole, from its own surface.",
        lambda error: format_number(error.depth),
        lambda error: error.depth,
    )
    return volume, depth


def columns_for(names: Mapping[int, str] | None, geometry: Geometry = UNKNOWN) -> tuple[Column, ...]:
    """Return the columns, in the order of `ErrorList.SEEN` and those after it.

    Parameters
    ----------
    names : mapping of int to str, or None
        Names of values that are not called by their number; None when foreground is all there is.
    geometry : Geometry
        Voxel size of the volume, from which the units follow.
    """
    what = _what(names)
    of_classes = Column(
        "What",
        "The classes or object ids that are concerned; whole when all of an object is wrong.",
        what,
        lambda error: what(error).lower(),
    )
    return (_SEEN, _KIND, *_size_columns(geometry), _PLACE, of_classes, _NOTE)


def format_number(number: float) -> str:
    """Format a size with about three digits, such as ``0.125``, ``12.5`` or ``1 250 000``."""
    if number >= 100:
        return f"{number:,.0f}".replace(",", "\u202f")
    return f"{number:.3g}"


def _what(names: Mapping[int, str] | None) -> Callable[[SegmentationError], str]:
    """Return a function that names the classes or objects of an error."""

    def values(numbers: tuple[int, ...]) -> str:
        return " + ".join((names or {}).get(number, str(number)) for number in numbers)

    def describe(error: SegmentationError) -> str:
        whole = "whole " if error.is_whole else ""
        match error.kind:
            case ErrorKind.WRONG_CLASS:
                return f"{whole}{values(error.target)} as {values(error.predicted)}"
            case ErrorKind.MERGE:
                return f"{values(error.target)} as one"
            case ErrorKind.SPLIT:
                return f"{values(error.target)} as {len(error.predicted)}"
            case ErrorKind.MISSED:
                return whole + ("" if names is None else values(error.target))
        return whole + ("" if names is None else values(error.predicted))

    return describe


_SIDE = 10
_CORRECTED = "#20a040"  # seen on a light ground as well as on a dark one


def dot(colour: str) -> QIcon:
    """Draw a dot, whose colour stands for the kind of an error."""
    picture = _empty()
    with _painter(picture) as painter:
        painter.setBrush(QColor(colour))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawEllipse(0, 0, _SIDE, _SIDE)
    return _icon(picture)


def tick() -> QIcon:
    """Draw a green tick, which marks an error as corrected."""
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
