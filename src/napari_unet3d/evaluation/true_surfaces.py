"""How far voxels lie from the nearest voxel whose true value is another one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from napari_unet3d.data.annotation import Truth
from napari_unet3d.data.sample import VoxelSize

Voxels = NDArray[np.int32]

_WORTH_THREADS = 20_000  # voxels; for fewer, threads take longer to begin than the search


class TrueSurfaces:
    """Measures distances from the surfaces of the truth, in trees of points rather than in whole volumes.

    Parameters
    ----------
    truth : Truth
        What is true; voxels that are not annotated are on no side of a surface.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    """

    def __init__(self, truth: Truth, voxel_size_um: VoxelSize) -> None:
        self._truth, self._voxel_size_um = truth, voxel_size_um
        self._boxes = ndimage.find_objects(truth.labels) if truth.labels.max(initial=0) > 1 else []
        self._trees: dict[int, KDTree | None] = {}

    def distances(self, value: int, voxels: Voxels) -> NDArray[np.float32]:
        """Measure from the centre of each voxel to the nearest annotated one with another true value.

        Parameters
        ----------
        value : int
            The true value of all of the voxels.
        voxels : ndarray of int32, shape (voxel, 3)
            Places z, y, x.

        Returns
        -------
        ndarray of float32, shape (voxel,)
            Distances in µm; infinite where no other value is annotated anywhere.
        """
        distances = np.full(len(voxels), min(self._voxel_size_um), np.float32)
        far = ~self._is_nearest(value, voxels)
        if not far.any():
            return distances
        if value not in self._trees:
            self._trees[value] = self._make_tree(value)
        if (tree := self._trees[value]) is None:
            distances[far] = np.inf
        else:
            asked = voxels[far] * np.asarray(self._voxel_size_um)
            distances[far], _ = tree.query(asked, workers=-1 if len(asked) > _WORTH_THREADS else 1)
        return distances

    def _is_nearest(self, value: int, voxels: Voxels) -> NDArray[np.bool_]:
        """Say which voxels are as near to another value as can be, which saves looking for what is near to most."""
        labels, annotated, shape = self._truth.labels.ravel(), self._truth.annotated, self._truth.labels.shape
        places = np.ravel_multi_index(tuple(voxels.T), shape)
        is_nearest = np.zeros(len(voxels), bool)
        for axis in np.flatnonzero(np.equal(self._voxel_size_um, min(self._voxel_size_um))):
            stride = int(np.prod(shape[axis + 1 :]))
            for step, end in ((-1, 0), (1, shape[axis] - 1)):
                beside = np.where(voxels[:, axis] == end, places, places + step * stride)
                differs = labels[beside] != value
                if annotated is not None:
                    differs &= annotated.ravel()[beside]
                is_nearest |= differs
        return is_nearest

    def _make_tree(self, value: int) -> KDTree | None:
        box = self._box_of(value)
        other = self._truth.labels[box] != value
        if self._truth.annotated is not None:
            other &= self._truth.annotated[box]
        places = np.argwhere(outermost(other))
        if not len(places):
            return None
        places += [side.start for side in box]
        # Points on a grid are spread evenly: a tree that is not balanced is made faster and found in as fast.
        return KDTree(places * np.asarray(self._voxel_size_um), balanced_tree=False, compact_nodes=False)

    def _box_of(self, value: int) -> tuple[slice, ...]:
        """Give the box of a value, one voxel wider, beyond which no other value can be nearer."""
        box = self._boxes[value - 1] if 0 < value <= len(self._boxes) else None
        if box is None or self._truth.annotated is not None:  # what is beside it may not be annotated
            return tuple(slice(0, side) for side in self._truth.labels.shape)
        return tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)


def thickness(mask: NDArray[np.bool_], voxel_size_um: VoxelSize) -> NDArray[np.float64]:
    """Measure from each voxel of a mask to the nearest one that is not in it; beyond its box nothing is in it.

    Parameters
    ----------
    mask : ndarray of bool, shape (z, y, x)
        One region in its box.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    """
    distances: NDArray[Any] = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=voxel_size_um)
    return distances[1:-1, 1:-1, 1:-1]


def outermost(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the voxels of a mask that have a neighbour beyond one of their faces that is not in it.

    From outside, the nearest voxel of a mask is always one of them: otherwise its neighbour on the way would be nearer.

    Parameters
    ----------
    mask : ndarray of bool, shape (z, y, x)
        What is beyond the border of the volume does not count.
    """
    outside = ~mask
    beside = np.zeros_like(mask)
    for axis in range(mask.ndim):
        here, there = [slice(None)] * mask.ndim, [slice(None)] * mask.ndim
        here[axis], there[axis] = slice(1, None), slice(None, -1)
        beside[tuple(here)] |= outside[tuple(there)]
        beside[tuple(there)] |= outside[tuple(here)]
    beside &= mask
    return beside
