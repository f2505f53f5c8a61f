"""NIfTI through nibabel; arrays are (x, y, z) and lengths usually in mm."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import Format, StoredVolume, unknown_type
from napari_unet3d.data.formats.holds import Holds
from napari_unet3d.data.formats.nifti_header import check_header, damage_explained
from napari_unet3d.data.formats.units import seconds_per_unit, um_per_unit
from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.text_files import parse_json

_TYPES = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"}
_SPACES = {1: "scanner", 2: "aligned", 3: "talairach", 4: "mni", 5: "template"}  # the codes of a transformation
_UM_PER_MM = 1e3
_COMMENT, _CHANNELS = 6, "channels: "  # code of a header extension, and how that with the names begins


def list_file(path: Path, _stack: ExitStack) -> list[StoredVolume]:
    """Return the volume of a file, with the scaling of its header; it is not resampled to world axes."""
    import nibabel

    check_header(path)
    with _without_messages(), np.errstate(invalid="ignore"):  # of sizes that are infinite
        image: Any = nibabel.load(path, mmap=False)  # unlike a memory map, it does not change with the file
    stored = _stored_sizes(path, image)
    axes = "xyztc"[: len(image.shape)].ljust(len(image.shape), "?")

    def load(index: tuple[int | slice, ...]) -> NDArray[Any]:
        with damage_explained():
            return np.asarray(image.dataobj[index])

    dtype = image.get_data_dtype()
    return [
        StoredVolume(
            shape=image.shape,
            dtype=dtype,
            load=load,
            axes=axes,
            geometry_of=lambda zyx: _geometry(image, stored, tuple(zyx)[::-1]),
            channel_names=_channel_names(image),
            notices=_notices(path, image, stored),
            time_step_s=_time_step(image),
        )
    ]


def _time_step(image: Any) -> float | None:
    """Return the seconds from one time point to the next; None if the header has no unit of time."""
    zooms, unit = image.header.get_zooms(), seconds_per_unit(image.header.get_xyzt_units()[1])
    return None if unit is None or len(zooms) <= 3 or not zooms[3] > 0 else float(zooms[3]) * unit


@contextmanager
def _without_messages() -> Iterator[None]:
    """Keep nibabel from printing what it corrects in a header."""
    from nibabel import imageglobals

    def refuse(record: logging.LogRecord) -> bool:
        return False

    imageglobals.logger.addFilter(refuse)
    try:
        yield
    finally:
        imageglobals.logger.removeFilter(refuse)


def _stored_sizes(path: Path, image: Any) -> list[float]:
    """Return the sizes of a voxel along the axes as they are stored: nibabel makes a 1 of a 0, which is no size."""
    from nibabel.openers import ImageOpener

    with ImageOpener(str(path)) as file:
        header = type(image.header).from_fileobj(file, check=False)
    return [float(size) for size in header["pixdim"][1:]]


def _channel_names(image: Any) -> tuple[str, ...]:
    """Return the names that `write_channels` has put into a comment of the header; none if there is no such comment."""
    for extension in image.header.extensions:
        try:
            content = extension.get_content()
            text = content.decode() if isinstance(content, bytes) else str(content)
            if extension.get_code() == _COMMENT and text.startswith(_CHANNELS):
                return tuple(map(str, parse_json(text.removeprefix(_CHANNELS).rstrip("\0 "))))
        except (ValueError, TypeError):
            continue
    return ()


def _notices(path: Path, image: Any, stored: list[float]) -> tuple[str, ...]:
    unit, _ = image.header.get_xyzt_units()
    if unit != "unknown" or not any(_sizes(image, stored, (0, 1, 2))[0][: image.ndim]):
        return ()
    return (f"{path} has no unit of length; its voxel size is taken as mm, as is usual in NIfTI.",)


def _sizes(image: Any, stored: list[float], kept: tuple[int, ...]) -> tuple[list[float], float]:
    """Return the size of a voxel along some axes and its unit in µm; 0 where it is unknown."""
    header = image.header
    sizes = header.get_zooms()
    if _has_place(image, kept):
        sizes = np.linalg.norm(image.affine[:3, :3], axis=0)
    if not int(header["sform_code"]):  # the other ways to a place use the stored sizes
        sizes = [size if own else 0.0 for size, own in zip(sizes, stored, strict=False)]
    sizes = [float(sizes[axis]) for axis in kept if axis < len(sizes)]
    unit, _ = header.get_xyzt_units()
    if unit == "unknown" and np.allclose(sizes, 1):  # what software writes that knows no voxel size
        return [0.0] * len(sizes), 1.0
    return sizes, um_per_unit(unit) or _UM_PER_MM  # most software assumes mm


def _code(image: Any) -> int:
    return int(image.header["sform_code"]) or int(image.header["qform_code"])


def _has_place(image: Any, kept: tuple[int, ...]) -> bool:
    return _code(image) > 0 and max(kept) < 3  # without a code, nibabel returns a default


def _geometry(image: Any, stored: list[float], kept: tuple[int, ...]) -> Geometry:
    """Return the geometry for the indices of the axes x, y, z."""
    sizes, um = _sizes(image, stored, kept)
    sizes_um = [size * um for size in sizes[::-1]]
    if kept != (0, 1, 2) or not _has_place(image, kept):
        return make_geometry(sizes_um)
    matrix, origin = image.affine[:3, :3], image.affine[:3, 3] * um
    return make_geometry(sizes_um, matrix, origin, FORMAT.name, space=_SPACES.get(_code(image), ""))


def write_file(path: Path, array: NDArray[Any], geometry: Geometry) -> None:
    """Write a volume with its voxel size in mm."""
    _write(path, array, geometry, ())


def write_channels(path: Path, array: NDArray[Any], geometry: Geometry, names: tuple[str, ...]) -> None:
    """Write several channels as vectors (x, y, z, 1, channel), with their names in a comment of the header."""
    _write(path, array[:, None], geometry, names)


def write_series(path: Path, array: NDArray[Any], geometry: Geometry, time_step_s: float | None) -> None:
    """Write several time points (x, y, z, t), with their step in seconds."""
    _write(path, array, geometry, (), time_step_s)


def _write(
    path: Path, array: NDArray[Any], geometry: Geometry, names: tuple[str, ...], time_step_s: float | None = None
) -> None:
    import nibabel

    if array.dtype.name not in _TYPES:
        raise unknown_type(array, FORMAT.name)
    make: Any = nibabel.Nifti1Image  # without types in nibabel
    image = make(array.transpose(), None, dtype=array.dtype)
    if geometry.is_calibrated:
        sizes = [size / _UM_PER_MM for size in geometry.spacing[::-1]]
        image.header.set_zooms([*sizes, *[time_step_s or 1.0] * (array.ndim - len(sizes))])
        image.header.set_xyzt_units("mm", None if time_step_s is None else "sec")
    elif time_step_s is not None:
        image.header.set_zooms([*image.header.get_zooms()[:3], time_step_s])
        image.header.set_xyzt_units(None, "sec")
    if geometry.directions is not None or geometry.origin is not None:
        _set_place(image, geometry)
    if names:
        image.header.set_intent("vector")
        comment = nibabel.nifti1.Nifti1Extension(_COMMENT, (_CHANNELS + json.dumps(names)).encode())
        image.header.extensions.append(comment)
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
    volumes=list_file,
    write=write_file,
    write_channels=write_channels,
    write_series=write_series,
    names_time=False,
    read_errors=_read_errors,
    signature=rb"\x1f\x8b|\x5c\x01\0\0|\0\0\x01\x5c|\x1c\x02\0\0|\0\0\x02\x1c",  # gzip, or 348 or 540 bytes of header
    holds=lambda path: frozenset({Holds.VOXEL_SIZE, Holds.PLACE_ALONE, Holds.ORIGIN, Holds.DIRECTIONS, Holds.SHEAR}),
)
