"""NIfTI through nibabel; arrays are (x, y, z) and lengths usually in mm."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import Format, Holds, VolumeData, check_header, unknown_type
from napari_unet3d.data.formats.units import um_per_unit
from napari_unet3d.data.geometry import Geometry, make_geometry

_TYPES = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"}


_SPACES = {1: "scanner", 2: "aligned", 3: "talairach", 4: "mni", 5: "template"}  # the codes of a transformation
_UM_PER_MM = 1e3


def read_file(path: Path) -> VolumeData:
    """Read a volume with the scaling of its header; the array is transposed but not resampled to world axes."""
    import nibabel

    image: Any = nibabel.load(path, mmap=False)  # unlike a memory map, it does not change with the file
    kept = check_header(path, image.shape, image.get_data_dtype())
    x, y, z = (image.shape[axis] for axis in kept)
    array = np.asarray(image.dataobj).reshape((x, y, z), order="F")
    geometry, notices = _geometry(path, image, kept)
    return VolumeData(array.transpose(), geometry, notices)


def _geometry(path: Path, image: Any, kept: tuple[int, ...]) -> tuple[Geometry, tuple[str, ...]]:
    header = image.header
    code = int(header["sform_code"]) or int(header["qform_code"])  # without both, nibabel returns a default
    has_place = code > 0 and max(kept) < 3
    sizes = header.get_zooms()
    if has_place:
        sizes = np.linalg.norm(image.affine[:3, :3], axis=0)
    sizes = [float(sizes[axis]) for axis in kept]
    unit, _ = header.get_xyzt_units()
    um = um_per_unit(unit) or _UM_PER_MM  # most software assumes mm
    if unit == "unknown" and np.allclose(sizes, 1):  # what software writes that knows no voxel size
        sizes, um = [0.0, 0.0, 0.0], 1.0
    notice = f"{path} has no unit of length; its voxel size is taken as mm, as is usual in NIfTI."
    notices = (notice,) if unit == "unknown" and any(sizes) else ()
    sizes_um = [size * um for size in sizes[::-1]]
    if not has_place:
        return make_geometry(sizes_um), notices
    matrix, origin = image.affine[:3, :3], image.affine[:3, 3] * um
    if kept != (0, 1, 2):
        return make_geometry(sizes_um), notices
    return make_geometry(sizes_um, matrix, origin, FORMAT.name, space=_SPACES.get(code, "")), notices


def write_file(path: Path, array: NDArray[Any], geometry: Geometry) -> None:
    """Write a volume with its voxel size in mm."""
    import nibabel

    if array.dtype.name not in _TYPES:
        raise unknown_type(array, FORMAT.name)
    make: Any = nibabel.Nifti1Image  # without types in nibabel
    image = make(array.transpose(), None, dtype=array.dtype)
    if geometry.is_calibrated:
        image.header.set_zooms([size / _UM_PER_MM for size in geometry.spacing[::-1]])
        image.header.set_xyzt_units("mm")
    if geometry.directions is not None or geometry.origin is not None:
        _set_place(image, geometry)
    nibabel.save(image, path)


def _set_place(image: Any, geometry: Geometry) -> None:
    directions = np.eye(3) if geometry.directions is None else np.array(geometry.directions)
    per_um = _UM_PER_MM if geometry.is_calibrated else 1.0
    affine = np.eye(4)
    affine[:3, :3] = directions.T * np.array(geometry.spacing[::-1]) / per_um
    affine[:3, 3] = np.array(geometry.origin or (0.0, 0.0, 0.0)) / per_um
    code = next((code for code, name in _SPACES.items() if name == geometry.space), 2)
    image.set_sform(affine, code)
    is_rigid = np.allclose(directions @ directions.T, np.eye(3), rtol=0, atol=1e-4)
    image.set_qform(affine if is_rigid else None, code if is_rigid else 0)


def _read_errors() -> tuple[type[Exception], ...]:
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    return ImageFileError, HeaderDataError, ValueError, TypeError, KeyError, ArithmeticError, EOFError, zlib.error


FORMAT = Format(
    name="NIfTI",
    suffixes=(".nii.gz", ".nii"),
    read=read_file,
    write=write_file,
    read_errors=_read_errors,
    holds=lambda path: frozenset({Holds.VOXEL_SIZE, Holds.PLACE_ALONE, Holds.ORIGIN, Holds.DIRECTIONS, Holds.SHEAR}),
)
