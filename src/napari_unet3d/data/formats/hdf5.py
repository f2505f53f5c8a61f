"""HDF5 through h5py, with the voxel sizes and axes of ilastik, PlantSeg, funlib and CREMI."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.attributes import axes_in, axis_letters, geometry_in, names_in
from napari_unet3d.data.formats.base import Format, Holds, StoredVolume
from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.geometry import Geometry

_DATASET = "data"
_CHANNEL_NAMES = "channel_names"
_CHUNK = 64


def list_file(path: Path, files: ExitStack) -> list[StoredVolume]:
    """Return the arrays of a file that have at least three axes; links to other files are not followed."""
    import h5py

    volumes: list[StoredVolume] = []

    def visit(name: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "buif" or node.shape is None:
            return
        if sum(length > 1 for length in node.shape) >= 3 or (node.ndim >= 3 and 0 in node.shape):
            volumes.append(_stored(name, node))

    files.enter_context(h5py.File(path, "r")).visititems(visit)
    volumes.sort(key=lambda volume: natural_order(volume.name))
    return volumes


def _stored(name: str, dataset: Any) -> StoredVolume:
    attributes, n_axes = dict(dataset.attrs), dataset.ndim
    labels = [dimension.label for dimension in dataset.dims]
    axes = axes_in(attributes, n_axes) or (axis_letters(labels) if all(labels) else "")

    return StoredVolume(
        shape=dataset.shape,
        dtype=dataset.dtype,
        load=lambda index: np.asarray(dataset[index]),
        axes=axes,
        name=name,
        geometry_of=lambda zyx: geometry_in(attributes, n_axes, axes, zyx, FORMAT.name),
        channel_names=names_in(attributes, _CHANNEL_NAMES),
    )


def write_file(path: Path, array: NDArray[Any], geometry: Geometry) -> None:
    """Write the dataset ``data``, with ``element_size_um`` where the voxel size is known."""
    _write(path, array, geometry, "zyx", {})


def write_channels(path: Path, array: NDArray[Any], geometry: Geometry, names: tuple[str, ...]) -> None:
    """Write channels as the first axis of ``data``, with their names as the attribute ``channel_names``."""
    _write(path, array, geometry, "czyx", {_CHANNEL_NAMES: list(names)})


def _write(path: Path, array: NDArray[Any], geometry: Geometry, axes: str, attributes: dict[str, Any]) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        chunks = tuple(min(_CHUNK, length) for length in array.shape)
        dataset = file.create_dataset(_DATASET, data=array, chunks=chunks, compression="gzip", compression_opts=1)
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
    suffixes=(".h5", ".hdf5"),
    write=write_file,
    write_channels=write_channels,
    volumes=list_file,
    voxel_size="in the attributes",
    read_errors=lambda: (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError),
    holds=lambda path: frozenset({Holds.VOXEL_SIZE, Holds.ORIGIN, Holds.PARTIAL, Holds.UNITLESS}),
)
