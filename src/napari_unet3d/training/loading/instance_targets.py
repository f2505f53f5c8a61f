"""Targets of the task instance beside the foreground: boundaries between touching instances, and distances."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy  # its submodules are loaded on use, not when a dock opens
from numpy.typing import NDArray

from napari_unet3d.data.geometry import VoxelSize


def instance_targets(
    ids: NDArray[np.unsignedinteger[Any]], spacing: VoxelSize, annotated: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Compute a boundary and a distance map from instance ids, the second and third target of the network.

    The boundary is where two instances touch: the voxels, of instances and of a gap between them, that have two
    instances among themselves and their 26 neighbours. Surfaces towards the background are left out: the foreground
    contains them already, and a boundary all around closes thin necks of an instance, which is then split. Gaps between
    touching cells were weighted by Ronneberger et al. 2015 (U-Net, equation 2); a separate target for them comes from
    the best entries of the 2018 Data Science Bowl (Caicedo et al. 2019).

    The distance is the Euclidean distance in µm to the nearest voxel outside the instance, divided by its largest
    value in that instance. The border of the volume is not a border of an instance.

    Parameters
    ----------
    ids : ndarray of unsigned integers, shape (z, y, x)
        0 is background; other values are instances, in any order and with any gaps.
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of `Geometry.spacing`.
    annotated : ndarray of bool, shape (z, y, x), optional
        Where the ids are annotated. Other voxels are not a border of an instance, so that an instance painted in a
        single slice has its centre in that slice.

    Returns
    -------
    ndarray of uint8, shape (2, z, y, x)
        Boundary, 0 or 1, and distance, from 0 outside and at the border of an instance to 255 in its centre.
    """
    compact = _consecutive(ids)
    return np.stack([_boundary(compact), _distance(compact, spacing, annotated)])


def _boundary(compact: NDArray[np.int32]) -> NDArray[np.uint8]:
    highest = scipy.ndimage.maximum_filter(compact, 3)
    lowest = scipy.ndimage.minimum_filter(np.where(compact > 0, compact, np.iinfo(np.int32).max), 3)
    is_boundary: NDArray[np.bool_] = (lowest < highest) & (highest > 0)
    return is_boundary.astype(np.uint8)


def _distance(compact: NDArray[np.int32], spacing: VoxelSize, annotated: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    distance = np.zeros(compact.shape, np.uint8)
    for number, box in enumerate(scipy.ndimage.find_objects(compact), start=1):
        # One voxel more on each side, within the volume: the nearest voxel outside is never further away.
        expanded = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
        is_object = compact[expanded] == number
        inside = is_object if annotated is None else is_object | ~annotated[expanded]
        if inside.all():  # without a border, the transform is undefined
            distance[expanded][is_object] = 255
            continue
        to_border = scipy.ndimage.distance_transform_edt(inside, sampling=spacing)[is_object]
        distance[expanded][is_object] = np.rint(to_border * (255 / to_border.max()))
    return distance


def _consecutive(ids: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.int32]:
    """Renumber ids to 1, 2, …, since find_objects makes a box for each number up to the highest."""
    is_object = ids > 0
    _, inverse = np.unique(ids[is_object], return_inverse=True)
    compact = np.zeros(ids.shape, np.int32)
    compact[is_object] = inverse + 1
    return compact
