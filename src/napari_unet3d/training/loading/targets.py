"""Targets that the network outputs are compared with, as integers that can be cropped, rotated and flipped."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.errors import UserError
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.training.loading.instance_targets import instance_targets

IGNORE_INDEX = 255
"""Value in the first channel of targets that neither loss nor scores count."""
FULL_DISTANCE = 255
"""Value of the distance channel that stands for 1, the centre of an instance."""


def make_targets(truth: GroundTruth, plan: Plan, spacing: VoxelSize) -> NDArray[np.uint8]:
    """Compute targets from labels.

    Parameters
    ----------
    truth : GroundTruth
        Labels of shape (z, y, x), and where they are annotated.
    plan : Plan
        Task and classes.
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of `Geometry.spacing`, for distances.

    Returns
    -------
    ndarray of uint8, shape (channel, z, y, x)
        For the task binary one channel with 0 and 1, for semantic one with the number of the class (0 is background),
        for instance foreground, boundary and distance (0 to `FULL_DISTANCE`). The first channel is `IGNORE_INDEX`
        where nothing is annotated.
    """
    match plan.task:
        case Task.BINARY:
            targets = (truth.labels > 0).astype(np.uint8)[None]
        case Task.SEMANTIC:
            targets = _class_numbers(truth, plan)[None]
        case Task.INSTANCE:
            foreground = (truth.labels > 0).astype(np.uint8)
            targets = np.concatenate([foreground[None], instance_targets(truth.labels, spacing, truth.label_mask)])
    if truth.label_mask is not None:
        targets[0][~truth.label_mask] = IGNORE_INDEX
    return targets


def _class_numbers(truth: GroundTruth, plan: Plan) -> NDArray[np.uint8]:
    numbers = np.zeros(int(max(truth.labels.max(), *(each.value for each in plan.classes))) + 1, np.uint8)
    for number, each in enumerate(plan.classes, start=1):
        numbers[each.value] = number
    per_voxel: NDArray[np.uint8] = numbers[truth.labels]
    return per_voxel


def find_classes(truths: Iterable[GroundTruth], config: TrainingConfig) -> tuple[LabelClass, ...]:
    """Return the classes of the task semantic; other tasks have none.

    Parameters
    ----------
    truths : iterable of GroundTruth
        All training and validation volumes.
    config : TrainingConfig
        Task and names of the classes.

    Raises
    ------
    UserError
        If there are too many classes for a softmax, or the number of names differs from that of the classes.
    """
    if config.task is not Task.SEMANTIC:
        return ()
    return name_classes({int(value) for truth in truths for value in np.unique(truth.labels)} - {0}, config)


def name_classes(found: Iterable[int], config: TrainingConfig) -> tuple[LabelClass, ...]:
    """Return classes for label values other than background; see `find_classes`."""
    if config.task is not Task.SEMANTIC:
        return ()
    values = sorted(found)
    if len(values) > 100 or (values and values[-1] > 65_535):
        raise UserError(
            f"The labels hold {len(values)} different values up to {values[-1]}, which are hardly classes. "
            "Choose the task instance if each value is the id of one object."
        )
    names = config.class_names or tuple(f"class {value}" for value in values)
    if len(names) != len(values):
        raise UserError(
            f"{len(names)} class names are given ({', '.join(names)}), but the labels hold {len(values)} classes "
            f"({', '.join(map(str, values))}). Set one name per class, without background."
        )
    return tuple(LabelClass(value=value, name=name) for value, name in zip(values, names, strict=True))
