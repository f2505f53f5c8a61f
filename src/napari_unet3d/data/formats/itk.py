"""NRRD, MetaImage and MRC through SimpleITK, which is optional."""

from __future__ import annotations

import errno
import math
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import Format, VolumeData, check_header, unknown_type, valid_voxel_size
from napari_unet3d.data.formats.itk_header import nrrd_sizes_um, read_header, um_per_length
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.data.sample import VoxelSize
from napari_unet3d.errors import UserError

_ERRORS = (RuntimeError, ValueError, zlib.error)  # SimpleITK raises all errors of ITK as RuntimeError
_MRC_HEADER_BYTES, _MRC_CELL_OFFSET = 1024, 40
_UM_PER_ANGSTROM, _UM_PER_MM = 1e-4, 1e3
_DIRECTIONS = {"spacedirections", "transformmatrix", "rotation", "orientation"}
_ORIGINS = {"spaceorigin", "offset", "position", "origin"}
_READERS = {".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO", ".mha": "MetaImageIO", ".mhd": "MetaImageIO"} | {
    ".mrc": "MRCImageIO"
}


def read_file(path: Path) -> VolumeData:
    """Read a volume; lengths are in Å in MRC, by default in mm in MetaImage, and in the given unit in NRRD."""
    itk = _simpleitk(path)
    try:
        return _read_file(itk, path)
    except RuntimeError as error:
        raise ValueError(_reason(str(error))) from error


def _read_file(itk: Any, path: Path) -> VolumeData:
    reader, fields = _header(itk, path)
    if reader.GetNumberOfComponents() > 1:
        raise UserError(
            f"{path} has {reader.GetNumberOfComponents()} values per voxel; save one channel as a separate file."
        )
    shape = reader.GetSize()[::-1]
    dtype = _dtype(itk, reader.GetPixelID())
    kept = check_header(path, shape, dtype)
    if path.suffix.lower() == ".mrc" and path.stat().st_size < _MRC_HEADER_BYTES + math.prod(shape) * dtype.itemsize:
        raise ValueError("it is shorter than its header says")  # ITK would return uninitialised memory
    array = itk.GetArrayFromImage(reader.Execute())
    spacing = _sizes_um(path, fields, reader)[::-1]
    voxel_size = valid_voxel_size([spacing[axis] for axis in kept])
    return VolumeData(array.reshape([shape[axis] for axis in kept]), voxel_size, _geometry(path, fields, reader))


def _geometry(path: Path, fields: Mapping[str, str], reader: Any) -> Geometry | None:
    if reader.GetDimension() != 3 or not _DIRECTIONS & {*fields}:
        return None
    matrix, origin = np.reshape(reader.GetDirection(), (3, 3)), np.array(reader.GetOrigin())
    um = um_per_length(path, fields) if _ORIGINS & {*fields} else None
    to_right_front_up = np.array([-1.0, -1.0, 1.0])  # from ITK's left, back, up
    origin_um = None if um is None else origin * to_right_front_up * um
    return make_geometry(matrix * to_right_front_up[:, None], origin_um, "ITK")


def _sizes_um(path: Path, fields: Mapping[str, str], reader: Any) -> list[float | None]:
    """Return the size of a voxel in µm along x, y, z; None where the file has none, for which ITK has 1."""
    spacing = reader.GetSpacing()
    match path.suffix.lower():
        case ".mrc":
            with path.open("rb") as file:
                cell = np.frombuffer(file.read(_MRC_HEADER_BYTES), np.float32, 3, _MRC_CELL_OFFSET)
            return [size * _UM_PER_ANGSTROM if side else None for size, side in zip(spacing, cell, strict=False)]
        case ".mha" | ".mhd":
            um = um_per_length(path, fields) if {"elementspacing", "elementsize"} & {*fields} else None
            return [um and size * um for size in spacing]
        case _:
            sizes = nrrd_sizes_um(fields)
            return sizes if len(sizes) == len(spacing) else [None] * len(spacing)


def _header(itk: Any, path: Path) -> tuple[Any, dict[str, str]]:
    suffix = path.suffix.lower()
    fields = {} if suffix == ".mrc" else read_header(path)
    reader = itk.ImageFileReader()
    reader.SetImageIO(_READERS[suffix])  # otherwise ITK chooses one by the content
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader, fields


def _reason(message: str) -> str:
    """Return an error message of ITK without positions in its source code."""
    lines = message.strip().splitlines() or [""]
    line = lines[-1] if "[nrrd]" in lines[-1] else lines[min(1, len(lines) - 1)]
    return re.sub(r"^(\S+ ?ERROR: (\w+\(0x[0-9a-f]+\): )?|\[nrrd\] \w+: )", "", line)


def _dtype(itk: Any, pixel_id: int) -> np.dtype[Any]:
    one_voxel = itk.Image([1, 1, 1], pixel_id)
    dtype: np.dtype[Any] = itk.GetArrayViewFromImage(one_voxel).dtype
    return dtype


def _um_per_written_length(path: Path) -> float:
    return _UM_PER_ANGSTROM if path.suffix.lower() == ".mrc" else _UM_PER_MM


def _simpleitk(path: Path) -> Any:
    try:
        import SimpleITK
    except ImportError:
        raise UserError(
            f"Reading and writing {path.suffix} needs SimpleITK. Install it with: pip install 'napari-unet3d[formats]'"
        ) from None
    itk: Any = SimpleITK
    itk.ProcessObject.SetGlobalWarningDisplay(False)  # all messages are in the exceptions
    return itk


def write_file(path: Path, array: NDArray[Any], voxel_size_um: VoxelSize, like: Path | None = None) -> None:
    """Write a volume with its voxel size in the format's unit, at the origin or with the geometry of `like`."""
    itk = _simpleitk(path)
    try:
        image = itk.GetImageFromArray(array)
        unit = _um_per_written_length(path)
        image.SetSpacing([size / unit for size in voxel_size_um[::-1]])
        source, fields = (None, {}) if like is None else _header(itk, like)
        if like is not None and source is not None and source.GetSize() == image.GetSize():
            source_unit = unit if like.suffix.lower() == ".mrc" else um_per_length(like, fields) or unit
            image.SetOrigin([length * source_unit / unit for length in source.GetOrigin()])
            image.SetDirection(source.GetDirection())
        itk.WriteImage(image, str(path))
    except (TypeError, KeyError) as error:
        raise unknown_type(array, FORMAT.name) from error
    except _ERRORS as error:
        _explain_writing(str(error), array)


def _explain_writing(message: str, array: NDArray[Any]) -> None:
    if "pixel types" in message:
        raise unknown_type(array, "MRC")
    if "wrote only" in message or "Could not write" in message or "No space" in message:
        raise OSError(errno.ENOSPC, "No space left on device")  # ITK's writers have no errno
    if "File too large" in message:
        raise OSError(errno.EFBIG, "File too large")
    raise OSError(message.strip().splitlines()[-1])


FORMAT = Format(
    name="NRRD, MetaImage, MRC",
    suffixes=(".nrrd", ".nhdr", ".mha", ".mhd", ".mrc"),
    read=read_file,
    write=write_file,
    read_errors=lambda: _ERRORS,
    extra="formats",
    # A separate header and its data cannot be replaced atomically, so they are written as one file.
    written_as={".mhd": ".mha", ".nhdr": ".nrrd"},
)
