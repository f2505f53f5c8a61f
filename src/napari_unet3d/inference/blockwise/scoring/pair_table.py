"""How many voxels each predicted label shares with each true one: a sparse table that grows block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.evaluation.metrics.instances import InstanceMatches, match_overlaps
from napari_unet3d.evaluation.metrics.overlaps import Overlaps, count_pairs
from napari_unet3d.evaluation.metrics.pair import VoxelCounts

_FEWEST = 2**18  # rows that are collected before they are merged


class PairTable:
    """Counts of voxels by predicted label, true label, and whether they are annotated.

    Parameters
    ----------
    shape : tuple of int
        Shape (z, y, x) of the volume.
    """

    def __init__(self, shape: Shape3D) -> None:
        self._shape = shape
        columns: Any = (np.uint64, np.uint64, np.bool_, np.int64)
        self._merged = tuple(np.zeros(0, dtype) for dtype in columns)
        self._added: list[tuple[NDArray[Any], ...]] = []
        self._n_added = self._n_annotated = 0
        self._border: tuple[NDArray[np.uint64], NDArray[np.uint64]] = np.zeros(0, np.uint64), np.zeros(0, np.uint64)

    def add(self, box: Box, predicted: NDArray[Any], truth: GroundTruth) -> None:
        """Count a block.

        Parameters
        ----------
        box : tuple of slice
            Where it is in the volume.
        predicted, truth : ndarray, GroundTruth
            See `PairParts.read`.
        """
        rows = count_pairs(predicted, truth.labels, truth.label_mask)
        self._added.append(tuple(np.asarray(rows[n], self._merged[n].dtype) for n in range(4)))
        self._n_added += len(rows[0])
        self._n_annotated += predicted.size if truth.label_mask is None else int(np.count_nonzero(truth.label_mask))
        if self._n_added > max(_FEWEST, len(self._merged[0])):  # so that merging takes linear time
            self._merge()
        found = (_border_ids(labels, box, self._shape) for labels in (predicted, truth.labels))
        before, true_before = self._border
        ids, true_ids = found
        self._border = np.union1d(before, ids), np.union1d(true_before, true_ids)

    def _merge(self) -> None:
        columns = [np.concatenate(each) for each in zip(self._merged, *self._added, strict=True)]
        self._added, self._n_added = [], 0
        order = np.lexsort(columns[2::-1])
        columns = [column[order] for column in columns]
        is_new = np.ones(len(order), bool)
        is_new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns[:3]])
        first = np.flatnonzero(is_new)
        counts = np.add.reduceat(columns[3], first) if len(first) else columns[3]
        self._merged = (*(column[first] for column in columns[:3]), counts)

    @property
    def rows(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_], NDArray[np.int64]]:
        """Predicted label, true label, whether annotated, and number of voxels, in the order of the labels."""
        if self._added:
            self._merge()
        predicted, target, known, n_voxels = self._merged
        return predicted, target, known, n_voxels

    @property
    def at_border(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Predicted and true labels that touch the border of the volume; see `border_ids`."""
        return self._border

    def present(self) -> frozenset[int]:
        """Return the labels above 0 of annotated voxels."""
        predicted, target, known, _ = self.rows
        return frozenset(np.union1d(predicted[known], target[known]).tolist()) - {0}

    @property
    def n_true_values(self) -> int:
        """How many different values, background included, the ground truth has where it is annotated."""
        _, target, known, n_voxels = self.rows
        is_true = known & (target > 0)
        has_background = self._n_annotated > int(n_voxels[is_true].sum())
        return len(np.unique(target[is_true])) + has_background

    def counts(self, value: int | None) -> VoxelCounts:
        """Return the voxels whose label is a value, or above 0 for None."""
        predicted, target, known, n_voxels = self.rows
        is_predicted, is_true = (each > 0 if value is None else each == value for each in (predicted, target))
        masks = is_predicted & is_true, is_predicted, is_true
        return VoxelCounts(*(int(n_voxels[known & mask].sum()) for mask in masks))

    def overlaps(self) -> Overlaps:
        """Return the overlaps of instances."""
        return Overlaps.from_counts(*self.rows)

    def matches(self, *, ignore_border: bool) -> InstanceMatches:
        """Return the instances matched one to one; see `match_instances`."""
        return match_overlaps(self.overlaps(), self.at_border if ignore_border else None)


def _border_ids(labels: NDArray[Any], box: Box, shape: Shape3D) -> NDArray[np.uint64]:
    """Return the labels of a block that touch the border of the volume."""
    found = [np.zeros(0, np.uint64)]
    for axis, (side, length) in enumerate(zip(box, shape, strict=True)):
        if length > 1:
            ends = [*([0] if side.start == 0 else []), *([-1] if side.stop == length else [])]
            found += [np.unique(labels.take(end, axis)).astype(np.uint64) for end in ends]
    ids = np.unique(np.concatenate(found))
    return ids[ids > 0]
