"""Arrays whose parts are read when they are needed, for volumes that do not fit into memory."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeGuard, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box, whole_box
from napari_unet3d.data.chunk_cache import ChunkCache

T = TypeVar("T")

_SLABS_IN_CACHE = 8  # slices are read several at once, and those of image and labels are compared with neighbours
_MOST_BYTES = 2**28  # of what numpy may turn into an array


class PartSource(Protocol):
    """What reads the parts of a volume."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along z, y, x."""

    @property
    def n_channels(self) -> int:
        """Number of channels."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The data type."""

    @property
    def rows(self) -> int:
        """Number of slices that are best read together."""

    @property
    def bytes_per_value(self) -> int:
        """What a value takes in memory while it is read."""

    @property
    def cache(self) -> ChunkCache:
        """Where slices are kept that were read together."""

    def read(self, box: Box, channels: Sequence[int], *, in_order: bool = False) -> NDArray[Any]:
        """Read a box of some channels, as an array (channel, z, y, x); `in_order` if the whole volume is read once."""


class LazyArray:
    """A volume (z, y, x) or (channel, z, y, x) with that part of the interface of an array that training uses.

    Slices, and the choice of channels, give a part that is read later; the index of a slice along z reads that slice.
    `numpy.asarray` reads a part, but raises `MemoryError` for one that would take much memory.

    Parameters
    ----------
    source : PartSource
        Reads the parts.
    box : tuple of slice, optional
        Which part of the source it is; the whole by default.
    channels : tuple of int, optional
        Which channels; all by default.
    has_channel_axis : bool
        Whether there is an axis of channels.
    results : dict, optional
        What was computed of the source and its parts.
    """

    __array_ufunc__ = None  # an operator of numpy raises TypeError rather than reading the whole
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        source: PartSource,
        box: Box | None = None,
        channels: tuple[int, ...] | None = None,
        *,
        has_channel_axis: bool = False,
        results: dict[Any, Any] | None = None,
    ) -> None:
        self.source = source
        self._box = whole_box(source.shape) if box is None else box
        self._channels = tuple(range(source.n_channels)) if channels is None else channels
        self._has_channel_axis = has_channel_axis
        self._results: dict[Any, Any] = {} if results is None else results

    @property
    def shape(self) -> tuple[int, ...]:
        """The length along each axis."""
        sides = tuple(side.stop - side.start for side in self._box)
        return (len(self._channels), *sides) if self._has_channel_axis else sides

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The data type."""
        return self.source.dtype

    @property
    def size(self) -> int:
        """Number of values."""
        size = 1
        for length in self.shape:
            size *= length
        return size

    @property
    def nbytes(self) -> int:
        """Number of bytes that it would take in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        """Return the length of the first axis."""
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        """Yield the slices, or the channels if there is an axis of these."""
        return (self[number] for number in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        """Return a part, which is read later; slices of z, or with steps, are read at once."""
        index = index if isinstance(index, tuple) else (index,)
        if index[:1] == (None,) and not self._has_channel_axis:  # a single channel gets an axis
            return self._view(self._box, self._channels, has_axis=True)[index[1:] or ...]
        index = _complete(index, self.ndim)
        channels, has_axis = self._channels, self._has_channel_axis
        if has_axis:
            chosen, index = index[0], index[1:]
            if isinstance(chosen, list | slice):
                picked = channels[chosen] if isinstance(chosen, slice) else tuple(channels[each] for each in chosen)
                channels = picked
            else:
                channels, has_axis = (channels[operator.index(chosen)],), False
        if all(isinstance(each, slice) and each.step in (None, 1) for each in index):
            sides = [_within(own, each) for own, each in zip(self._box, index, strict=True)]
            box = (sides[0], sides[1], sides[2])
            return self._view(box, channels, has_axis=has_axis)
        part = self if has_axis == self._has_channel_axis else self._view(self._box, channels, has_axis=has_axis)
        return part._read_slices(*index)

    def _view(self, box: Box, channels: tuple[int, ...], *, has_axis: bool) -> LazyArray:
        return LazyArray(self.source, box, channels, has_channel_axis=has_axis, results=self._results)

    @property
    def _place(self) -> tuple[Any, ...]:
        return tuple((side.start, side.stop) for side in self._box), self._channels, self._has_channel_axis

    def _read_slices(self, z: Any, y: Any, x: Any) -> NDArray[Any]:
        if not isinstance(z, slice):
            number = range(self.shape[-3])[operator.index(z)]
            return self._slice(number)[..., y, x].copy()
        numbers = range(self.shape[-3])[z]
        return np.stack([self._slice(number)[..., y, x] for number in numbers], axis=self.ndim - 3)

    def _slice(self, z: int) -> NDArray[Any]:
        """Return a slice along z of the slices that it is read with."""
        first, last = self._slab_at(z)

        def load() -> NDArray[Any]:
            return self._read((slice(first, last), slice(None), slice(None)), in_order=True)

        slab = self.source.cache.get((self.source, self._place, first), load)
        found: NDArray[Any] = slab[:, z - first] if self._has_channel_axis else slab[0, z - first]
        return found

    def _slab_at(self, z: int) -> tuple[int, int]:
        per_slice = max(1, self.size // self.shape[-3] * self.source.bytes_per_value)
        rows, offset = self.source.rows, self._box[0].start
        n = max(1, self.source.cache.most_bytes // _SLABS_IN_CACHE // per_slice)
        n = n // rows * rows if n >= rows else n
        block = (z + offset) // rows * rows if n < rows else 0
        first = block + ((z + offset - block) // n) * n
        last = min(first + n, block + rows) if n < rows else first + n
        return max(0, first - offset), min(self.shape[-3], last - offset)

    def _read(self, part: Sequence[slice], *, in_order: bool = False) -> NDArray[Any]:
        z, y, x = (_within(own, each) for own, each in zip(self._box, part, strict=True))
        return self.source.read((z, y, x), self._channels, in_order=in_order)

    def read(self, *, in_order: bool = False) -> NDArray[Any]:
        """Return all of it as an array, however large it is; for `in_order` see `PartSource.read`."""
        found = self._read((slice(None),) * 3, in_order=in_order)
        return found if self._has_channel_axis else found[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of it as an array.

        Raises
        ------
        MemoryError
            If it would take much memory.
        """
        if self.nbytes > _MOST_BYTES:
            raise MemoryError(f"an array of {self.nbytes} bytes is not read as a whole")
        found = self.read()
        return found if dtype is None else found.astype(dtype)

    def __eq__(self, other: object) -> bool:
        """Raise TypeError: values are compared part by part."""
        raise TypeError("the values of a LazyArray are compared part by part")

    def min(self) -> Any:
        """Return the lowest value."""
        return self.remember("range", _range)[0]

    def max(self) -> Any:
        """Return the highest value."""
        return self.remember("range", _range)[1]

    def any(self) -> bool:
        """Return whether any value is not 0."""
        return any(bool(part.any()) for part in self)

    def remember(self, what: Any, compute: Callable[[Any], T]) -> T:
        """Return what a function computes of it, which is computed once."""
        key = what, *self._place
        if key not in self._results:
            self._results[key] = compute(self)
        found: T = self._results[key]
        return found


def _range(array: LazyArray) -> tuple[Any, Any]:
    ranges = [(part.min(), part.max()) for part in array]
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _complete(index: tuple[Any, ...], n_axes: int) -> tuple[Any, ...]:
    """Return an index with an entry for each axis."""
    if any(each is None or isinstance(each, np.ndarray) for each in index):
        raise TypeError("a LazyArray is only indexed by integers and slices")
    if (at := next((place for place, each in enumerate(index) if each is Ellipsis), None)) is not None:
        index = (*index[:at], *[slice(None)] * (n_axes - len(index) + 1), *index[at + 1 :])
    if len(index) > n_axes:
        raise IndexError(f"there are {len(index)} indices for {n_axes} axes")
    return (*index, *[slice(None)] * (n_axes - len(index)))


def _within(own: slice, part: slice) -> slice:
    start, stop, _ = part.indices(own.stop - own.start)
    return slice(own.start + start, own.start + max(start, stop))


def is_lazy(array: object) -> TypeGuard[LazyArray]:
    """Return whether an array is read part by part."""
    return isinstance(array, LazyArray)


def as_array(lazy: LazyArray) -> NDArray[Any]:
    """Return a lazy array with the type of arrays, which `Sample` and others have."""
    return cast("NDArray[Any]", lazy)


def in_memory(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array that is in memory, however large it is."""
    lazy: object = array
    return lazy.read() if is_lazy(lazy) else array


def remembered(what: Any, array: NDArray[Any], compute: Callable[[NDArray[Any]], T]) -> T:
    """Return what a function computes of an array; of a lazy one, it is computed once."""
    lazy: object = array
    return lazy.remember(what, compute) if is_lazy(lazy) else compute(array)
