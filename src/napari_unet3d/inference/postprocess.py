"""From what the network answered to labels, for every task; quick enough to follow a slider."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label as number_regions

from napari_unet3d.configs import PostProcessing, Task
from napari_unet3d.data.sample import VoxelSize
from napari_unet3d.inference.instances import smallest_count, split_instances
from napari_unet3d.model.plan import LabelClass, Plan


def postprocess(
    probability: NDArray[np.float32],
    maps: NDArray[np.floating[Any]] | None,
    voxel_size_um: VoxelSize,
    plan: Plan | None,
    settings: PostProcessing,
) -> NDArray[np.unsignedinteger[Any]]:
    """Make labels of a prediction; the network is not asked again.

    Parameters
    ----------
    probability : ndarray of float32, shape (z, y, x)
        Probability of foreground (of anything but background).
    maps : ndarray of float16, shape (channel, z, y, x), or None
        The probability of each class without background, or boundary and distance; None for foreground.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    plan : Plan or None
        Task and classes of the model; None means foreground.
    settings : PostProcessing
        Threshold, smallest volume, and how objects are separated.

    Returns
    -------
    ndarray of unsigned integers, shape (z, y, x)
        0 is background; 1 is foreground, or the values are those of the classes, or ids of single objects.
    """
    task = Task.BINARY if plan is None else plan.task
    if plan is None or maps is None or task is Task.BINARY:
        labels = (probability >= settings.threshold).astype(np.uint8)
    elif task is Task.INSTANCE:
        return split_instances(probability, maps, settings, voxel_size_um)
    else:
        labels = _most_likely(probability, maps, plan.classes, settings.threshold)
    return remove_small(labels, settings.min_volume_um3, voxel_size_um)


def remove_small(
    labels: NDArray[np.unsignedinteger[Any]], min_volume_um3: float, voxel_size_um: VoxelSize
) -> NDArray[np.unsignedinteger[Any]]:
    """Remove connected regions of one value that are smaller than a volume.

    Voxels that share a corner are connected, so that a thin structure that runs askew stays whole.

    Parameters
    ----------
    labels : ndarray of unsigned integers, shape (z, y, x)
        0 is background.
    min_volume_um3 : float
        The smallest volume that is kept, in µm³.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.

    Returns
    -------
    ndarray of unsigned integers, shape (z, y, x)
        The labels with 0 in small regions, of the same type; the same array when nothing can be too small.
    """
    smallest = smallest_count(min_volume_um3, voxel_size_um)
    if smallest <= 1:
        return labels
    regions = number_regions(labels, background=0, connectivity=3)
    is_large: NDArray[np.bool_] = np.bincount(regions.ravel()) >= smallest
    return np.where(is_large[regions], labels, 0).astype(labels.dtype)


def _most_likely(
    probability: NDArray[np.float32],
    maps: NDArray[np.floating[Any]],
    classes: tuple[LabelClass, ...],
    threshold: float,
) -> NDArray[np.unsignedinteger[Any]]:
    """Return the value of the most likely class.

    A class wins over background when its odds against it are at least ``threshold / (1 - threshold)``: at one half
    the most likely of all wins, and with a single class it is the threshold of foreground.
    """
    values = np.array([0, *(each.value for each in classes)])
    chance = np.nan_to_num(maps.astype(np.float32))
    winner = chance.argmax(axis=0)
    best = np.take_along_axis(chance, winner[None], axis=0)[0]
    wins = (1 - threshold) * best >= threshold * (1 - probability)
    return values.astype(np.min_scalar_type(int(values.max())))[np.where(wins, winner + 1, 0)]
