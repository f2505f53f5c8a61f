"""Boxes in a volume, and masks in boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class MaskedBox:
    """A region of a volume, such as an error: a mask within a box.

    Attributes
    ----------
    box : tuple of slice
        Position of the region in the volume.
    mask : ndarray of bool, shape (z, y, x) of the box
        Voxels of the region.
    """

    box: Box
    mask: NDArray[np.bool_]


def whole_box(shape: Sequence[int]) -> Box:
    """Return the box of a whole volume."""
    z, y, x = (slice(0, side) for side in shape)
    return z, y, x


def rasterize(box: Box, *regions: MaskedBox) -> NDArray[np.bool_]:
    """Return the union of regions within a box, as a mask (z, y, x) of that box."""
    mask = np.zeros(tuple(side.stop - side.start for side in box), bool)
    for region in regions:
        here, there = intersection(box, region.box)
        mask[here] |= region.mask[there]
    return mask


def intersection(box: Box, other: Box) -> tuple[Box, Box]:
    """Return the intersection of two boxes, relative to each of them; empty if they do not overlap.

    >>> one = (slice(0, 4), slice(0, 4), slice(0, 4))
    >>> other = (slice(2, 6), slice(1, 3), slice(0, 9))
    >>> intersection(one, other)[1]
    (slice(0, 2, None), slice(0, 2, None), slice(0, 4, None))
    """
    common = [
        slice(max(a.start, b.start), max(a.start, b.start, min(a.stop, b.stop)))
        for a, b in zip(box, other, strict=True)
    ]
    return _within(common, box), _within(common, other)


def _within(part: Sequence[slice], box: Box) -> Box:
    z, y, x = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, box, strict=True))
    return z, y, x


def union(box: Box, other: Box) -> Box:
    """Return the smallest box that contains two boxes."""
    z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(box, other, strict=True))
    return z, y, x


def bounding_box(mask: NDArray[np.bool_]) -> Box | None:
    """Return the smallest box that contains a mask; None if it is empty."""
    along_z, plane = np.zeros(len(mask), bool), np.zeros(mask.shape[1:], bool)
    for number, each in enumerate(mask):  # slice by slice, since it may be on disk
        along_z[number] = each.any()
        plane |= each
    sides = []
    for along in (along_z, plane.any(axis=1), plane.any(axis=0)):
        there = np.flatnonzero(along)
        if not len(there):
            return None
        sides.append(slice(int(there[0]), int(there[-1]) + 1))
    z, y, x = sides
    return z, y, x


def expand(box: Box, n_voxels: Sequence[int], shape: Sequence[int]) -> Box:
    """Return a box that is larger by a number of voxels (z, y, x) on each side, within a volume of a shape.

    >>> expand((slice(2, 4), slice(0, 3), slice(5, 6)), (1, 1, 1), (10, 10, 6))
    (slice(1, 5, None), slice(0, 4, None), slice(4, 6, None))
    """
    z, y, x = (
        slice(max(0, own.start - more), min(side, own.stop + more))
        for own, more, side in zip(box, n_voxels, shape, strict=True)
    )
    return z, y, x


def expand_to(box: Box, minimum: Sequence[int], shape: Sequence[int]) -> Box:
    """Return a box with at least a given shape (z, y, x) and about the same centre, within a volume of a shape."""
    z, y, x = (_longer(*each) for each in zip(box, minimum, shape, strict=True))
    return z, y, x


def _longer(own: slice, minimum: int, side: int) -> slice:
    length = min(side, max(minimum, own.stop - own.start))
    start = min(max(0, (own.start + own.stop - length) // 2), side - length)
    return slice(start, start + length)
