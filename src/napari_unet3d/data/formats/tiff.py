"""TIFF through tifffile, with voxel sizes of ImageJ and OME-TIFF."""

from __future__ import annotations

import logging
import math
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import Format, StoredVolume, unknown_type
from napari_unet3d.data.formats.holds import Holds
from napari_unet3d.data.formats.tiff_content import check_is_whole, check_length, is_lossy, missing_planes, upright
from napari_unet3d.data.formats.tiff_files import check_description
from napari_unet3d.data.formats.tiff_geometry import channel_names_of, geometry_of, time_step_of
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.errors import UserError

if TYPE_CHECKING:
    import tifffile

_IMAGEJ_TYPES = {"uint8", "uint16", "float32"}
_OME_TYPES = {"int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64"}
_IMAGEJ_BYTES = 2**32 - 2**25  # an ImageJ stack has 32-bit offsets, and space is needed for its header


def list_file(path: Path, files: ExitStack) -> list[StoredVolume]:
    """Return the volumes of a TIFF file, including tiles, pyramids and BigTIFF; each is a series of the file."""
    tif = files.enter_context(_opened(path))
    check_description(path, tif)
    if not tif.series:
        raise UserError(f"{path} holds no image. Export it again.")
    check_is_whole(path, tif)
    check_length(path, tif)
    if _is_loose_pages(tif):
        return [_stored(path, tif, None)]
    indices = _volume_indices(tif)
    volumes = [_stored(path, tif, index, missing_planes(path, tif, tif.series[index])) for index in indices]
    if len(volumes) == 1:
        return volumes
    names = _names(tif)
    return [replace(volume, name=names[index]) for volume, index in zip(volumes, indices, strict=True)]


def _stored(path: Path, tif: tifffile.TiffFile, index: int | None, n_missing: int = 0) -> StoredVolume:
    """Return a series of a file, or all its pages as one stack if there is no index."""
    series = tif.series[index or 0]
    axes, shape = series.get_axes(squeeze=False).lower(), series.get_shape(squeeze=False)
    if index is None:
        axes, shape = "zyx", (len(tif.pages), *series.shape)
    if n_missing:  # the slices are the only axis apart from y and x
        shape = tuple(length - n_missing if length == len(series) else length for length in shape)
    notice = (
        f"{path} declares {len(series)} slices and ends after {len(series) - n_missing}; those that exist are used. "
        "If the acquisition was not stopped early, copy the file again."
    )
    geometry = geometry_of(tif, index or 0)
    return StoredVolume(
        shape=shape,
        dtype=np.dtype(series.dtype),
        load=lambda part: _load_part(tif, index, shape, part),
        axes="".join(letter if letter in "tczyxs" else "?" for letter in axes),
        geometry_of=lambda zyx: geometry,
        channel_names=channel_names_of(tif, index or 0),
        notices=(notice,) if n_missing else (),
        time_step_s=time_step_of(tif, index or 0) if "t" in axes else None,
        is_lossy=is_lossy(tif),
        reads_parts=index is not None and _is_mapped(tif.series[index], shape),
    )


def _is_mapped(series: tifffile.TiffPageSeries, shape: tuple[int, ...]) -> bool:
    """Return whether a series is one uncompressed array in its file, of which parts can be read."""
    is_whole = math.prod(shape) == series.size
    return is_whole and series.dataoffset is not None and bool(series.keyframe.is_memmappable)


