"""Voxels that are wrong, how they are wrong, and which of them are connected."""

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
    """Predicted and true value of a wrong voxel.

    Attributes
    ----------
    predicted, target : int
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
        Their indices in the flattened volume, ascending.
    errors : ndarray of unsigned integers, shape (voxel,)
        The error of each, encoded as true value times `n_values` plus predicted value.
    n_values : int
        Greater than any value.
    """

    places: Places
    errors: NDArray[np.unsignedinteger[Any]]
    n_values: int

    def error(self, number: int) -> VoxelError:
        """Decode one of `errors`."""
        target, predicted = divmod(int(number), self.n_values)
        return VoxelError(predicted, target)


def find_error_voxels(prediction: NDArray[Any], truth: GroundTruth, task: Task) -> ErrorVoxels:
    """Find the voxels where prediction and ground truth differ, as `difference_labels` does.

    Parameters
    ----------
    prediction : ndarray of unsigned integers, shape (z, y, x)
        Labels; 0 and 1 if they are binary.
    truth : GroundTruth
        Ground truth of the same shape.
    task : Task
        What the labels are; of instances only the foreground counts, not the ids.
    """
    n_values = 1 + max(int(prediction.max(initial=0)), int(truth.labels.max(initial=0)))
    dtype = np.min_scalar_type(n_values**2)
    places, errors = [np.zeros(0, np.int64)], [np.zeros(0, dtype)]
    for index, (predicted, target) in enumerate(zip(prediction, truth.labels, strict=True)):
        differs = predicted != target if task is Task.SEMANTIC else (predicted > 0) != (target > 0)
        if truth.label_mask is not None:
            differs &= truth.label_mask[index]
        wrong = np.flatnonzero(differs)
        places.append(wrong + index * predicted.size)
        codes = target.ravel()[wrong].astype(dtype) * dtype.type(n_values)
        errors.append(codes + predicted.ravel()[wrong].astype(dtype))
    return ErrorVoxels(np.concatenate(places), np.concatenate(errors), n_values)


Places = NDArray[np.int64]

_LATER_ROWS = (
    (0, 1),
    (1, -1),
    (1, 0),
    (1, 1),
)  # offsets along z and y; the other pairs of rows are the same ones in reverse


def connected_components(places: Places, values: NDArray[Any], shape: Sequence[int]) -> tuple[NDArray[np.int32], int]:
    """Label regions of voxels of equal value that touch with a face, an edge or a corner (26-connectivity).

    Voxels are grouped to runs along x, and runs of neighbouring rows to regions (L. He, Y. Chao, K. Suzuki, "A
    run-based two-scan labeling algorithm", IEEE Trans. Image Process. 17, 749, 2008), with a graph instead of the
    second scan.

    Parameters
    ----------
    places : ndarray of int64, shape (voxel,)
        Indices of the voxels in the flattened volume, ascending.
    values : ndarray, shape (voxel,)
        The value of each.
    shape : sequence of int
        Shape (z, y, x) of the volume.

    Returns
    -------
    tuple of ndarray of int32, shape (voxel,), and int
        The region of each voxel, from 0 in the order of their first voxels, and the number of regions.
    """
    if not len(places):
        return np.zeros(0, np.int32), 0
    _, n_rows, width = shape
    starts_run = np.ones(len(places), bool)
    starts_run[1:] = (places[1:] - places[:-1] != 1) | (values[1:] != values[:-1]) | (places[1:] % width == 0)
    starts = np.flatnonzero(starts_run)
    lengths = np.diff(starts, append=len(places))
    # A margin of one voxel keeps the end of a row from touching the start of the next one.
    row = places[starts] // width
    row += 2 * (row // n_rows) + 1
    first = row * (width + 2) + places[starts] % width + 1
    strides = [((n_rows + 2) * along_z + along_y) * (width + 2) for along_z, along_y in _LATER_ROWS]
    one, other = _touching(first, first + lengths - 1, values[starts], strides)
    graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(len(starts), len(starts)))
    n_regions, numbers = csgraph.connected_components(graph, directed=False)
    return np.repeat(numbers.astype(np.int32), lengths), int(n_regions)


def _touching(
    first: Places, last: Places, values: NDArray[Any], strides: Sequence[int]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the pairs of runs that touch and have the same value; `strides` lead to the neighbouring rows."""
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
