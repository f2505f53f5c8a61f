"""Compute labels from the network output, for every task; fast enough to follow a slider."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label as label_components

from napari_unet3d.configs import PostProcessing, Task
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.transforms.instances import min_voxel_count, split_instances


def postprocess(
    probability: NDArray[np.float32],
    maps: NDArray[np.floating[Any]] | None,
    voxel_size_um: VoxelSize,
    plan: Plan | None,
    settings: PostProcessing,
) -> NDArray[np.unsignedinteger[Any]]:
    """Compute the labels of a prediction from its probabilities, without running the network again.

    Parameters
    ----------
    probability : ndarray of float32, shape (z, y, x)
        Probability of foreground (anything but background).
    maps : ndarray of float16, shape (channel, z, y, x), or None
        The probability of each class except background, or boundary and distance; None for binary.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    plan : Plan or None
        Task and classes of the model; None means binary.
    settings : PostProcessing
        Threshold, minimum volume, and how single objects are separated.

    Returns
    -------
    ndarray of unsigned integers, shape (z, y, x)
        0 is background. Foreground is 1, a class has its label value, or a single object its id.

    Examples
    --------
    >>> probability = np.array([[[0.1, 0.4, 0.9]]], dtype=np.float32)
    >>> postprocess(probability, None, (1.0, 1.0, 1.0), None, PostProcessing(threshold=0.3))
    array([[[0, 1, 1]]], dtype=uint8)
    """
    task = Task.BINARY if plan is None else plan.task
    if plan is None or maps is None or task is Task.BINARY:
        labels = (probability >= settings.threshold).astype(np.uint8)
    elif task is Task.INSTANCE:
        return split_instances(probability, maps, settings, voxel_size_um)
    else:
        labels = _most_likely_class(probability, maps, plan.classes, settings.threshold)
    return remove_small(labels, settings.min_volume_um3, voxel_size_um)


def remove_small(
    labels: NDArray[np.unsignedinteger[Any]], min_volume_um3: float, voxel_size_um: VoxelSize
) -> NDArray[np.unsignedinteger[Any]]:
    """Remove connected components that are smaller than a minimum volume.

    Voxels that share a face, an edge or a corner are connected, so a thin diagonal structure stays in one piece.

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
        The labels with small components set to 0, of the same type; the same array if no component can be too small.

    Examples
    --------
    >>> remove_small(np.array([[[1, 1, 0, 1]]], dtype=np.uint8), min_volume_um3=2, voxel_size_um=(1.0, 1.0, 1.0))
    array([[[1, 1, 0, 0]]], dtype=uint8)
    """
    min_voxels = min_voxel_count(min_volume_um3, voxel_size_um)
    if min_voxels <= 1:
        return labels
    components = label_components(labels, background=0, connectivity=3)
    is_large: NDArray[np.bool_] = np.bincount(components.ravel()) >= min_voxels
    return np.where(is_large[components], labels, 0).astype(labels.dtype)


def _most_likely_class(
    probability: NDArray[np.float32],
    maps: NDArray[np.floating[Any]],
    classes: tuple[LabelClass, ...],
    threshold: float,
) -> NDArray[np.unsignedinteger[Any]]:
    """Return the label value of the most likely class, or 0 for background.

    A class is preferred to background if its odds against background are at least ``threshold / (1 - threshold)``. At
    a threshold of 0.5 that is the argmax, and with a single class it is the threshold of the binary task.
    """
    values = np.array([0, *(each.value for each in classes)])
    class_probability = np.nan_to_num(maps.astype(np.float32))
    best_class = class_probability.argmax(axis=0)
    best = np.take_along_axis(class_probability, best_class[None], axis=0)[0]
    is_foreground = (1 - threshold) * best >= threshold * (1 - probability)
    return values.astype(np.min_scalar_type(int(values.max())))[np.where(is_foreground, best_class + 1, 0)]
