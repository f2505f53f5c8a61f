"""NRRD, MetaImage and MRC through SimpleITK, which is optional."""

from __future__ import annotations

import errno
import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats import mrc_header
from napari_unet3d.data.formats.base import Format, StoredVolume, unknown_type
from napari_unet3d.data.formats.holds import Holds
from napari_unet3d.data.formats.itk_header import nrrd_sizes, read_header, remove_place, um_per_length
from napari_unet3d.data.formats.plain_names import plain_path, plain_target
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.errors import UserError
from napari_unet3d.text_files import parse_json

_ERRORS = (RuntimeError, ValueError, zlib.error)  # SimpleITK raises all errors of ITK as RuntimeError
_MRC_HEADER_BYTES = 1024
_UM_PER_ANGSTROM, _UM_PER_MM = 1e-4, 1e3
_DIRECTIONS = {"spacedirections", "transformmatrix", "rotation", "orientation"}
_ORIGINS = {"spaceorigin", "offset", "position", "origin"}
_CHANNELS = "channels"  # the field of a header with the names of channels
_MRC = (".mrc", ".rec", ".map")
_READERS = {
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
} | dict.fromkeys(_MRC, "MRCImageIO")


def list_file(path: Path, files: ExitStack) -> list[StoredVolume]:
    """Return the volume of a file; lengths are in Å in MRC, by default in mm in MetaImage, as given in NRRD."""
    itk = _simpleitk(path)
    with _reason_of_errors():
        reader, fields = _header(itk, path, plain_path(path, files))
        shape, n_channels = reader.GetSize()[::-1], reader.GetNumberOfComponents()
        dtype = _dtype(itk, reader.GetPixelID())
    if path.suffix.lower() in _MRC and path.stat().st_size < _MRC_HEADER_BYTES + math.prod(shape) * dtype.itemsize:
        raise ValueError("it is shorter than its header says")  # ITK would return uninitialised memory

    def load(index: tuple[int | slice, ...]) -> NDArray[Any]:
        with _reason_of_errors():
            array: NDArray[Any] = itk.GetArrayFromImage(reader.Execute())
        is_bytes = path.suffix.lower() in _MRC and array.dtype.itemsize == 1
        return (array.view(mrc_header.byte_type(path)) if is_bytes else array)[index]

    is_vector = n_channels > 1
    return [
        StoredVolume(
            shape=(*shape, n_channels) if is_vector else tuple(shape),
            dtype=dtype,
            load=load,
            axes=_axes(path, len(shape), fields) + "c" * is_vector,
            geometry_of=lambda zyx: _geometry(path, fields, reader, tuple(zyx)),
            channel_names=_channel_names(reader) if is_vector else (),
        )
    ]


def _channel_names(reader: Any) -> tuple[str, ...]:
    """Return the names that `write_channels` has written; none if the header has no such field."""
    if not reader.HasMetaDataKey(_CHANNELS):
        return ()
    try:
        return tuple(map(str, parse_json(reader.GetMetaData(_CHANNELS))))
    except (ValueError, TypeError):
        return ()


def _axes(path: Path, n_axes: int, fields: Mapping[str, str]) -> str:
    """Return a letter for each axis, the slowest first: t where NRRD says time, z, y, x for the last of the others."""
    if path.suffix.lower() in _MRC and n_axes == len("zyx"):
        return mrc_header.axes(path)
    kinds = fields.get("kinds", "").lower().split()[::-1]
    if len(kinds) != n_axes or kinds.count("time") != 1:
        return "zyx".rjust(n_axes, "?")[-n_axes:]
    space = iter("zyx".rjust(n_axes - 1, "?")[1 - n_axes :])
    return "".join("t" if kind == "time" else next(space) for kind in kinds)


@contextmanager
def _reason_of_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ValueError(_reason(str(error))) from error


def _geometry(path: Path, fields: Mapping[str, str], reader: Any, kept: tuple[int, ...]) -> Geometry:
    if path.suffix.lower() in _MRC:
        sizes = [None if size is None else size * _UM_PER_ANGSTROM for size in mrc_header.sizes(path)[::-1]]
        origin_um = np.array(reader.GetOrigin()) * _UM_PER_ANGSTROM
        return make_geometry(sizes, None, origin_um if origin_um.any() else None, "MRC")
    sizes, is_um = _sizes(path, fields, reader)
    sizes = [sizes[::-1][axis] for axis in kept]
    if reader.GetDimension() != 3 or not _DIRECTIONS & {*fields}:
        return make_geometry(sizes, is_um=is_um)
    matrix, origin = np.reshape(reader.GetDirection(), (3, 3)), np.array(reader.GetOrigin())
    um = um_per_length(path, fields) if is_um else 1.0
    to_right_front_up = np.array([-1.0, -1.0, 1.0])  # from ITK's left, back, up
    has_origin = um is not None and bool(_ORIGINS & {*fields})
    first = origin * to_right_front_up * um if has_origin else None
    return make_geometry(sizes, matrix * to_right_front_up[:, None], first, "ITK", is_um=is_um)


