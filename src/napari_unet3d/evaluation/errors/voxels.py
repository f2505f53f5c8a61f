"""The voxels that are wrong, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csgraph

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.errors.types import ErrorKind


@dataclass(frozen=True, slots=True)
class VoxelError:
    """What is wrong with a voxel.

    Attributes
    ----------
    found, wanted : int
        The predicted and the true value; 0 is background.
    """

    predicted: int
    target: int

    @property
    def kind(self) -> ErrorKind:
        """Missed, extra, or of a wrong class."""
        if self.predicted == 0:
            return ErrorKind.MISSED
        return ErrorKind.EXTRA if self.target == 0 else ErrorKind.WRONG_CLASS


@dataclass(frozen=True, slots=True, eq=False)
class ErrorVoxels:
    """All voxels that are wrong.

    Attributes
    ----------
    places : ndarray of int64, shape (voxel,)
        Where they are in the flat volume, ascending.
    mistakes : ndarray of unsigned integers, shape (voxel,)
        What is wrong with each: the true value times `n_values` and the predicted value in one number.
    n_values : int
        More than any value.
    """

    places: Places
    errors: NDArray[np.unsignedinteger[Any]]
    n_values: int

    def error(self, number: int) -> VoxelError:
        """Take one of `mistakes` apart."""
        wanted, found = divmod(int(number), self.n_values)
        return VoxelError(found, wanted)


def find_error_voxels(prediction: NDArray[Any], truth: GroundTruth, task: Task) -> ErrorVoxels:
    """Find the voxels where prediction and truth differ, as `difference_labels` does.

    Parameters
    ----------
    prediction : ndarray of unsigned integers, shape (z, y, x)
        Labels; of foreground 0 and 1.
    truth : Truth
        What it should be.
    task : Task
        What the labels are; of single objects it only counts where there is one, not which.
    """
    n_values = 1 + max(int(prediction.max(initial=0)), int(truth.labels.max(initial=0)))
    kind = np.min_scalar_type(n_values**2)
    places, mistakes = [np.zeros(0, np.int64)], [np.zeros(0, kind)]
    for index, (found, wanted) in enumerate(zip(prediction, truth.labels, strict=True)):
        differs = found != wanted if task is Task.SEMANTIC else (found > 0) != (wanted > 0)
        if truth.label_mask is not None:
            differs &= truth.label_mask[index]
        there = np.flatnonzero(differs)
        places.append(there + index * found.size)
        mistakes.append(wanted.ravel()[there].astype(kind) * kind.type(n_values) + found.ravel()[there].astype(kind))
    return ErrorVoxels(np.concatenate(places), np.concatenate(mistakes), n_values)


Places = NDArray[np.int64]

_LATER_ROWS = ((0, 1), (1, -1), (1, 0), (1, 1))  # along z and y; the others are seen from there


def connected_components(places: Places, values: NDArray[Any], shape: Sequence[int]) -> tuple[NDArray[np.int32], int]:
    """Return numbers to regions of voxels of equal value that touch with a face, an edge or a corner.

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
    n_regions, numbers = csgraph.connected_components(graph, directed=False)
    return np.repeat(numbers.astype(np.int32), lengths), int(n_regions)


def _touching(
    first: Places, last: Places, values: NDArray[Any], strides: Sequence[int]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the pairs of runs that touch and are of one value; `strides` lead to the rows to look into."""
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
