"""Instances that were merged into one or split into several, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from napari_unet3d.data.boxes import Box, expand
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.errors.distances import boundary_voxels, inner_distance
from napari_unet3d.evaluation.errors.regions import ErrorRegion
from napari_unet3d.evaluation.errors.types import ErrorKind
from napari_unet3d.evaluation.errors.voxels import Places
from napari_unet3d.evaluation.metrics.overlaps import Overlaps

_REACH = 4  # voxels around an instance in which the other one is searched first


@dataclass(frozen=True, slots=True, eq=False)
class MergeSplit:
    """A merge or a split.

    Attributes
    ----------
    kind : ErrorKind
        `ErrorKind.MERGE` or `ErrorKind.SPLIT`.
    predicted, target : tuple of int
        Ids of the predicted and the true instances.
    region : ErrorRegion
        The voxels that they share; its depth is that of the second largest part, its position where that part meets
        the largest one.
    """

    kind: ErrorKind
    predicted: tuple[int, ...]
    target: tuple[int, ...]
    region: ErrorRegion


def find_merges_splits(
    prediction: NDArray[Any], truth: GroundTruth, overlaps: Overlaps, spacing: VoxelSize
) -> Iterator[MergeSplit]:
    """Yield merges and splits.

    Parameters
    ----------
    prediction : ndarray of unsigned integers, shape (z, y, x)
        Ids of instances.
    truth : GroundTruth
        The true ids.
    overlaps : Overlaps
        Overlaps of the two.
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of the distances.
    """
    shape = prediction.shape
    for kind, owners, parts, groups in (
        (ErrorKind.MERGE, prediction, truth.labels, overlaps.merges()),
        (ErrorKind.SPLIT, truth.labels, prediction, overlaps.splits()),
    ):
        boxes = ndimage.find_objects(owners) if groups else []
        for one, several in groups.items():
            box = boxes[one - 1]
            mask = owners[box] == one
            if truth.label_mask is not None:
                mask &= truth.label_mask[box]
            region = shared_region(box, mask, several, parts[box], shape, spacing)
            predicted, target = ((one,), several) if kind is ErrorKind.MERGE else (several, (one,))
            yield MergeSplit(kind, predicted, target, region)


def shared_region(
    box: Box,
    mask: NDArray[np.bool_],
    several: tuple[int, ...],
    ids: NDArray[Any],
    shape: tuple[int, ...],
    spacing: VoxelSize,
) -> ErrorRegion:
    """Return the voxels that one instance (`mask` in its box) shares with several of the `ids` there."""
    number_of = np.zeros(max(int(ids.max()), *several) + 1, np.min_scalar_type(len(several)))
    number_of[list(several)] = np.arange(1, len(several) + 1)
    parts = number_of[ids]
    parts[~mask] = 0
    sizes = np.sum([np.bincount(plane.ravel(), minlength=len(several) + 1) for plane in parts], axis=0)
    largest, second = np.argsort(-sizes[1:], kind="stable")[:2] + 1
    smaller = _box_within(parts == second)
    mask = parts[smaller] == second
    depth = float(inner_distance(mask, spacing).max())
    start = [side.start for side in box]
    z, y, x = np.add(_contact(mask, smaller, parts == largest, spacing), start).tolist()
    around = (
        (side.start + first, side.stop + first) for side, first in zip(_box_within(parts > 0), start, strict=True)
    )
    z_range, y_range, x_range = around
    return ErrorRegion(_places(parts > 0, box, shape), (z_range, y_range, x_range), depth, (z, y, x))


def _contact(mask: NDArray[np.bool_], box: Box, largest: NDArray[np.bool_], spacing: VoxelSize) -> tuple[int, ...]:
    """Return the voxel of a part (`mask` in a box) that is nearest to the largest part, searched nearby first."""
    size = np.asarray(spacing)
    start = np.array([side.start for side in box])
    second = np.argwhere(boundary_voxels(np.pad(mask, 1))) - 1 + start
    reach = _REACH * min(spacing)
    while True:
        margin = np.ceil(reach / size).astype(int) + 1  # what ends at the border of the view may continue beyond it
        view = expand(box, margin.tolist(), largest.shape)
        nearby = np.argwhere(boundary_voxels(largest[view])) + [side.start for side in view]
        if len(nearby):
            distances, _ = KDTree(nearby * size).query(second * size)
            if distances.min() <= reach:
                return tuple(second[np.argmin(distances)].tolist())
        reach *= 4


def _box_within(mask: NDArray[np.bool_]) -> Box:
    """Return the bounding box of a mask."""
    ((z, y, x),) = ndimage.find_objects(mask.view(np.uint8))
    return z, y, x


def _places(mask: NDArray[np.bool_], box: Box, shape: tuple[int, ...]) -> Places:
    """Return the indices of a mask of a box in the flattened volume, plane by plane to need little memory."""
    z, y, x = (side.start for side in box)
    places = []
    for index, plane in enumerate(mask):
        rows, columns = np.divmod(np.flatnonzero(plane), plane.shape[1])
        places.append(((index + z) * shape[1] + rows + y) * shape[2] + columns + x)
    return np.concatenate(places)
