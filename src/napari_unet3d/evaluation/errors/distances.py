"""Distances of voxels from the nearest voxel with another true value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from napari_unet3d.data.boxes import expand
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.errors.voxels import Places

_WORTH_THREADS = 20_000  # voxels; for fewer, starting threads takes longer than the search
_PLANES = 16  # per chunk
_MOST_STEPS = 250  # that are tried before a k-d tree is searched


class TruthDistance:
    """Measures distances from the surfaces of the ground truth, around the voxels rather than in whole volumes.

    Most wrong voxels are near a surface, which is found by trying all short steps in the order of their length. For
    the others a k-d tree is searched.

    Parameters
    ----------
    truth : GroundTruth
        Ground truth; voxels that are not annotated are on neither side of a surface.
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of the distances.
    """

    def __init__(self, truth: GroundTruth, spacing: VoxelSize) -> None:
        self._truth, self._spacing = truth, spacing
        self._boxes = ndimage.find_objects(truth.labels) if truth.labels.max(initial=0) > 1 else []
        self._trees: dict[int, KDTree | None] = {}
        self._steps = short_steps(spacing, truth.labels.shape)

    def distances(self, value: int, places: Places) -> NDArray[np.float32]:
        """Return the distance of each voxel from the nearest annotated one with another true value.

        Parameters
        ----------
        value : int
            The true value of all of the voxels.
        places : ndarray of int64, shape (voxel,)
            Their indices in the flattened volume.

        Returns
        -------
        ndarray of float32, shape (voxel,)
            Distances between centres in the unit of `spacing`; infinite if no other value is annotated anywhere.
        """
        distances = np.full(len(places), np.inf, np.float32)
        voxels = np.stack(np.unravel_index(places, self._truth.labels.shape), axis=1)
        far = self._measure_short(value, places, voxels, distances)
        if len(far):
            if value not in self._trees:
                self._trees[value] = self._make_tree(value)
            if (tree := self._trees[value]) is not None:
                points = voxels[far] * np.asarray(self._spacing)
                distances[far], _ = tree.query(points, workers=-1 if len(points) > _WORTH_THREADS else 1)
        return distances

    def _measure_short(
        self, value: int, places: Places, voxels: NDArray[np.int64], distances: NDArray[np.float32]
    ) -> NDArray[np.int64]:
        """Write the short distances in place, and return the indices of the remaining voxels."""
        shape, labels, annotated = self._truth.labels.shape, self._truth.labels.reshape(-1), self._truth.label_mask
        strides = np.array((shape[1] * shape[2], shape[2], 1))
        margin = np.abs([step for _, steps in self._steps for step in steps] or [(0, 0, 0)]).max(axis=0)
        is_inside = ((voxels >= margin) & (voxels < np.array(shape) - margin)).all(axis=1)
        remaining = np.flatnonzero(is_inside)
        for length, steps in self._steps:
            if not len(remaining):
                break
            here = places[remaining]
            hits = np.zeros(len(remaining), bool)
            for stride in (steps @ strides).tolist():
                neighbours = here + stride
                differs = labels[neighbours] != value
                if annotated is not None:
                    differs &= annotated.reshape(-1)[neighbours]
                hits |= differs
            distances[remaining[hits]] = length
            remaining = remaining[~hits]
        return np.concatenate([np.flatnonzero(~is_inside), remaining])

    def _make_tree(self, value: int) -> KDTree | None:
        box = self._box_of(value)
        annotated = None if self._truth.label_mask is None else self._truth.label_mask[box]
        places = _boundary_of_others(self._truth.labels[box], annotated, value)
        if not len(places):
            return None
        places += [side.start for side in box]
        # Points on a grid are evenly distributed: an unbalanced tree is built faster and searched equally fast.
        return KDTree(places * np.asarray(self._spacing), balanced_tree=False, compact_nodes=False)

    def _box_of(self, value: int) -> tuple[slice, ...]:
        """Return the bounding box of a value, expanded by a voxel, which contains the nearest other values."""
        box = self._boxes[value - 1] if 0 < value <= len(self._boxes) else None
        if box is None or self._truth.label_mask is not None:  # its neighbours may not be annotated
            return tuple(slice(0, side) for side in self._truth.labels.shape)
        return expand(box, (1, 1, 1), self._truth.labels.shape)


def short_steps(spacing: VoxelSize, shape: Sequence[int]) -> list[tuple[float, NDArray[np.int64]]]:
    """Return the steps from a voxel to those around it by their lengths in the unit of `spacing`, the shortest first.

    Parameters
    ----------
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of the distances.
    shape : sequence of int
        Shape of the volume; steps are shorter than a quarter of it, so that they are possible from most of its voxels.
    """
    reach = min(spacing) * 5
    most = [min(int(reach / size), side // 4) for size, side in zip(spacing, shape, strict=True)]
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.sqrt(((steps * np.asarray(spacing)) ** 2).sum(axis=1))
    # Along a truncated axis the next step is missing, and so are all longer ones.
    complete = min((n + 1) * size for n, size in zip(most, spacing, strict=True))
    order = [at for at in np.argsort(lengths, kind="stable")[1 : _MOST_STEPS + 1] if lengths[at] < complete]
    shells: dict[float, list[int]] = {}
    for at in order:
        shells.setdefault(float(np.float32(lengths[at])), []).append(int(at))
    return [(length, steps[places]) for length, places in shells.items()]


def _boundary_of_others(labels: NDArray[Any], annotated: NDArray[np.bool_] | None, value: int) -> NDArray[np.int64]:
    """Return the boundary voxels among those with another value, a few planes at a time to need little memory."""
    chunks = [np.zeros((0, 3), np.int64)]
    for start in range(0, len(labels), _PLANES):
        before = min(start, 1)
        planes = slice(start - before, start + _PLANES + 1)
        other = labels[planes] != value
        if annotated is not None:
            other &= annotated[planes]
        places = np.argwhere(boundary_voxels(other)[before : before + _PLANES])
        places[:, 0] += start
        chunks.append(places)
    return np.concatenate(chunks)


def inner_distance(mask: NDArray[np.bool_], spacing: VoxelSize) -> NDArray[np.float64]:
    """Return the distance of each voxel of a mask from the nearest one outside of it, in the unit of `spacing`.

    Parameters
    ----------
    mask : ndarray of bool, shape (z, y, x)
        One region in its bounding box; everything beyond is outside.
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of the distances.
    """
    distances: NDArray[Any] = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)
    return distances[1:-1, 1:-1, 1:-1]


def boundary_voxels(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the voxels of a mask that share a face with a voxel outside of it.

    Seen from outside, the nearest voxel of a mask is always one of them: otherwise its neighbour would be nearer.

    Parameters
    ----------
    mask : ndarray of bool, shape (z, y, x)
        Voxels beyond the border of the volume do not count.
    """
    outside = ~mask
    boundary = np.zeros_like(mask)
    for axis in range(mask.ndim):
        here, there = [slice(None)] * mask.ndim, [slice(None)] * mask.ndim
        here[axis], there[axis] = slice(1, None), slice(None, -1)
        boundary[tuple(here)] |= outside[tuple(there)]
        boundary[tuple(there)] |= outside[tuple(here)]
    boundary &= mask
    return boundary
