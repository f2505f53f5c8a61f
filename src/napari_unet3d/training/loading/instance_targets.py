"""What the network learns of single objects beside the foreground: where two meet, and how deep inside it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy  # whose parts are loaded when they are used, not when a dock opens
from numpy.typing import NDArray

from napari_unet3d.data.sample import VoxelSize


def instance_targets(
    ids: NDArray[np.unsignedinteger[Any]], voxel_size_um: VoxelSize, annotated: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Turn ids of objects into a boundary and a distance map, the second and third output of the network.

    The boundary is where two objects meet: the voxels, of objects and of a gap between them, that have two objects
    among themselves and their 26 neighbours. Surfaces towards the background are left out. The foreground tells
    those already, and a boundary all around closes thin necks inside one object, which then falls apart. Gaps between
    touching cells were singled out by Ronneberger et al. 2015 (U-Net, equation 2); that they are a target of
    their own comes from the best entries of the 2018 Data Science Bowl (Caicedo et al. 2019).

    The distance is the Euclidean one in µm to the nearest voxel outside the object, divided by the largest of
    that object. The border of the volume is no border of an object.

    Parameters
    ----------
    ids : ndarray of unsigned integers, shape (z, y, x)
        0 is background; other values are objects, in any order and with any gaps.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    annotated : ndarray of bool, shape (z, y, x), optional
        Where the ids hold. Other voxels are no border of an object, so that one painted in a single slice has its
        middle in that slice.

    Returns
    -------
    ndarray of uint8, shape (2, z, y, x)
        Boundary, 0 or 1, and distance, from 0 outside and at an object's border to 255 in its middle.
    """
    compact = _consecutive(ids)
    return np.stack([_where_two_meet(compact), _distance(compact, voxel_size_um, annotated)])


def _where_two_meet(compact: NDArray[np.int32]) -> NDArray[np.uint8]:
    highest = scipy.ndimage.maximum_filter(compact, 3)
    lowest = scipy.ndimage.minimum_filter(np.where(compact > 0, compact, np.iinfo(np.int32).max), 3)
    meet: NDArray[np.bool_] = (lowest < highest) & (highest > 0)
    return meet.astype(np.uint8)


def _distance(
    compact: NDArray[np.int32], voxel_size_um: VoxelSize, annotated: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    distance = np.zeros(compact.shape, np.uint8)
    for number, box in enumerate(scipy.ndimage.find_objects(compact), start=1):
        # One voxel more on each side, where there is one: the nearest voxel outside never lies further away.
        grown = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
        is_object = compact[grown] == number
        inside = is_object if annotated is None else is_object | ~annotated[grown]
        if inside.all():  # no border in sight; the transform would be undefined
            distance[grown][is_object] = 255
            continue
        to_border = scipy.ndimage.distance_transform_edt(inside, sampling=voxel_size_um)[is_object]
        distance[grown][is_object] = np.rint(to_border * (255 / to_border.max()))
    return distance


def _consecutive(ids: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.int32]:
    """Return the objects the numbers 1, 2, …, as find_objects makes a box for each number up to the highest."""
    is_object = ids > 0
    _, inverse = np.unique(ids[is_object], return_inverse=True)
    compact = np.zeros(ids.shape, np.int32)
    compact[is_object] = inverse + 1
    return compact
