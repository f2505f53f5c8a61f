"""What the network learns of single objects beside the foreground: their boundary and the distance to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet3d.data.sample import VoxelSize


def object_targets(
    ids: NDArray[np.unsignedinteger[Any]],
    voxel_size_um: VoxelSize,
    annotated: NDArray[np.bool_] | None = None,
    mode="all",
    thick=1,
) -> NDArray[np.uint8]:
    targets = np.zeros((2, *ids.shape), np.uint8)
    targets[0] = _boundary(ids, annotated, mode)
    for _ in range(thick - 1):
        targets[0] = ndimage.binary_dilation(targets[0])
    _fill_distance(targets[1], ids, voxel_size_um, annotated)
    return targets


def _boundary(ids, annotated, mode):
    boundary = np.zeros(ids.shape, np.bool_)
    for axis in range(ids.ndim):
        low, high = (_along(axis, slice(None, -1)), _along(axis, slice(1, None)))
        differ = ids[low] != ids[high]
        if mode == "touch":
            differ &= (ids[low] > 0) & (ids[high] > 0)
        if annotated is not None:
            differ &= annotated[low] & annotated[high]
        boundary[low] |= differ
        boundary[high] |= differ
    if mode == "touch2":
        mx = ndimage.maximum_filter(ids, 3)
        mn = ndimage.minimum_filter(np.where(ids > 0, ids, ids.max() + 1), 3)
        return (mx > mn) & (mx > 0) & (mn <= ids.max())
    boundary &= ids > 0
    return boundary


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return (slice(None),) * axis + (part,)


def _fill_distance(distance, ids, voxel_size_um, annotated):
    compact = _consecutive(ids)
    for number, box in enumerate(ndimage.find_objects(compact), start=1):
        grown = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
        is_object = compact[grown] == number
        inside = is_object if annotated is None else is_object | ~annotated[grown]
        if inside.all():
            distance[grown][is_object] = 255
            continue
        to_border = ndimage.distance_transform_edt(inside, sampling=voxel_size_um)[is_object]
        distance[grown][is_object] = np.rint(to_border * (255 / to_border.max()))


def _consecutive(ids):
    is_object = ids > 0
    values = ids[is_object]
    used = np.unique(values)
    compact = np.zeros(ids.shape, np.int32)
    compact[is_object] = np.searchsorted(used, values) + 1
    return compact
