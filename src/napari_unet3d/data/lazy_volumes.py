"""Volumes that do not fit into memory, as arrays of dask that read only what is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import VolumeData
from napari_unet3d.data.formats.ome_levels import find_image_group, level_arrays
from napari_unet3d.data.formats.select import channel_names_of
from napari_unet3d.data.opening import OpenVolume, open_volume
from napari_unet3d.data.volume_parts import exceeds_memory

_SMALL_SIDE = 512  # of the lowest resolution of a file that has only one
_CHUNK = 128


@dataclass(frozen=True, slots=True, eq=False)
class LazyVolume:
    """A volume of several resolutions, of which nothing is in memory.

    Attributes
    ----------
    levels : tuple of dask arrays
        The resolutions, the highest first, with the axes of `about`.
    about : VolumeData
        Place, axes, names and notices of the volume; its array holds no values.
    """

    levels: tuple[Any, ...]
    about: VolumeData


def open_lazily(path: Path, role: str = "") -> LazyVolume | None:
    """Open a volume whose file is larger than what fits into memory with a prediction of it; None if it fits.

    Parameters
    ----------
    path : Path
        A file, or a volume inside it. Without resolutions of its own, lower ones are every second voxel, every fourth
        and so on, for which the file is read again.
    role : str
        As of `open_volume`.

    Raises
    ------
    UserError
        As `open_volume`.
    """
    with open_volume(path, role) as opened:
        if not exceeds_memory(opened):
            return None
        axes = opened.roles.axes
        levels = [_with_axes(each, opened) for each in _stored_levels(path, opened)]
        if len(levels) == 1:
            levels += _lower_levels(levels[0])
        notices = (*opened.stored.notices, *opened.roles.notices)
        about = VolumeData(
            np.broadcast_to(np.zeros((), levels[0].dtype), levels[0].shape),
            opened.stored.geometry_of(opened.roles.zyx),
            notices,
            axes,
            channel_names_of(opened.stored, opened.roles) if "c" in axes else (),
        )
    size = f"{np.prod(levels[0].shape) * levels[0].dtype.itemsize / 2**30:.1f} GiB"
    notice = f"{path} ({size}) does not fit into memory with a prediction of it; only what is in view is read."
    return LazyVolume(tuple(levels), replace(about, notices=(*about.notices, notice)))


def _stored_levels(path: Path, opened: OpenVolume) -> list[Any]:
    """Return the resolutions that a file has, with its own axes."""
    import dask.array

    group = find_image_group(path, opened.stored.shape) if path.is_dir() else None
    if group is not None:
        return [dask.array.from_array(each, chunks=each.chunks) for each in level_arrays(group)]  # type: ignore[no-untyped-call]
    chunks = opened.stored.chunks or tuple(min(_CHUNK, side) for side in opened.stored.shape)
    file = _File(path, opened)
    return [dask.array.from_array(file, chunks=chunks)]  # type: ignore[no-untyped-call]


def _with_axes(array: Any, opened: OpenVolume) -> Any:
    """Return an array with the axes (channel, z, y, x), or (z, y, x) for a single channel."""
    roles = opened.roles
    kept = [*([] if roles.c is None else [roles.c]), *roles.zyx]
    index = tuple(slice(None) if axis in kept else 0 for axis in range(array.ndim))
    left = sorted(kept)
    return array[index].transpose([left.index(axis) for axis in kept])


def _lower_levels(array: Any) -> list[Any]:
    levels: list[Any] = []
    step = 2
    while max((levels or [array])[-1].shape[-3:]) > _SMALL_SIDE:
        levels.append(array[..., ::step, ::step, ::step])
        step *= 2
    return levels


class _File:
    """A volume in a file that is opened for each part that is read of it."""

    def __init__(self, path: Path, opened: OpenVolume) -> None:
        self._path, self._role = path, opened.role
        self.shape, self.dtype = opened.stored.shape, opened.stored.dtype.newbyteorder("=")
        self.ndim = len(self.shape)

    def __getitem__(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        with open_volume(self._path, self._role) as opened:
            return opened.stored.load(index).astype(self.dtype, copy=False)
