"""Volumes that are read box by box, so that they need not fit into memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box
from napari_unet3d.data.formats.base import StoredVolume
from napari_unet3d.data.formats.header_checks import check_type
from napari_unet3d.data.formats.registry import split_path, volume_name
from napari_unet3d.data.formats.select import channel_names_of, find_axes
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.opening import OpenVolume
from napari_unet3d.data.sample import Shape3D, format_shape
from napari_unet3d.data.time_points import several_time_points
from napari_unet3d.errors import UserError, explain_os_errors

_NORMALISED_BYTES, _OUTPUT_BYTES = 4, 8  # per voxel: a channel in float32; probability, labels and what they take
_FRACTION_OF_MEMORY = 0.6


@dataclass(frozen=True, slots=True)
class VolumeParts:
    """A volume in a file that is open, of which boxes are read; only valid while the file is.

    Attributes
    ----------
    opened : OpenVolume
        The volume.
    channel_axis : int or None
        The axis of the file along which the channels are; None for a single one.
    """

    opened: OpenVolume
    channel_axis: int | None

    @property
    def path(self) -> Path:
        """The path of the volume."""
        return self.opened.path

    @property
    def name(self) -> str:
        """The name of the volume."""
        return volume_name(self.opened.path) if self.opened.is_file else str(self.opened.path)

    @property
    def shape(self) -> Shape3D:
        """Number of voxels along z, y, x."""
        return self._along_zyx(self.opened.stored.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The data type, in the byte order of this computer."""
        return self.opened.stored.dtype.newbyteorder("=")

    @property
    def geometry(self) -> Geometry:
        """Voxel size, orientation and origin, as far as the file has them."""
        return self.opened.stored.geometry_of(self.opened.roles.zyx)

    @property
    def chunks(self) -> Shape3D | None:
        """The parts (z, y, x) that are compressed together in the file; None if there are none."""
        return self._along_zyx(self.opened.stored.chunks) if self.opened.stored.chunks else None

    @property
    def shards(self) -> Shape3D | None:
        """The parts (z, y, x) of several chunks that are stored in a file each; None if there are none."""
        return self._along_zyx(self.opened.stored.shards) if self.opened.stored.shards else None

    @property
    def channel_names(self) -> tuple[str, ...]:
        """A name for each channel; empty for a single one without an axis."""
        if self.channel_axis is None:
            return ()
        if self.channel_axis == self.opened.roles.c:
            return channel_names_of(self.opened.stored, self.opened.roles)
        return tuple(f"channel {number + 1}" for number in range(self.opened.stored.shape[self.channel_axis]))

    def read(self, box: Box, channels: Sequence[int] = (0,)) -> NDArray[Any]:
        """Read a box of some channels.

        Parameters
        ----------
        box : tuple of slice
            Along z, y, x, within the volume.
        channels : sequence of int
            The channels, counted from 0.

        Returns
        -------
        ndarray, shape (channel, z, y, x)
        """
        sides = dict(zip(self.opened.roles.zyx, box, strict=True))
        parts = []
        for channel in channels:
            index: list[int | slice] = [sides.get(axis, 0) for axis in range(len(self.opened.stored.shape))]
            if self.channel_axis is not None:
                index[self.channel_axis] = channel
            kept = sorted(sides)
            with explain_os_errors(self.path, "read"):
                part = self.opened.stored.load(tuple(index)).transpose([kept.index(axis) for axis in sides])
            parts.append(part.astype(self.dtype, copy=False))
        return parts[0][None] if len(parts) == 1 else np.stack(parts)

    def file_of(self, start: Shape3D, channel: int) -> Path:
        """Return the file with a voxel (z, y, x) of a channel."""
        stored = self.opened.stored
        if stored.file_of is None:
            return split_path(self.path)[0]
        index = [0] * len(stored.shape)
        for axis, at in zip(self.opened.roles.zyx, start, strict=True):
            index[axis] = at
        if self.channel_axis is not None:
            index[self.channel_axis] = channel
        return stored.file_of(index)

    def _along_zyx(self, lengths: Sequence[int]) -> Shape3D:
        z, y, x = (int(lengths[axis]) for axis in self.opened.roles.zyx)
        return z, y, x


