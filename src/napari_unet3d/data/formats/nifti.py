"""NIfTI through nibabel; arrays are (x, y, z) and lengths usually in mm."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import (
    Format,
    VolumeData,
    check_header,
    um_per_unit,
    unknown_type,
    valid_voxel_size,
)
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.data.sample import VoxelSize

_TYPES = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"}


def read_file(path: Path) -> VolumeData:
    """Read a volume with the scaling of its header; the array is transposed but not resampled to world axes."""
    import nibabel

    image: Any = nibabel.load(path, mmap=False)  # unlike a memory map, it does not change with the file
    kept = check_header(path, image.shape, image.get_data_dtype())
    space, _ = image.header.get_xyzt_units()
    um = um_per_unit("mm" if space == "unknown" else space) or 1e3  # most software assumes mm
    zooms = [float(image.header.get_zooms()[axis]) * um for axis in kept]
    x, y, z = (image.shape[axis] for axis in kept)
    array = np.asarray(image.dataobj).reshape((x, y, z), order="F")
    geometry = _geometry(image, um) if kept == (0, 1, 2) else None
    return VolumeData(array.transpose(), valid_voxel_size(zooms[::-1]), geometry)


def _geometry(image: Any, um: float) -> Geometry | None:
    if not (image.header["sform_code"] > 0 or image.header["qform_code"] > 0):
        return None  # nibabel would return a default
    return make_geometry(image.affine[:3, :3], image.affine[:3, 3] * um, "NIfTI")


def write_file(path: Path, array: NDArray[Any], voxel_size_um: VoxelSize, like: Path | None = None) -> None:
    """Write a volume with its voxel size in mm, at the origin or with the geometry of `like`."""
    import nibabel

    if array.dtype.name not in _TYPES:
        raise unknown_type(array, FORMAT.name)
    z, y, x = (size / 1000 for size in voxel_size_um)
    make: Any = nibabel.Nifti1Image  # without types in nibabel
    image = make(array.transpose(), np.diag([x, y, z, 1.0]), dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    source: Any = None if like is None else nibabel.load(like)
    if source is not None and source.shape[:3] == array.shape[::-1]:
        image.set_sform(source.get_sform(), int(source.header["sform_code"]))
        image.set_qform(source.get_qform(), int(source.header["qform_code"]))
        image.header.set_zooms(source.header.get_zooms()[:3])
        image.header.set_xyzt_units(source.header.get_xyzt_units()[0])
    nibabel.save(image, path)


def _read_errors() -> tuple[type[Exception], ...]:
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    return ImageFileError, HeaderDataError, ValueError, TypeError, KeyError, ArithmeticError, EOFError, zlib.error


FORMAT = Format(name="NIfTI", suffixes=(".nii.gz", ".nii"), read=read_file, write=write_file, read_errors=_read_errors)
