"""The table of the objects of a volume as CSV, written row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.inference.blockwise.stitching import ObjectColumns

_MEASURED = (
    "n_voxels",
    "touches_border",
    *(f"{what}_{axis}" for axis in "zyx" for what in ("sum", "start", "stop")),
)


def write_objects(
    path: Path, columns: ObjectColumns | None, numbers: NDArray[np.int64], geometry: Geometry, channels: Sequence[str]
) -> None:
    """Write a row per object: volume, whether it touches the border, centre, box in voxels, and mean intensities.

    Parameters
    ----------
    path : Path
        The CSV file.
    columns : ObjectColumns or None
        What was measured; None without objects.
    numbers : ndarray of int64, shape (object,)
        The number of each object; 0 for those that are left out.
    geometry : Geometry
        Voxel size and origin of the volume; places are in the unit of the voxel size, or in voxels.
    channels : sequence of str
        Names of the channels; that of a single one may be empty.
    """
    unit = geometry.unit
    heading = ["Object", f"Volume ({geometry.volume_unit})", "At border", *(f"{axis} ({unit})" for axis in "zyx")]
    heading += [f"{axis} {end} (voxels)" for axis in "zyx" for end in ("start", "stop")]
    heading += [f"Mean of {name}" if name else "Mean" for name in channels]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(heading)
        if columns is not None:
            for part, rows in columns.rows([*_MEASURED, *(f"intensity_{number}" for number in range(len(channels)))]):
                writer.writerows(_rows(numbers[part], rows, geometry, len(channels)))


def _rows(
    numbers: NDArray[np.int64], rows: dict[str, NDArray[Any]], geometry: Geometry, n_channels: int
) -> Iterator[tuple[Any, ...]]:
    kept = numbers > 0
    rows = {name: values[kept] for name, values in rows.items()}
    n_voxels = rows["n_voxels"]
    first = (geometry.origin_um or (0.0, 0.0, 0.0))[::-1] if geometry.is_calibrated else (0.0, 0.0, 0.0)
    sizes = geometry.spacing if geometry.is_calibrated else (1.0, 1.0, 1.0)
    centres = [
        rows[f"sum_{axis}"] / n_voxels * size + start for axis, size, start in zip("zyx", sizes, first, strict=True)
    ]
    boxes = [rows[f"{end}_{axis}"] for axis in "zyx" for end in ("start", "stop")]
    means = [rows[f"intensity_{number}"] / n_voxels for number in range(n_channels)]
    border = np.where(rows["touches_border"], "yes", "no")
    cells = [numbers[kept], n_voxels * geometry.voxel_volume, border, *centres, *boxes, *means]
    return zip(*(np.asarray(each).tolist() for each in cells), strict=True)
