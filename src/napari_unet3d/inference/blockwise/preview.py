"""The labels of a volume while it is predicted block by block, as an array that a viewer can slice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box

Focus = Callable[[], tuple[float, float, float] | None]
"""Returns the voxel (z, y, x) that somebody looks at, or None."""


class Preview:
    """Labels of the blocks that are predicted so far; everything else is background.

    It may be read in one thread while another one predicts: only blocks that are on disk are read.

    Parameters
    ----------
    array : array-like, shape (z, y, x)
        Labels, or the probability of foreground.
    threshold : float or None
        From which probability on a voxel is foreground, which is 1; None for labels.
    done : iterable of box
        The blocks, along z, y, x, that are predicted already.
    """

    ndim = 3

    def __init__(self, array: Any, threshold: float | None, done: Iterable[Box] = ()) -> None:
        self._source = array, threshold
        self._done = list(done)
        self.shape: tuple[int, int, int] = tuple(array.shape)
        self.dtype = np.dtype(np.uint8) if threshold is not None else np.dtype(array.dtype)

    @property
    def size(self) -> int:
        """The number of voxels."""
        return prod(self.shape)

    @property
    def done(self) -> tuple[Box, ...]:
        """The blocks that are predicted."""
        return tuple(self._done)

    def add(self, box: Box) -> None:
        """Add a block that is on disk now."""
        self._done.append(box)

    def finish(self, labels: Any) -> None:
        """Read all from the finished labels from now on, an array of the same shape."""
        self._done = [(slice(0, self.shape[0]), slice(0, self.shape[1]), slice(0, self.shape[2]))]
        self._source = labels, None
        self.dtype = np.dtype(labels.dtype)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Return a part, as an array of NumPy does for integers and slices with steps of at least 1."""
        parts = [*(index if isinstance(index, tuple) else (index,))]
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts[at : at + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        parts += [slice(None)] * (self.ndim - len(parts))
        ranges = [
            range(length)[part] if isinstance(part, slice) else range(int(part), int(part) + 1)
            for part, length in zip(parts, self.shape, strict=True)
        ]
        (array, threshold), done = self._source, self.done
        found = np.zeros([len(each) for each in ranges], self.dtype)
        for box in done:
            inner = [_within(each, side) for each, side in zip(ranges, box, strict=True)]
            if all(each.start < each.stop for each in inner):
                wanted = [each[part] for each, part in zip(ranges, inner, strict=True)]
                values = np.asarray(array[tuple(slice(each.start, each[-1] + 1, each.step) for each in wanted)])
                found[tuple(inner)] = values if threshold is None else values >= threshold
        return found[tuple(slice(None) if isinstance(part, slice) else 0 for part in parts)]


@dataclass(frozen=True, slots=True, eq=False)
class BlocksBegun:
    """The blocks of a volume are predicted from now on, and can be seen in the preview."""

    preview: Preview


def _within(places: range, side: slice) -> slice:
    """Return which of some places are in one side of a box."""
    first = -(-(side.start - places.start) // places.step)
    last = -(-(side.stop - places.start) // places.step)
    return slice(min(max(0, first), len(places)), min(max(0, last), len(places)))
