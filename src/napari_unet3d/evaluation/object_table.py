"""The table of the objects in labels: one row per object, with its size, place, shape, brightness and neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.object_edits import Position
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.reports.parquet import check_parquet, write_parquet
from napari_unet3d.evaluation.reports.score_files import write_table
from napari_unet3d.files import atomic_write

STATISTICS = ("mean", "min", "max")
_ELONGATION = "The longest diameter divided by the shortest, of the ellipsoid with the same spread: 1 for a ball."
_BORDER = "Whether it touches the border of the volume, so that a part is missing."


@dataclass(frozen=True, slots=True)
class ObjectColumn:
    """A column of the table of objects.

    Attributes
    ----------
    key : str
        Its name in filters and in the features of a layer.
    heading : str
        Its heading, without the unit.
    unit : str
        The unit of its numbers; empty if they have none.
    explanation : str
        What it means.
    is_count : bool
        Whether its numbers are integers.
    is_yes_no : bool
        Whether 1 means yes and 0 no.
    """

    key: str
    heading: str
    unit: str
    explanation: str
    is_count: bool = False
    is_yes_no: bool = False

    @property
    def title(self) -> str:
        """The heading with the unit, as in ``Volume (µm³)``."""
        return f"{self.heading} ({self.unit})" if self.unit else self.heading

    def text(self, value: float) -> str:
        """Return the text of a cell."""
        if np.isnan(value):
            return ""
        if self.is_yes_no:
            return "yes" if value else ""
        return f"{int(value)}" if self.is_count else f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def object_columns(geometry: Geometry, channels: Sequence[str]) -> tuple[ObjectColumn, ...]:
    """Return the columns for a volume.

    Parameters
    ----------
    geometry : Geometry
        The voxel size, which the units follow.
    channels : sequence of str
        Names of the channels whose intensities are measured; that of a single one may be empty.

    Examples
    --------
    >>> [column.key for column in object_columns(Geometry((2.0, 1.0, 1.0)), ["DAPI", "actin"])][-9:]
    ['mean_dapi', 'min_dapi', 'max_dapi', 'mean_actin', 'min_actin', 'max_actin', 'z', 'y', 'x']
    >>> object_columns(Geometry(), [""])[2].title
    'Surface (voxels²)'
    """
    unit, area = geometry.unit, f"{geometry.unit}²"
    where = "in the viewer's coordinates" if geometry.is_calibrated else "in voxels from the first one"
    columns = [
        _count("object", "Object", "The number of the object in the layer."),
        ObjectColumn("volume", "Volume", geometry.volume_unit, "The volume: the number of voxels times their size."),
        ObjectColumn("surface", "Surface", area, "The area of the surface; of round objects within about 10 %."),
        ObjectColumn("elongation", "Elongation", "", _ELONGATION),
        _count("neighbours", "Neighbours", "How many other objects it touches, face to face."),
        _count("pieces", "Pieces", "How many pieces it has that are not connected; one is usual."),
        ObjectColumn("border", "At border", "", _BORDER, is_count=True, is_yes_no=True),
    ]
    for channel in channels:
        of = f" of {channel}" if channel else ""
        for each in STATISTICS:
            explanation = f"The {each} intensity{of} in the object."
            columns.append(ObjectColumn(_key(each, channel), f"{each.capitalize()}{of}", "", explanation))
    columns += [ObjectColumn(each, each, unit, f"The centre of the object along {each}, {where}.") for each in "zyx"]
    return tuple(columns)


def _count(key: str, heading: str, explanation: str) -> ObjectColumn:
    return ObjectColumn(key, heading, "", explanation, is_count=True)


def _key(statistic: str, channel: str) -> str:
    letters = "".join(letter if letter.isalnum() else "_" for letter in channel.lower())
    return f"{statistic}_{letters}" if channel else statistic


@dataclass(frozen=True, slots=True, eq=False)
class ObjectTable:
    """The measured objects of a volume.

    Attributes
    ----------
    columns : tuple of ObjectColumn
        The columns; the first one is the number of the object.
    cells : ndarray of float64, shape (object, column)
        The numbers, ordered by the number of the object; NaN for what is not defined.
    boxes : ndarray of int64, shape (object, 3, 2)
        Start and stop along z, y, x of the box around each.
    voxels : ndarray of int64, shape (object, 3)
        A voxel (z, y, x) of each, near its centre.
    geometry : Geometry
        Where the volume lies.
    fingerprint : ndarray of bytes, shape (z, y, x) of blocks
        What tells later which parts of the labels have changed.
    """

    columns: tuple[ObjectColumn, ...]
    cells: NDArray[np.float64]
    boxes: NDArray[np.int64]
    voxels: NDArray[np.int64]
    geometry: Geometry
    fingerprint: NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The numbers of the objects, ascending."""
        return self.cells[:, 0].astype(np.int64)

    def column(self, key: str) -> NDArray[np.float64]:
        """Return the numbers of a column."""
        return self.cells[:, [each.key for each in self.columns].index(key)]

    def row_of(self, number: int) -> int | None:
        """Return the row of an object; None if it was not measured."""
        row = int(np.searchsorted(self.cells[:, 0], number))
        return row if row < len(self) and self.cells[row, 0] == number else None

    def voxel_of(self, number: int) -> Position | None:
        """Return a voxel of an object; None if it was not measured."""
        if (row := self.row_of(number)) is None:
            return None
        z, y, x = self.voxels[row].tolist()
        return z, y, x

    def features(self) -> dict[str, NDArray[Any]]:
        """Return the columns for the features of a Labels layer, with the row 0 for background.

        The column ``index`` holds the numbers of the objects. Where they have few gaps, row and number are the same,
        as the table of napari expects; numbers in the gaps have empty rows.
        """
        numbers = self.numbers
        largest = int(numbers.max(initial=0))
        rows = numbers if largest <= 4 * len(self) + 1000 else np.arange(1, len(self) + 1)
        index = np.arange(int(rows.max(initial=0)) + 1)
        index[rows] = numbers
        features: dict[str, NDArray[Any]] = {"index": index}
        for place, column in enumerate(self.columns[1:], start=1):
            cells = np.full(len(index), np.nan)
            cells[rows] = self.cells[:, place]
            features[column.key] = cells
        return features