def _sizes(path: Path, fields: Mapping[str, str], reader: Any) -> tuple[list[float | None], bool]:
    """Return the size of a voxel along x, y, z, None where the file has none, and whether it is in µm."""
    spacing = reader.GetSpacing()
    match path.suffix.lower():
        case ".mha" | ".mhd":
            um = um_per_length(path, fields)
            is_given = bool({"elementspacing", "elementsize"} & {*fields})
            return [size * (um or 1.0) if is_given else None for size in spacing], um is not None
        case _:
            found, is_um = nrrd_sizes(fields)
            if len(found) == len(spacing) + 1:  # one of the axes holds the channels
                kinds = fields.get("kinds", "").lower().split()
                of_space = [kind in ("domain", "space") for kind in kinds]
                channels = of_space.index(False) if of_space.count(False) == 1 else 0
                found = [size for axis, size in enumerate(found) if axis != channels]
            return (found, is_um) if len(found) == len(spacing) else ([None] * len(spacing), True)


def _header(itk: Any, path: Path, plain: Path) -> tuple[Any, dict[str, str]]:
    suffix = path.suffix.lower()
    fields = {} if suffix in _MRC else read_header(path)
    if suffix in _MRC:
        mrc_header.check_mode(path)
    reader = itk.ImageFileReader()
    reader.SetImageIO(_READERS[suffix])  # otherwise ITK chooses one by the content
    reader.SetFileName(str(plain))
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


def write_file(path: Path, array: NDArray[Any], geometry: Geometry) -> None:
    """Write a volume with its geometry, in Å in MRC and in mm in NRRD and MetaImage."""
    _write(path, array, geometry, ())


def write_channels(path: Path, array: NDArray[Any], geometry: Geometry, names: tuple[str, ...]) -> None:
    """Write several channels as vectors, with their names as a field of the header; MRC has no vectors.

    Raises
    ------
    UserError
        For MRC.
    """
    if path.suffix.lower() == ".mrc":
        raise UserError(f"MRC holds a single channel, not {len(array)}. Choose .tif or .nrrd instead.")
    _write(path, np.moveaxis(array, 0, -1), geometry, names)


def _write(path: Path, array: NDArray[Any], geometry: Geometry, names: tuple[str, ...]) -> None:
    itk = _simpleitk(path)
    try:
        image = itk.GetImageFromArray(np.ascontiguousarray(array), isVector=bool(names))
        if names:
            image.SetMetaData(_CHANNELS, json.dumps(names))
        is_mrc = path.suffix.lower() == ".mrc"
        um = (_UM_PER_ANGSTROM if is_mrc else _UM_PER_MM) if geometry.is_calibrated else 1.0
        image.SetSpacing([size / um for size in geometry.spacing[::-1]])
        to_left_back_up = np.array([1.0, 1.0, 1.0] if is_mrc else [-1.0, -1.0, 1.0])
        has_place = geometry.directions is not None or geometry.origin is not None
        if has_place and not is_mrc:
            directions = np.eye(3) if geometry.directions is None else np.array(geometry.directions)
            image.SetDirection((directions.T * to_left_back_up[:, None]).ravel().tolist())
        if geometry.origin is not None:
            image.SetOrigin((np.array(geometry.origin) * to_left_back_up / um).tolist())
        with plain_target(path) as target:
            itk.WriteImage(image, str(target))
    except (TypeError, KeyError) as error:
        raise unknown_type(array, FORMAT.name) from error
    except _ERRORS as error:
        _explain_writing(str(error), array)
    if is_mrc:
        mrc_header.complete(path, has_cell=geometry.is_calibrated, is_unsigned=array.dtype == np.uint8)
    elif not geometry.is_calibrated or not has_place:
        remove_place(path, geometry.spacing if geometry.is_calibrated else None)


def _explain_writing(message: str, array: NDArray[Any]) -> None:
    if "pixel types" in message:
        raise unknown_type(array, "MRC")
    if "wrote only" in message or "Could not write" in message or "No space" in message:
        raise OSError(errno.ENOSPC, "No space left on device")  # ITK's writers have no errno
    if "File too large" in message:
        raise OSError(errno.EFBIG, "File too large")
    raise OSError(message.strip().splitlines()[-1])


def _holds(path: Path) -> frozenset[Holds]:
    parts = {Holds.VOXEL_SIZE, Holds.ORIGIN}
    return frozenset(parts if path.suffix.lower() == ".mrc" else {*parts, Holds.DIRECTIONS})


FORMAT = Format(
    name="NRRD, MetaImage, MRC",
    suffixes=(".nrrd", ".nhdr", ".mha", ".mhd", *_MRC),
    volumes=list_file,
    write=write_file,
    write_channels=write_channels,
    read_errors=lambda: _ERRORS,
    extra="formats",
    signature=rb"NRRD|\w+ *=|.{12}([\0-\x10\x65]\0\0\0|\0\0\0[\0-\x10\x65])",  # of MRC, the data type
    holds=_holds,
    # A separate header and its data cannot be replaced atomically, so they are written as one file.
    written_as={".mhd": ".mha", ".nhdr": ".nrrd", ".rec": ".mrc", ".map": ".mrc"},
)