def exceeds_memory(opened: OpenVolume, extra_bytes: int = 0) -> bool:
    """Return whether a volume is predicted block by block, since its prediction would take most of the memory.

    It does not depend on how much memory is free at the moment, so that results have the same names every time.

    Parameters
    ----------
    opened : OpenVolume
        The volume in its file; a series, a colour image and a file that is not read in parts are never predicted so.
    extra_bytes : int
        Bytes per voxel that the outputs of a model take in addition to those of a binary one.
    """
    stored, roles = opened.stored, opened.roles
    if not stored.reads_parts or roles.is_colour or roles.t is not None:
        return False
    n_channels = 1 if roles.c is None else stored.shape[roles.c]
    per_voxel = n_channels * (stored.dtype.itemsize + _NORMALISED_BYTES) + _OUTPUT_BYTES + extra_bytes
    n_voxels = math.prod(int(stored.shape[axis]) for axis in roles.zyx)
    return bool(n_voxels * per_voxel > _FRACTION_OF_MEMORY * psutil.virtual_memory().total)


def open_arrays(
    name: str, channels: Sequence[Any], geometry: Geometry, channel_names: Sequence[str] = (), path: Path | None = None
) -> OpenVolume:
    """Return a volume of arrays that are read in parts, such as those of dask or zarr, as one that is open.

    Parameters
    ----------
    name : str
        Its name.
    channels : sequence of array-like, each of shape (z, y, x)
        One array per channel.
    geometry : Geometry
        Where it lies.
    channel_names : sequence of str
        One name per channel; empty for a single one.
    path : Path, optional
        The file that the arrays are read from, if it is known.
    """
    shape, dtype = tuple(int(side) for side in channels[0].shape), np.result_type(*(each.dtype for each in channels))

    def load(index: tuple[int | slice, ...]) -> NDArray[Any]:
        box = index[-3:]
        if len(channels) == 1 and len(index) == 3:
            return np.asarray(channels[0][box])
        chosen = index[0]
        if isinstance(chosen, slice):
            return np.stack([np.asarray(each[box]) for each in channels[chosen]])
        return np.asarray(channels[chosen][box])

    axes = "zyx" if not channel_names else "czyx"
    sides = shape if not channel_names else (len(channels), *shape)
    chunks = _chunks_of(channels[0])
    stored = StoredVolume(
        shape=sides,
        dtype=np.dtype(dtype),
        load=load,
        axes=axes,
        geometry_of=lambda _axes: geometry,
        channel_names=tuple(channel_names),
        reads_parts=True,
        chunks=() if not chunks else chunks if not channel_names else (1, *chunks),
    )
    source = path or Path(name)
    return OpenVolume(source, stored, find_axes(source, sides, axes), "images", is_file=path is not None)


def _chunks_of(array: Any) -> tuple[int, ...]:
    """Return the largest chunk of an array of dask or zarr; empty for others."""
    chunks = getattr(array, "chunks", None) or ()
    return tuple(int(max(side)) if isinstance(side, tuple) else int(side) for side in chunks)


def volume_parts(opened: OpenVolume, *, times_as_channels: bool = False) -> VolumeParts:
    """Return a volume whose boxes can be read.

    Parameters
    ----------
    opened : OpenVolume
        The volume in its file.
    times_as_channels : bool
        Use several time points as channels, if there are no other channels.

    Raises
    ------
    UserError
        If boxes cannot be read without the rest of the volume, it is a colour image or a series, or it has no real
        numbers or a single slice.
    """
    stored, roles, path = opened.stored, opened.roles, opened.path
    check_type(path, stored.dtype)
    if not stored.reads_parts:
        raise UserError(
            f"{path} cannot be read in parts. Save the volume as OME-Zarr, as HDF5 or as TIFF without compression, to "
            "predict it block by block."
        )
    if roles.is_colour:
        raise UserError(f"{path} is a colour image, which is not predicted block by block. Convert it to greyscale.")
    is_channels = times_as_channels and roles.axes == "tzyx"
    if roles.t is not None and not is_channels:
        raise several_time_points(opened)
    found = VolumeParts(opened, roles.t if is_channels else roles.c)
    if min(found.shape) < 2:
        raise UserError(
            f"{path} has {format_shape(found.shape)} voxels; give a 3D volume of at least 2 along each axis."
        )
    return found
