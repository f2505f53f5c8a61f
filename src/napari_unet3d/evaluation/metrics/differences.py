"""Where prediction and truth differ, as labels for the viewer and as signed numbers for the figure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import check_same_shape

EXTRA = 1
"""Label of voxels that the prediction has and the truth has not; shown in red."""
MISSED = 2
"""Label of voxels that the truth has and the prediction has not; shown in blue."""
WRONG_CLASS = 3
"""Label of voxels that both have, but of another class; shown in yellow."""


def difference_labels(prediction: NDArray[Any], truth: GroundTruth, task: Task = Task.BINARY) -> NDArray[np.uint8]:
    """Mark where prediction and truth differ.

    Parameters
    ----------
    prediction : ndarray of integers or bool, shape (z, y, x)
        Labels; everything above 0 is foreground.
    truth : Truth
        What it should be.
    task : Task
        For classes their values are compared; ids of single objects are not.

    Returns
    -------
    ndarray of uint8, shape (z, y, x)
        `EXTRA` where only the prediction is foreground, `MISSED` where only the truth is, `WRONG_CLASS` where both
        are, but of different classes; 0 where they agree and where nothing is annotated.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    check_same_shape(prediction, truth.labels, "difference")
    found, wanted = prediction > 0, truth.labels > 0
    difference = np.zeros(wanted.shape, dtype=np.uint8)
    np.copyto(difference, EXTRA, where=found > wanted)
    np.copyto(difference, MISSED, where=wanted > found)
    if task is Task.SEMANTIC:
        difference[found & wanted & (prediction != truth.labels)] = WRONG_CLASS
    if truth.label_mask is not None:
        difference[~truth.label_mask] = 0
    return difference


def signed_difference(prediction: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.int8]:
    """Subtract the foreground of the truth from that of the prediction.

    Parameters
    ----------
    prediction, truth : ndarray of integers or bool, shape (z, y, x) or (y, x)
        Labels; everything above 0 is foreground.

    Returns
    -------
    ndarray of int8, of the same shape
        1 where only the prediction is foreground, −1 where only the truth is, 0 where they agree.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    check_same_shape(prediction, truth, "difference")
    return (prediction > 0).astype(np.int8) - (truth > 0).astype(np.int8)
