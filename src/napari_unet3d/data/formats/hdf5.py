"""HDF5 through h5py, with the voxel sizes and axes of ilastik, PlantSeg, funlib, CREMI, Imaris and BigDataViewer."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.attributes import axes_in, axis_letters, geometry_in, names_in
from napari_unet3d.data.formats.base import Format, StoredVolume
from napari_unet3d.data.formats.gaps import describe_gaps
from napari_unet3d.data.formats.hdf5_layouts import layout_volumes
from napari_unet3d.data.formats.hdf5_sources import check_blocks, check_links, check_storage
from napari_unet3d.data.formats.holds import Holds
from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.errors import UserError

_DATASET = "data"
_CREMI = "file_format"  # the attribute by which its files are known; their lengths are in nm
_CHANNEL_NAMES = "channel_names"
_CHUNK = 64
_TIME_STEP = "time_step_s"


def list_file(path: Path, files: ExitStack) -> list[StoredVolume]:
    """Return the arrays of a file that have at least three axes; links to other files are not followed."""
    import h5py

    arrays: dict[str, Any] = {}

    def visit(name: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "buif" or node.shape is None:
            return
        if sum(length > 1 for length in node.shape) >= 3 or (node.ndim >= 3 and 0 in node.shape):
            arrays[name] = node

    file = files.enter_context(h5py.File(path, "r"))
    check_links(path, file)
    of_layout = layout_volumes(path, file)
    if of_layout is not None:
        return of_layout
    file.visititems(visit)
    return [_stored(path, name, arrays[name]) for name in sorted(arrays, key=natural_order)]


def _stored(path: Path, name: str, dataset: Any) -> StoredVolume:
    check_storage(path, dataset)
    attributes, n_axes = dict(dataset.attrs), dataset.ndim
    if _CREMI in dataset.file.attrs and name.startswith("volumes/"):
        attributes.setdefault("units", ["nm"] * n_axes)
    labels = [dimension.label for dimension in dataset.dims]
    check = cache(lambda: _check(path, dataset))  # once, before the first part is read
    axes = axes_in(attributes, n_axes) or (axis_letters(labels) if all(labels) else "")

    return StoredVolume(
        shape=dataset.shape,
        dtype=dataset.dtype,
        load=lambda index: _read(dataset, index, check),
        axes=axes,
        name=name,
        geometry_of=lambda zyx: geometry_in(attributes, n_axes, axes, zyx, FORMAT.name),
        time_step_s=float(attributes[_TIME_STEP]) if _TIME_STEP in attributes else None,
        gaps=lambda: _gaps(path, dataset, axes),
        channel_names=names_in(attributes, _CHANNEL_NAMES),
        reads_parts=True,
        chunks=tuple(dataset.chunks or ()),
    )


def _read(dataset: Any, index: tuple[int | slice, ...], check: Callable[[], None]) -> NDArray[Any]:
    check()
    return np.asarray(dataset[index])


def _check(path: Path, dataset: Any) -> None:
    """Check that the filters of an array are installed, and what its blocks take in memory."""
    import h5py

    properties = dataset.id.get_create_plist()
    for number in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            known = f" ({name.decode('utf-8', 'replace')})" if name else ""
            raise UserError(
                f"{path} is compressed with the HDF5 filter {code}{known}, which is not installed. Save it with gzip "
                "or without compression."
            )
    check_blocks(dataset)


def _gaps(path: Path, dataset: Any, axes: str) -> str:
    """Return a notice if blocks of an array were lost or never written."""
    if dataset.chunks is None:
        return ""
    n_blocks = dataset.id.get_num_chunks()
    starts = (dataset.id.get_chunk_info(number).chunk_offset for number in range(n_blocks))
    existing = {tuple(at // side for at, side in zip(start, dataset.chunks, strict=True)) for start in starts}
    return describe_gaps(path, dataset.shape, dataset.chunks, existing, lambda part: np.asarray(dataset[part]), axes)


def write_file(path: Path, array: NDArray[Any], geometry: Geometry) -> None:
    """Write the dataset ``data``, with ``element_size_um`` where the voxel size is known."""
    _write(path, array, geometry, "zyx", {})


def write_channels(path: Path, array: NDArray[Any], geometry: Geometry, names: tuple[str, ...]) -> None:
    """Write channels as the first axis of ``data``, with their names as the attribute ``channel_names``."""
    _write(path, array, geometry, "czyx", {_CHANNEL_NAMES: list(names)})


def write_series(path: Path, array: NDArray[Any], geometry: Geometry, time_step_s: float | None) -> None:
    """Write several time points as `write_file` does one, with their step in the attribute ``time_step_s``."""
    _write(path, array, geometry, "tzyx", {} if time_step_s is None else {_TIME_STEP: time_step_s})


def _write(path: Path, array: NDArray[Any], geometry: Geometry, axes: str, attributes: dict[str, Any]) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        chunks = tuple(1 if axis == "t" else min(_CHUNK, n) for axis, n in zip(axes, array.shape, strict=True))
        how = {"chunks": chunks, "compression": "gzip", "compression_opts": 1}
        dataset = file.create_dataset(_DATASET, shape=array.shape, dtype=array.dtype, **how)
        for number in range(len(array)) if axes[0] == "t" else [...]:  # one at a time, since it may be a memory map
            dataset[number] = array[number]
        for axis, name in enumerate(axes):
            dataset.dims[axis].label = name
        dataset.attrs.update(attributes)
        if geometry.is_calibrated:
            dataset.attrs["element_size_um"] = geometry.sizes
        elif any(geometry.sizes):
            dataset.attrs["voxel_size"] = [math.nan if size is None else size for size in geometry.sizes]
            if geometry.is_um:
                dataset.attrs["units"] = ["µm"] * len("zyx")
        if geometry.origin is not None:
            dataset.attrs["offset"] = geometry.origin[::-1]


FORMAT = Format(
    name="HDF5",
    suffixes=(".h5", ".hdf5", ".hdf", ".ims"),
    write=write_file,
    write_series=write_series,
    write_channels=write_channels,
    volumes=list_file,
    voxel_size="in the attributes",
    written_as={".ims": ".h5"},
    read_errors=lambda: (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError),
    signature=rb"(.{512})?\x89HDF\r\n\x1a\n",  # there may be a user block before it
    holds=lambda path: frozenset({Holds.VOXEL_SIZE, Holds.ORIGIN, Holds.PARTIAL, Holds.UNITLESS}),
)
