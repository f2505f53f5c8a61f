"""What the values of a labels volume mean: background, foreground, and voxels that are not annotated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.errors import UserError


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """Labels with one meaning, whatever convention they were annotated in.

    Attributes
    ----------
    labels : ndarray of unsigned integers, shape (z, y, x)
        0 is background; 1 is foreground, or the values are those of the classes, or ids of single objects.
        0 also where nothing is annotated.
    label_mask : ndarray of bool, shape (z, y, x), or None
        Which voxels are annotated; None when all are.
    """

    labels: NDArray[np.unsignedinteger[Any]]
    label_mask: NDArray[np.bool_] | None = None


def background_value(ignore_label: int | None) -> int:
    """Return the label value of background: 1 when label 0 is ignored, else 0.

    >>> background_value(None), background_value(255), background_value(0)
    (0, 0, 1)
    """
    return 1 if ignore_label == 0 else 0


def is_foreground(labels: Any, ignore_label: int | None) -> Any:
    """Return whether label values are foreground: neither background nor ignored.

    Parameters
    ----------
    labels : int, or ndarray of integers or bool
        Label values.
    ignore_label : int or None
        The label value of voxels that are not annotated.

    Returns
    -------
    bool, or ndarray of bool of the same shape
        True where the value is that of foreground, a class or an object.

    Examples
    --------
    >>> is_foreground(np.array([0, 1, 2, 255]), None)
    array([False,  True,  True,  True])
    >>> is_foreground(np.array([0, 1, 2, 255]), 255)
    array([False,  True,  True, False])
    >>> is_foreground(np.array([0, 1, 2, 255]), 0)
    array([False, False,  True,  True])
    """
    background = background_value(ignore_label)
    above = labels > background
    return above if ignore_label is None or ignore_label <= background else above & (labels != ignore_label)


def has_foreground(labels: NDArray[Any], ignore_label: int | None, label_mask: NDArray[np.bool_] | None = None) -> bool:
    """Return whether any annotated voxel is foreground; volumes on disk are read slice by slice.

    Parameters
    ----------
    labels : ndarray of integers or bool, shape (z, y, x)
        Labels as they were annotated.
    ignore_label : int or None
        The label value of voxels that are not annotated.
    label_mask : ndarray of bool, shape (z, y, x), optional
        Which voxels are annotated.
    """
    if label_mask is None:
        return any(bool(is_foreground(plane, ignore_label).any()) for plane in labels)
    return any(
        bool(is_foreground(plane, ignore_label)[mask].any()) for plane, mask in zip(labels, label_mask, strict=True)
    )


def negative_labels(name: str, lowest: int) -> str:
    """Return the message for label values below 0 that are not the ignore label."""
    words = f"The labels of '{name}'" if name else "The labels"
    return (
        f"{words} go down to {lowest}; background is 0 and all other labels are above it. Number them again, or set "
        f"the ignore label to {lowest} if it marks voxels that are not annotated."
    )


def decode_labels(
    labels: NDArray[Any],
    task: Task,
    ignore_label: int | None,
    label_mask: NDArray[np.bool_] | None = None,
    *,
    name: str = "",
) -> GroundTruth:
    """Return what labels mean for a task.

    Parameters
    ----------
    labels : ndarray of integers or bool, shape (z, y, x)
        Labels as they were annotated.
    task : Task
        For the task binary, all foreground becomes 1; classes and ids keep their values.
    ignore_label : int or None
        The label value of voxels that are not annotated. When it is 0, label 1 is background and becomes 0, and
        foreground begins at 2.
    label_mask : ndarray of bool, shape (z, y, x), optional
        Which voxels are annotated; labels elsewhere are ignored.
    name : str
        Name of the volume, for the message.

    Returns
    -------
    GroundTruth
        Labels in the smallest unsigned type that holds them, and which voxels are annotated: a mask whenever there is
        an ignore label, else the given one.

    Raises
    ------
    UserError
        If a label other than the ignore label is negative.

    Examples
    --------
    >>> labels = np.array([[[-1, 0, 1, 5]]])
    >>> truth = decode_labels(labels, Task.SEMANTIC, -1)
    >>> truth.labels, truth.label_mask
    (array([[[0, 0, 1, 5]]], dtype=uint8), array([[[False,  True,  True,  True]]]))
    """
    known = None if ignore_label is None else labels != ignore_label
    if labels.dtype.kind == "i":
        lowest = int(labels.min(initial=0) if known is None else labels.min(initial=0, where=known))
        if lowest < 0:
            raise UserError(negative_labels(name, lowest))
    if label_mask is not None:
        known = label_mask if known is None else known & label_mask
    foreground = np.asarray(is_foreground(labels, ignore_label))
    if known is not None:
        foreground &= known
    if task is Task.BINARY:
        return GroundTruth(foreground.view(np.uint8), known)
    values = np.where(foreground, labels, 0)
    return GroundTruth(values.astype(np.min_scalar_type(int(values.max(initial=0))), copy=False), known)


def encode_labels(truth: GroundTruth, task: Task, ignore_label: int | None) -> NDArray[Any]:
    """Return ground truth in the convention that it was annotated in: what `decode_labels` turns into it again.

    Parameters
    ----------
    truth : GroundTruth
        Labels of shape (z, y, x), and which voxels are annotated.
    task : Task
        The task that they were decoded for.
    ignore_label : int or None
        The label value of voxels that are not annotated.

    Returns
    -------
    ndarray of integers, shape (z, y, x)
        The ignore label where nothing is annotated; when it is 0, background is 1.

    Examples
    --------
    >>> truth = decode_labels(np.array([[[0, 1, 3, 5]]]), Task.SEMANTIC, 0)
    >>> encode_labels(truth, Task.SEMANTIC, 0)
    array([[[0, 1, 3, 5]]], dtype=uint8)
    """
    if ignore_label is None:
        return truth.labels
    labels = truth.labels.astype(np.promote_types(truth.labels.dtype, np.min_scalar_type(ignore_label)), copy=False)
    if ignore_label == 0:  # foreground of the task binary is 1, and other values are those of the annotation
        labels = labels + 1 if task is Task.BINARY else np.where(labels > 0, labels, 1)
    return labels if truth.label_mask is None else np.where(truth.label_mask, labels, ignore_label)
