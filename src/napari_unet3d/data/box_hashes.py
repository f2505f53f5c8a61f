"""Hashes of the boxes of a volume at every position, by which parts of volumes are found in others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from napari_unet3d.data.lazy_array import is_lazy
from napari_unet3d.data.sample import Shape3D

BOX_SIDE = 8
"""Edge in voxels of the boxes that are compared, placed at half this distance."""
LEAST_VALUES = 16
"""Different intensities in such a box; with fewer, boxes may be equal by chance."""
_MOST_VOXELS = 2**24  # hashed at once
_TILE = 128  # a multiple of the distance between boxes
_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)  # odd, of the axes z, y, x
_TABLE_BITS = 20


def smallest_shape(*shapes: Sequence[int]) -> Shape3D:
    """Return the shortest sides of some shapes."""
    z, y, x = (min(sides) for sides in zip(*shapes, strict=True))
    return z, y, x


def hashes_of_boxes(image: NDArray[Any], annotated: NDArray[np.bool_] | None, side: Shape3D) -> NDArray[np.uint64]:
    """Compute hashes of boxes of an image, half an edge apart, with annotated voxels and enough different values."""
    every = tuple(slice(None, None, max(1, n // 2)) for n in side)
    found = [np.empty(0, np.uint64)]
    for z, hashes in box_hashes(image, side):
        rows = slice(z, z + len(hashes) + side[0] - 1)
        wanted = np.ones(hashes[every].shape, bool)
        if annotated is not None:
            wanted &= sliding_window_view(np.asarray(annotated[rows]), side)[every].any(axis=(3, 4, 5))
        boxes = sliding_window_view(np.asarray(image[rows]), side)[every]
        for at in np.argwhere(wanted.any(axis=(1, 2)))[:, 0]:
            values = np.sort(boxes[at][wanted[at]].reshape(-1, prod(side)), axis=1)
            n_values = 1 + np.count_nonzero(values[:, 1:] != values[:, :-1], axis=1)
            found.append(hashes[every][at][wanted[at]][n_values >= LEAST_VALUES])
    return np.concatenate(found)


def has_any(image: NDArray[Any], side: Shape3D, sought: NDArray[np.uint64]) -> bool:
    """Return whether one of the hashes is that of a box at any position of an image."""
    if is_lazy(image):
        return any(has_any(np.asarray(image[tile]), side, sought) for tile in tiles_of(image.shape, side))
    return any(found.size > 0 for found in found_hashes(image, side, sought))


def found_hashes(image: NDArray[Any], side: Shape3D, sought: NDArray[np.uint64]) -> Iterator[NDArray[np.uint64]]:
    """Yield those of the hashes that boxes of an image have, at any position, one slab of the image after another."""
    shift = np.uint64(64 - _TABLE_BITS)
    table = np.zeros(2**_TABLE_BITS, bool)  # excludes most positions quickly
    table[sought >> shift] = True
    for _, hashes in box_hashes(image, side):
        candidates = hashes[table[hashes >> shift]]
        yield candidates[np.isin(candidates, sought)]


def tiles_of(shape: Sequence[int], side: Shape3D) -> Iterator[tuple[slice, ...]]:
    """Yield parts of a volume that is not in memory, so that each box with a shape is in one of them completely."""
    along = [range(0, max(1, length - n + 1), _TILE) for length, n in zip(shape, side, strict=True)]
    for start in product(*along):
        yield tuple(slice(first, first + _TILE + n - 1) for first, n in zip(start, side, strict=True))


def box_hashes(image: NDArray[Any], side: Shape3D) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """Compute the hash of the box of a shape that starts at each voxel.

    Yields
    ------
    int and ndarray of uint64, shape (z, y, x)
        The first z of a slab, and the hashes of the boxes that start in it and end within the image.
    """
    n_rows = side[0] * max(1, _MOST_VOXELS // prod(image.shape[1:]) // side[0])
    for z in range(0, image.shape[0] - side[0] + 1, n_rows):
        values = np.asarray(image[z : z + n_rows + side[0] - 1]).astype(np.float32) + np.float32(
            0
        )  # −0 and 0 are the same
        hashes = values.view(np.uint32).astype(np.uint64) * np.uint64(0x9FB21C651E98DF25)
        hashes ^= hashes >> np.uint64(28)
        for axis in range(3):
            hashes = np.moveaxis(_sums(np.moveaxis(hashes, axis, 0), side[axis], _FACTORS[axis]), 0, axis)
        yield z, hashes * np.uint64(_FACTORS[0])  # so that the upper bits differ, too


def _sums(values: NDArray[np.uint64], n: int, factor: int) -> NDArray[np.uint64]:
    """Compute sums of `n` consecutive values along the first axis, weighted by powers of a factor, modulo 2⁶⁴."""
    total, n_added = None, 0
    doubled, length = values, 1
    while True:
        if n & length:
            power = np.uint64(pow(factor, n_added, 2**64))
            added = doubled[n_added : n_added + len(values) - n + 1] * power
            total = added if total is None else total + added
            n_added += length
        if n_added == n:
            assert total is not None  # n is 1 or more
            return total
        doubled = doubled[:-length] + doubled[length:] * np.uint64(pow(factor, length, 2**64))
        length *= 2
