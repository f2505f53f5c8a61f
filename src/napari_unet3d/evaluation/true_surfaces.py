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


class TrueSurfaces:
    """Measures distances from the surfaces of the truth, in trees of points rather than in whole volumes.

    Ask for the voxels of one true value after the other, since only the latest tree is kept.

    Parameters
    ----------
    truth : Truth
        What is true; voxels that are not annotated are on no side of a surface.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    """

    def __init__(self, truth: Truth, voxel_size_um: VoxelSize) -> None:
        self._truth, self._voxel_size_um = truth, voxel_size_um
        self._boxes = ndimage.find_objects(truth.labels) if truth.labels.size else []
        self._value: int | None = None
        self._tree: KDTree | None = None

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
        if value != self._value:
            self._value, self._tree = value, self._make_tree(value)
        if self._tree is None:
            return np.full(len(voxels), np.inf, np.float32)
        nearest, _ = self._tree.query(voxels * np.asarray(self._voxel_size_um))
        distances: NDArray[np.float32] = nearest.astype(np.float32)
        return distances

    def _make_tree(self, value: int) -> KDTree | None:
        box = self._box_of(value)
        other = self._truth.labels[box] != value
        if self._truth.annotated is not None:
            other &= self._truth.annotated[box]
        places = np.argwhere(_outermost(other))
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


def _outermost(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the voxels of a mask that have a neighbour beyond one of their faces that is not in it.

    The nearest voxel of a mask is always one of them: otherwise its neighbour on the way would be nearer.
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
