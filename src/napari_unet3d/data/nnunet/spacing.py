"""The voxel size of TIFF files of nnU-Net: numbers without a unit in ``ID.json`` beside the images ``ID_0000.tif``."""

from __future__ import annotations

import math
from pathlib import Path

from napari_unet3d.data.geometry import Geometry, VoxelSize, describe_voxel_size, make_geometry
from napari_unet3d.errors import UserError
from napari_unet3d.files import write_json
from napari_unet3d.paths import is_file
from napari_unet3d.text_files import read_json_object

_KEY = "spacing"
_SAME = 1e-3  # relative difference of rounded numbers


def spacing_file(folder: Path, case: str) -> Path:
    """Return the file with the voxel size of a case, in the folder of its images or of its labels."""
    return folder / f"{case}.json"


def write_spacing(folder: Path, case: str, geometry: Geometry) -> None:
    """Write the sides of a voxel along z, y, x, the order of the axes in the file; nothing where one is unknown."""
    if None not in geometry.sizes:
        write_json(spacing_file(folder, case), {_KEY: list(geometry.sizes)})


def read_spacing(folder: Path, case: str) -> VoxelSize | None:
    """Return the sides of a voxel along z, y, x in an unknown unit; None if there is no such file.

    Raises
    ------
    UserError
        If the file holds no voxel size.
    """
    file = spacing_file(folder, case)
    if not is_file(file):
        return None
    try:
        z, y, x = (float(size) for size in read_json_object(file)[_KEY])
    except (LookupError, TypeError, ValueError):
        z = y = x = math.nan
    if not all(0 < size < math.inf for size in (z, y, x)):
        raise UserError(
            f'{file} holds no voxel size; write {{"{_KEY}": [2.0, 0.5, 0.5]}} with the sizes along z, y, x.'
        )
    return z, y, x


def with_spacing(
    geometry: Geometry, spacing: VoxelSize | None, name: str, um: float | None = None
) -> tuple[Geometry, str]:
    """Return the geometry of a file completed by the voxel size beside it, and what was assumed.

    Parameters
    ----------
    geometry : Geometry
        What the header of the file says.
    spacing : tuple of float, or None
        What `read_spacing` returns.
    name : str
        The name of the file, for the message.
    um : float, optional
        The unit of the spacing in µm, if it is known.

    Returns
    -------
    Geometry, str
        In µm if the header has a length that tells the unit of the spacing, or the unit is given; the message is empty
        if nothing was assumed.

    Examples
    --------
    >>> with_spacing(Geometry((None, 0.5, 0.5)), (2.0, 0.5, 0.5), "a.tif")[0].voxel_size_um
    (2.0, 0.5, 0.5)
    >>> with_spacing(Geometry(), (2.0, 0.5, 0.5), "a.tif", um=1e3)[0].voxel_size_um
    (2000.0, 500.0, 500.0)
    """
    if spacing is None:
        return geometry, ""
    units = {
        size / own for size, own in zip(geometry.sizes, spacing, strict=True) if size is not None and geometry.is_um
    }
    beside = describe_voxel_size(Geometry(spacing, is_um=False))
    if not units and um is None:
        found = make_geometry(spacing, is_um=False)
        known = None not in found.sizes
        return found, f"The voxel size of {name} is {beside}; say its unit with the spacing unit." if known else ""
    unit = um if um is not None else max(units)
    if units and max(abs(each / unit - 1) for each in units) > _SAME:
        return geometry, (
            f"The header of {name} says {describe_voxel_size(geometry)}, and the file beside it {beside}; the header "
            "is used."
        )
    return geometry if geometry.is_calibrated else geometry.with_sizes_um([size * unit for size in spacing]), ""