def _load_part(
    tif: tifffile.TiffFile, index: int | None, shape: tuple[int, ...], part: tuple[int | slice, ...]
) -> NDArray[Any]:
    """Return a part of a series; where a channel or time point is chosen, other pages are not read."""
    series = tif.series[index or 0]
    lengths = [
        range(length)[each] if isinstance(each, slice) else None for each, length in zip(part, shape, strict=True)
    ]
    is_cut = any(each is not None and len(each) < length for each, length in zip(lengths, shape, strict=True))
    if is_cut and index is not None and _is_mapped(series, shape):
        whole: NDArray[Any] = series.asarray(out="memmap").reshape(shape)
        return upright(tif, np.array(whole[part]))
    is_chosen = any(isinstance(each, int) and length > 1 for each, length in zip(part, shape, strict=True))
    n_pages = len(series)
    leading = next((n for n in range(len(shape) + 1) if math.prod(shape[:n]) == n_pages), None)
    if not is_chosen or index is None or leading is None or math.prod(shape) != series.size:
        return _load(tif, index, shape)[part]
    if n_pages == 1 and series.dataoffset is not None and series.keyframe.is_memmappable:
        mapped: NDArray[Any] = series.asarray(out="memmap").reshape(shape)[part]
        return upright(tif, np.array(mapped))
    pages = np.arange(n_pages).reshape(shape[:leading])[part[:leading]]
    if math.prod(series.keyframe.shape) * n_pages != series.size:
        return _load(tif, index, shape)[part]
    values = tif.asarray(key=pages.ravel().tolist(), series=index)
    return upright(tif, values.reshape(*pages.shape, *shape[leading:])[(..., *part[leading:])])


def _load(tif: tifffile.TiffFile, index: int | None, shape: tuple[int, ...]) -> NDArray[Any]:
    if index is None:
        return upright(tif, tif.asarray(key=slice(None)))
    values = tif.series[index].asarray()
    n_values = math.prod(shape)  # fewer where slices at the end are missing
    return upright(tif, values.reshape(-1)[:n_values].reshape(shape))


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    import tifffile

    try:
        with _broken_page_list_raises(), tifffile.TiffFile(path) as tif:
            yield tif
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        raise UserError(
            f"{path} is compressed in a way that needs imagecodecs. Install it with: "
            "pip install 'napari-unet3d[formats]', or save the volume without compression."
        ) from error


def _names(tif: tifffile.TiffFile) -> list[str]:
    """Return a name for each series: its own, unless another has it too."""
    own = [(series.name or "").replace("/", "_").strip() for series in tif.series]
    return [name if name and own.count(name) == 1 else f"series {number}" for number, name in enumerate(own)]


class _PageListErrors(logging.Handler):
    """Collects log messages of tifffile about incomplete page lists, of this thread only."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Store a message if it is about the page list."""
        message = record.getMessage()
        if record.thread == self._thread and "TiffPages" in message:
            self.messages.append(message)


@contextmanager
def _broken_page_list_raises() -> Iterator[None]:
    import tifffile

    # tifffile only logs when a file was truncated between two pages, and returns fewer slices.
    errors, logger = _PageListErrors(), tifffile.logger()
    logger.addHandler(errors)
    try:
        yield
    except UserError:
        if not errors.messages:  # with slices missing, an error about the shape would be misleading
            raise
    finally:
        logger.removeHandler(errors)
    if errors.messages:
        raise tifffile.TiffFileError("its list of slices ends too early")


def _is_loose_pages(tif: tifffile.TiffFile) -> bool:
    # For tifffile, slices that were appended one by one are separate series; other software reads them as a stack.
    kinds = {(series.shape, series.dtype) for series in tif.series}
    return len(tif.series) > 1 and len(kinds) == 1 and tif.series[0].ndim == 2


def _volume_indices(tif: tifffile.TiffFile) -> list[int]:
    """Return the series that are volumes; without any, the first, whose shape is explained to the user."""
    volumes = [
        i
        for i, series in enumerate(tif.series)
        if sum(n > 1 for axis, n in zip(series.axes, series.shape, strict=True) if axis != "S") >= 3
    ]
    return volumes or [0]


