"""Boxes in a volume, and the regions that lie in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class MaskedBox:
    """A region of a volume, such as an error.

    Attributes
    ----------
    box : tuple of slice
        Where it lies.
    mask : ndarray of bool, shape (z, y, x) of the box
        Its voxels there.
    """

    box: Box
    mask: NDArray[np.bool_]


def rasterize(box: Box, *regions: MaskedBox) -> NDArray[np.bool_]:
    """Return the voxels of regions that lie in a box, as a mask (z, y, x) of that box."""
    mask = np.zeros(tuple(side.stop - side.start for side in box), bool)
    for region in regions:
        here, there = intersection(box, region.box)
        mask[here] |= region.mask[there]
    return mask


def intersection(box: Box, other: Box) -> tuple[Box, Box]:
    """Return what two boxes share, in voxels of the one and of the other; empty when they share nothing."""
    common = [
        slice(max(a.start, b.start), max(a.start, b.start, min(a.stop, b.stop)))
        for a, b in zip(box, other, strict=True)
    ]
    return _within(common, box), _within(common, other)


def _within(part: Sequence[slice], box: Box) -> Box:
    z, y, x = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, box, strict=True))
    return z, y, x


def union(box: Box, other: Box) -> Box:
    """Return the smallest box that holds two boxes."""
    z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(box, other, strict=True))
    return z, y, x


def bounding_box(mask: NDArray[np.bool_]) -> Box | None:
    """Return the smallest box that holds all of a mask; None when it is empty."""
    sides = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        if not len(there):
            return None
        sides.append(slice(int(there[0]), int(there[-1]) + 1))
    z, y, x = sides
    return z, y, x


def expand(box: Box, n_voxels: Sequence[int], shape: Sequence[int]) -> Box:
    """Make a box longer by voxels (z, y, x) at every side, within a volume of a shape."""
    z, y, x = (
        slice(max(0, own.start - more), min(side, own.stop + more))
        for own, more, side in zip(box, n_voxels, shape, strict=True)
    )
    return z, y, x


def expand_to(box: Box, least: Sequence[int], shape: Sequence[int]) -> Box:
    """Make a box at least of some shape (z, y, x) about its middle, within a volume of a shape."""
    z, y, x = (_longer(*each) for each in zip(box, least, shape, strict=True))
    return z, y, x


def _longer(own: slice, least: int, side: int) -> slice:
    length = min(side, max(least, own.stop - own.start))
    start = min(max(0, (own.start + own.stop - length) // 2), side - length)
    return slice(start, start + length)
