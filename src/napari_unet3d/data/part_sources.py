"""What reads the parts of volumes: from the chunks of a file, or computed of another volume."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box, MaskedBox, rasterize
from napari_unet3d.data.chunk_cache import ChunkCache
from napari_unet3d.data.formats.registry import format_of, split_path
from napari_unet3d.data.lazy_array import LazyArray
from napari_unet3d.data.opening import errors_explained
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.data.volume_parts import VolumeParts
from napari_unet3d.errors import UserError

_SIDE, _BLOCK_BYTES = 64, 2**22  # small chunks are read together, up to this


class FileSource:
    """Reads boxes of a volume from the chunks of its file, which must stay open, through a cache.

    A chunk that was read before must not have changed: Zarr reads those whose file is gone as zeros.

    Parameters
    ----------
    volume : VolumeParts
        The volume.
    cache : ChunkCache
        Keeps the chunks that were read last.
    """

    def __init__(self, volume: VolumeParts, cache: ChunkCache) -> None:
        self.volume, self.cache = volume, cache
        self.shape, self.dtype = volume.shape, volume.dtype
        axis = volume.channel_axis
        self.n_channels = 1 if axis is None else volume.opened.stored.shape[axis]
        is_one_file = volume.opened.stored.file_of is None
        self.bytes_per_value = self.dtype.itemsize
        self._stored_in = volume.shape if is_one_file else volume.shards or volume.chunks or volume.shape
        self._sides = block_sides(volume.shape, volume.chunks, self.dtype.itemsize)
        self.rows = self._sides[0]
        self._states: dict[tuple[int, ...], tuple[int, int] | None] = {}  # size and time of each file
        self._lock = threading.Lock()  # not every library reads in several threads

    def read(self, box: Box, channels: Sequence[int], *, in_order: bool = False) -> NDArray[Any]:
        """Read a box of some channels, as an array (channel, z, y, x).

        Parameters
        ----------
        box : tuple of slice
            Along z, y, x.
        channels : sequence of int
            The channels, counted from 0.
        in_order : bool
            Whether the whole volume is read, of which the cache would keep little.

        Raises
        ------
        UserError
            If the file is damaged, or has changed since it was read first.
        """
        if in_order:
            return self._load(box, channels)
        return read_blocks(self, box, channels, self._sides, lambda block, channel: self._load(block, [channel])[0])

    def _load(self, box: Box, channels: Sequence[int]) -> NDArray[Any]:
        path = self.volume.path
        file, inner = split_path(path)
        with errors_explained(file, inner, format_of(file)), self._lock:
            file.stat()
            for channel in channels:
                self._check_unchanged(box, channel)
            return self.volume.read(box, channels)

    def _check_unchanged(self, box: Box, channel: int) -> None:
        for block in blocks_of(box, self._stored_in, self.shape):
            start = (block[0].start, block[1].start, block[2].start)
            try:
                status = self.volume.file_of(start, channel).stat()
                state = status.st_size, status.st_mtime_ns
            except FileNotFoundError:  # a chunk of zeros, or one that is gone
                state = None
            if self._states.setdefault((channel, *start), state) != state:
                raise UserError(
                    f"{self.volume.path} has changed or is gone since it was opened. Put it back as it was and resume "
                    "the run, or start a new one."
                )


class ArraySource:
    """Reads boxes of arrays that read their parts themselves, such as those of dask or zarr, through a cache.

    Parameters
    ----------
    channels : sequence of (array, tuple of int)
        For each channel an array and the indices of its axes before z, y and x. ``array[index]`` with integers and
        slices must return what `numpy.asarray` reads.
    name : str
        What they are called in messages.
    cache : ChunkCache
        Keeps the chunks that were read last.
    """

    def __init__(self, channels: Sequence[tuple[Any, tuple[int, ...]]], name: str, cache: ChunkCache) -> None:
        self._channels, self._name, self.cache = channels, name, cache
        array, _ = channels[0]
        z, y, x = (int(length) for length in array.shape[-3:])
        self.shape: Shape3D = (z, y, x)
        self.n_channels = len(channels)
        self.dtype = np.result_type(*(each.dtype for each, _ in channels))
        along = [int(np.max(each)) for each in getattr(array, "chunks", None) or ()]  # dask names each chunk
        chunks = (along[-3], along[-2], along[-1]) if along else None
        self._sides = block_sides(self.shape, chunks, self.dtype.itemsize)
        self.rows, self.bytes_per_value = self._sides[0], self.dtype.itemsize

    def read(self, box: Box, channels: Sequence[int], *, in_order: bool = False) -> NDArray[Any]:
        """Read a box of some channels, as `FileSource.read`."""
        if in_order:
            return np.stack([self._load(box, channel) for channel in channels])
        return read_blocks(self, box, channels, self._sides, self._load)

    def _load(self, box: Box, channel: int) -> NDArray[Any]:
        array, before = self._channels[channel]
        try:
            return np.asarray(array[(*before, *box)]).astype(self.dtype, copy=False)
        except MemoryError:
            raise
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise UserError(f"Cannot read a part of the layer '{self._name}': {reason}. Open it again.") from error


class MaskSource:
    """A mask of annotated voxels: where the values of a volume are above 0."""

    n_channels, dtype = 1, np.dtype(bool)

    def __init__(self, values: FileSource) -> None:
        self._values, self.cache = values, values.cache
        self.shape, self.rows, self.bytes_per_value = values.shape, values.rows, 1 + values.bytes_per_value

    def read(self, box: Box, channels: Sequence[int], *, in_order: bool = False) -> NDArray[np.bool_]:
        """Read a box, as an array of bool (1, z, y, x)."""
        mask: NDArray[np.bool_] = self._values.read(box, channels, in_order=in_order) > 0
        return mask


class MaskWithout:
    """A mask without a region.

    Parameters
    ----------
    of : LazyArray
        The volume, whose shape the mask has.
    mask : LazyArray or None
        The mask of its annotated voxels; None if all are.
    region : MaskedBox
        What is left out.
    """

    n_channels, dtype = 1, np.dtype(bool)

    def __init__(self, of: LazyArray, mask: LazyArray | None, region: MaskedBox) -> None:
        self._mask, self._region, self.cache, self.rows = mask, region, of.source.cache, of.source.rows
        z, y, x = of.shape[-3:]
        self.shape: Shape3D = (z, y, x)
        self.bytes_per_value = 2 if mask is None else 2 + mask.source.bytes_per_value

    def read(self, box: Box, channels: Sequence[int], *, in_order: bool = False) -> NDArray[np.bool_]:
        """Read a box, as an array of bool (1, z, y, x)."""
        left = ~rasterize(box, self._region)
        return (left if self._mask is None else left & self._mask[box].read(in_order=in_order))[None]


def read_blocks(
    source: FileSource | ArraySource,
    box: Box,
    channels: Sequence[int],
    sides: Shape3D,
    load: Callable[[Box, int], NDArray[Any]],
) -> NDArray[Any]:
    """Read a box of some channels by the blocks that it meets, which the cache of the source keeps."""
    found = np.empty((len(channels), *(side.stop - side.start for side in box)), source.dtype)
    for result, channel in zip(found, channels, strict=True):
        for block in blocks_of(box, sides, source.shape):
            key = source, channel, *(side.start for side in block)
            copy_common(source.cache.get(key, partial(load, block, channel)), block, result, box)
    return found


def block_sides(shape: Shape3D, chunks: Shape3D | None, itemsize: int) -> Shape3D:
    """Return the sides (z, y, x) of what is read at once: a chunk, or several if these are small.

    >>> block_sides((512, 512, 512), (16, 16, 16), 1), block_sides((512, 2048, 2048), (1, 2048, 2048), 2)
    ((64, 64, 64), (1, 2048, 2048))
    """
    sides = [min(each) for each in zip(chunks or (1, 1, _SIDE), shape, strict=True)]
    for axis in (2, 1, 0):
        while sides[axis] < min(_SIDE, shape[axis]) and 2 * math.prod(sides) * itemsize <= _BLOCK_BYTES:
            sides[axis] *= 2
    return sides[0], sides[1], sides[2]


def blocks_of(box: Box, sides: Shape3D, shape: Shape3D) -> Iterator[Box]:
    """Yield the blocks of a grid that a box meets, cut off at the end of the volume."""
    along = [
        range(part.start // side * side, part.stop, side) if part.stop > part.start else range(0)
        for part, side in zip(box, sides, strict=True)
    ]
    for z, y, x in product(*along):
        starts = zip((z, y, x), sides, shape, strict=True)
        own = [slice(start, min(start + side, length)) for start, side, length in starts]
        yield own[0], own[1], own[2]


def copy_common(values: NDArray[Any], block: Box, result: NDArray[Any], box: Box) -> None:
    """Copy the values of a block to the part of a result, of a box, that both have in common."""
    here, there = [], []
    for own, other in zip(block, box, strict=True):
        start, stop = max(own.start, other.start), min(own.stop, other.stop)
        here.append(slice(start - own.start, stop - own.start))
        there.append(slice(start - other.start, stop - other.start))
    result[tuple(there)] = values[tuple(here)]