def flavour(path: Path, dtype: np.dtype[Any], n_bytes: int) -> str:
    """Return the kind of header: ``imagej`` if ImageJ supports type and size, else ``ome``, else ``plain``.

    Parameters
    ----------
    path : Path
        The file; ``.ome.tif`` is always OME.
    dtype : dtype
        Data type of the volume.
    n_bytes : int
        Size of the volume in bytes.
    """
    is_ome_file = ".ome." in path.name.lower()
    if not is_ome_file and dtype.name in _IMAGEJ_TYPES and n_bytes <= _IMAGEJ_BYTES:
        return "imagej"
    if dtype.name in _OME_TYPES or is_ome_file:
        return "ome"
    return "plain"


def write_file(path: Path, array: NDArray[Any], geometry: Geometry) -> None:
    """Write a TIFF whose voxel size Fiji, napari and OME readers find; BigTIFF from 4 GB."""
    is_partial = None in geometry.sizes and geometry.sizes != (None, None, None)
    _write(path, array, geometry, "ome" if is_partial else flavour(path, array.dtype, array.nbytes))


def write_channels(path: Path, array: NDArray[Any], geometry: Geometry, names: tuple[str, ...]) -> None:
    """Write an OME-TIFF of several channels with their names."""
    _write(path, array, geometry, "ome", {"axes": "CZYX", "Channel": {"Name": list(names)}})


def write_series(path: Path, array: NDArray[Any], geometry: Geometry, time_step_s: float | None) -> None:
    """Write several time points, as frames of an ImageJ hyperstack where that is possible, else as OME-TIFF."""
    kind = "ome" if None in geometry.sizes else flavour(path, array.dtype, array.nbytes)
    axes: dict[str, Any] = {"axes": "TZYX"}
    if time_step_s is not None:
        axes |= {"finterval": time_step_s} if kind == "imagej" else {"TimeIncrement": time_step_s}
        axes |= {} if kind == "imagej" else {"TimeIncrementUnit": "s"}
    _write(path, array, geometry, "ome" if kind == "plain" else kind, axes)


def _write(
    path: Path, array: NDArray[Any], geometry: Geometry, kind: str, axes: Mapping[str, Any] = MappingProxyType({})
) -> None:
    import tifffile

    z, y, x = geometry.sizes
    if kind == "ome" and array.dtype.name not in _OME_TYPES:
        raise unknown_type(array, "OME-TIFF")
    metadata: dict[str, Any] = {"axes": "ZYX", **axes}
    if kind == "ome":
        for axis, size in zip("ZYX", geometry.sizes, strict=True):
            if size is not None:
                unit = "µm" if geometry.is_um else "pixel"
                metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": unit}
    elif z is not None:
        metadata |= {"spacing": z, "unit": "um" if geometry.is_um else "pixel"}
    planes = array if array.ndim == len("zyx") else (plane for stack in array for plane in stack)  # one at a time
    tifffile.imwrite(
        path,
        planes,
        shape=array.shape,
        dtype=array.dtype,
        imagej=kind == "imagej",
        ome=kind == "ome",
        metadata=metadata,
        resolution=(1 / (x or 1.0), 1 / (y or 1.0)),
        resolutionunit="NONE",
        photometric="minisblack",  # an axis of length 3 is not colour
    )


def _read_errors() -> tuple[type[Exception], ...]:
    import tifffile

    # tifffile checks little of a header before using it; truncated and corrupted files raise all of these.
    return (
        tifffile.TiffFileError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        AssertionError,
        RuntimeError,
        struct.error,
        zlib.error,
        ElementTree.ParseError,
    )


FORMAT = Format(
    name="TIFF, ImageJ TIFF, OME-TIFF",
    suffixes=(".ome.tiff", ".ome.tif", ".tiff", ".tif"),
    volumes=list_file,
    write=write_file,
    write_channels=write_channels,
    write_series=write_series,
    read_errors=_read_errors,
    signature=rb"II[*+]\0|MM\0[*+]",
    holds=lambda path: frozenset({Holds.VOXEL_SIZE, Holds.PARTIAL, Holds.UNITLESS}),
)