def write_objects(path: Path, table: ObjectTable, rows: NDArray[Any], reviewed: set[int]) -> None:
    """Write rows of the table as CSV for a spreadsheet, or as Parquet, with the units in the headings.

    Parameters
    ----------
    path : Path
        The file, which ends in ``.csv`` or ``.parquet``.
    table : ObjectTable
        The table.
    rows : ndarray of int
        The rows to write, in this order.
    reviewed : set of int
        The numbers of the objects that somebody has reviewed.

    Raises
    ------
    UserError
        If the file ends otherwise, pyarrow is needed and not installed, the disk is full, or the folder cannot be
        written to.
    """
    match path.suffix.lower():
        case ".csv":
            _write_csv(path, table, rows, reviewed)
        case ".parquet":
            check_parquet()
            with atomic_write(path) as temporary:
                write_parquet(temporary, [_typed_columns(table, rows, reviewed)])
        case _:
            raise UserError(f"A table cannot be written as '{path.name}'; choose a name that ends in .csv or .parquet.")


def _typed_columns(table: ObjectTable, rows: NDArray[Any], reviewed: set[int]) -> dict[str, NDArray[Any]]:
    """Return the columns as integers, truth values or numbers."""
    columns: dict[str, NDArray[Any]] = {}
    for column, cells in zip(table.columns, table.cells[rows].T, strict=True):
        is_whole = column.is_count and np.isfinite(cells).all()
        kind = bool if column.is_yes_no and is_whole else np.int64 if is_whole else np.float64
        columns[column.title] = cells.astype(kind)
    return columns | {"Reviewed": np.isin(table.numbers[rows], list(reviewed))}


def _write_csv(path: Path, table: ObjectTable, rows: NDArray[Any], reviewed: set[int]) -> None:
    heading = [*(column.title for column in table.columns), "Reviewed"]
    cells = (
        [
            *(_csv_cell(column, value) for column, value in zip(table.columns, row, strict=True)),
            "yes" if int(row[0]) in reviewed else "no",
        ]
        for row in table.cells[rows].tolist()
    )
    write_table(path, heading, cells)


def _csv_cell(column: ObjectColumn, value: float) -> Any:
    if np.isnan(value):
        return None
    if column.is_yes_no:
        return "yes" if value else "no"
    return int(value) if column.is_count else value
