"""What the values in a labels volume mean: which voxels are annotated, and what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task, ZeroIs


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """Labels with one meaning, whatever convention they were painted in.

    Attributes
    ----------
    labels : ndarray of unsigned integers, shape (z, y, x)
        0 is background; 1 is foreground, or the values are those of the classes, or ids of single objects.
        0 also where nothing is annotated.
    annotated : ndarray of bool, shape (z, y, x), or None
        Where the labels hold; None when they do everywhere.
    """

    labels: NDArray[np.unsignedinteger[Any]]
    label_mask: NDArray[np.bool_] | None = None


def background_value(zero_is: ZeroIs) -> int:
    """Return the label value that means background; those above it are foreground, classes or objects."""
    return 1 if zero_is is ZeroIs.UNLABELLED else 0


def has_foreground(labels: NDArray[Any], zero_is: ZeroIs, annotated: NDArray[np.bool_] | None = None) -> bool:
    """Return whether labels hold anything but background, slice by slice, for volumes that lie on disk.

    Parameters
    ----------
    labels : ndarray of integers or bool, shape (z, y, x)
        As they were painted or read.
    zero_is : ZeroIs
        Background, or not annotated: then only values above 1 are foreground.
    annotated : ndarray of bool, shape (z, y, x), optional
        Where the labels hold.
    """
    lowest = background_value(zero_is)
    if annotated is None:
        return any(bool((plane > lowest).any()) for plane in labels)
    return any(bool((plane > lowest)[mask].any()) for plane, mask in zip(labels, annotated, strict=True))


def decode_labels(
    labels: NDArray[Any], task: Task, zero_is: ZeroIs, annotated: NDArray[np.bool_] | None = None
) -> GroundTruth:
    """Tell what labels mean.

    Parameters
    ----------
    labels : ndarray of integers or bool, shape (z, y, x)
        As they were painted or read.
    task : Task
        For the foreground, every object becomes 1; classes and ids keep their values.
    zero_is : ZeroIs
        Background, or not annotated: then 1 becomes background (0), and only values above it are objects.
    annotated : ndarray of bool, shape (z, y, x), optional
        Where the labels hold; elsewhere nothing is annotated, whatever they say.

    Returns
    -------
    Truth
        Labels in the smallest type that holds them; the mask is the given one when only that tells what holds.
    """
    lowest = background_value(zero_is)
    known = labels > 0 if zero_is is ZeroIs.UNLABELLED else None
    if annotated is not None:
        known = annotated if known is None else known & annotated
    is_object = np.asarray(labels > lowest)
    if known is not None:
        is_object &= known
    if task is Task.BINARY:
        return GroundTruth(is_object.view(np.uint8), known)
    values = np.where(is_object, labels, 0)
    highest = int(values.max()) if values.size else 0
    return GroundTruth(
        labels=values.astype(np.min_scalar_type(highest), copy=False),
        label_mask=known,
    )
