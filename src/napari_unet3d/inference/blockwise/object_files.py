"""The table of the objects of a volume as CSV or Parquet, written piece by piece."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.evaluation.reports.parquet import SUFFIX, write_parquet
from napari_unet3d.inference.blockwise.stitching import ObjectColumns

_MEASURED = (
    "n_voxels",
    "touches_border",
    *(f"{what}_{axis}" for axis in "zyx" for what in ("sum", "start", "stop")),
)
_BORDER = 2  # the column that is yes or no


def write_objects(
    path: Path, columns: ObjectColumns | None, numbers: NDArray[np.int64], geometry: Geometry, channels: Sequence[str]
) -> None:
    """Write a row per object: volume, whether it touches the border, centre, box in voxels, and mean intensities.

    Parameters
    ----------
    path : Path
        The file; Parquet if it ends so, else CSV.
    columns : ObjectColumns or None
        What was measured; None without objects.
    numbers : ndarray of int64, shape (object,)
        The number of each object; 0 for those that are left out.
    geometry : Geometry
        Voxel size and origin of the volume; places are in the unit of the voxel size, or in voxels.
    channels : sequence of str
        Names of the channels; that of a single one may be empty.
    """
    heading, batches = _heading(geometry, channels), _batches(columns, numbers, geometry, len(channels))
    if path.suffix == SUFFIX:
        write_parquet(path, (dict(zip(heading, cells, strict=True)) for cells in batches))
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(heading)
        for cells in batches:
            cells[_BORDER] = np.where(cells[_BORDER], "yes", "no")
            writer.writerows(zip(*(each.tolist() for each in cells), strict=True))


def _heading(geometry: Geometry, channels: Sequence[str]) -> list[str]:
    unit = geometry.unit
    heading = ["Object", f"Volume ({geometry.volume_unit})", "At border", *(f"{axis} ({unit})" for axis in "zyx")]
    heading += [f"{axis} {end} (voxels)" for axis in "zyx" for end in ("start", "stop")]
    return heading + [f"Mean of {name}" if name else "Mean" for name in channels]


def _batches(
    columns: ObjectColumns | None, numbers: NDArray[np.int64], geometry: Geometry, n_channels: int
) -> Iterator[list[NDArray[Any]]]:
    """Yield the columns of the table, so many rows at a time that they fit into memory; at least once."""
    names = [*_MEASURED, *(f"intensity_{number}" for number in range(n_channels))]
    if columns is None or not len(numbers):
        none = {name: np.zeros(0, float if name.startswith("intensity") else np.int64) for name in names}
        yield _cells(np.zeros(0, np.int64), none, geometry, n_channels)
        return
    for part, rows in columns.rows(names):
        yield _cells(numbers[part], rows, geometry, n_channels)


def _cells(
    numbers: NDArray[np.int64], rows: dict[str, NDArray[Any]], geometry: Geometry, n_channels: int
) -> list[NDArray[Any]]:
    kept = numbers > 0
    rows = {name: values[kept] for name, values in rows.items()}
    n_voxels = rows["n_voxels"]
    first = (geometry.origin_um or (0.0, 0.0, 0.0))[::-1] if geometry.is_calibrated else (0.0, 0.0, 0.0)
    sizes = geometry.spacing if geometry.is_calibrated else (1.0, 1.0, 1.0)
    centres = [
        rows[f"sum_{axis}"] / n_voxels * size + start for axis, size, start in zip("zyx", sizes, first, strict=True)
    ]
    boxes = [rows[f"{end}_{axis}"].astype(np.int64) for axis in "zyx" for end in ("start", "stop")]
    means = [rows[f"intensity_{number}"] / n_voxels for number in range(n_channels)]
    border = rows["touches_border"].astype(bool)
    return [numbers[kept].astype(np.int64), n_voxels * geometry.voxel_volume, border, *centres, *boxes, *means]
