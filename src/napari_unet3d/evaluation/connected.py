"""Which of some voxels hang together, found without going through the whole volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Places = NDArray[np.int64]

_LATER_ROWS = ((0, 1), (1, -1), (1, 0), (1, 1))  # along z and y; the others are seen from there


def connected(places: Places, values: NDArray[Any], shape: Sequence[int]) -> tuple[NDArray[np.int32], int]:
    """Give numbers to regions of voxels of equal value that touch with a face, an edge or a corner.

    Voxels are joined to runs along x, and runs of neighbouring rows to regions (L. He, Y. Chao, K. Suzuki, "A
    run-based two-scan labeling algorithm", IEEE Trans. Image Process. 17, 749, 2008), with a graph in place of the
    second scan.

    Parameters
    ----------
    places : ndarray of int64, shape (voxel,)
        Where the voxels are in the flat volume, ascending.
    values : ndarray, shape (voxel,)
        The value of each.
    shape : sequence of int
        Shape (z, y, x) of the volume.

    Returns
    -------
    tuple of ndarray of int32, shape (voxel,), and int
        The region of each voxel, from 0 in the order of their first voxels, and how many there are.
    """
    if not len(places):
        return np.zeros(0, np.int32), 0
    _, n_rows, width = shape
    begins = np.ones(len(places), bool)
    begins[1:] = (places[1:] - places[:-1] != 1) | (values[1:] != values[:-1]) | (places[1:] % width == 0)
    begins = np.flatnonzero(begins)
    lengths = np.diff(begins, append=len(places))
    # One place of margin keeps the end of a row from touching the beginning of the next one.
    row = places[begins] // width
    row += 2 * (row // n_rows) + 1
    first = row * (width + 2) + places[begins] % width + 1
    strides = [((n_rows + 2) * along_z + along_y) * (width + 2) for along_z, along_y in _LATER_ROWS]
    one, other = _touching(first, first + lengths - 1, values[begins], strides)
    graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(len(begins), len(begins)))
    n_regions, numbers = connected_components(graph, directed=False)
    return np.repeat(numbers.astype(np.int32), lengths), int(n_regions)


def _touching(
    first: Places, last: Places, values: NDArray[Any], strides: Sequence[int]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Give the pairs of runs that touch and are of one value; `strides` lead to the rows to look into."""
    ones, others = [], []
    runs = np.arange(len(first), dtype=np.int32)
    for stride in strides:
        start = np.searchsorted(last, first + (stride - 1)).astype(np.int32)
        stop = np.searchsorted(first, last + (stride + 1), side="right").astype(np.int32)
        counts = stop - start
        one = np.repeat(runs, counts)
        skipped = np.cumsum(counts) - counts
        other = np.arange(len(one), dtype=np.int32) + np.repeat(start - skipped.astype(np.int32), counts)
        is_same = values[one] == values[other]
        ones.append(one[is_same])
        others.append(other[is_same])
    return np.concatenate(ones), np.concatenate(others)
