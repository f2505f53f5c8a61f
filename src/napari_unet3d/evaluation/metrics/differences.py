"""Where prediction and ground truth differ, as labels for the viewer and as signed numbers for figures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.label_values import check_same_shape

EXTRA = 1
"""Label of voxels that are foreground in the prediction but not in the ground truth; shown in red."""
MISSED = 2
"""Label of voxels that are foreground in the ground truth but not in the prediction; shown in blue."""
WRONG_CLASS = 3
"""Label of voxels that are foreground in both, but of different classes; shown in yellow."""


def difference_labels(prediction: NDArray[Any], truth: GroundTruth, task: Task = Task.BINARY) -> NDArray[np.uint8]:
    """Return labels of where prediction and ground truth differ.

    Parameters
    ----------
    prediction : ndarray of integers or bool, shape (z, y, x)
        Labels; everything above 0 is foreground.
    truth : GroundTruth
        Ground truth of the same shape.
    task : Task
        Of classes the values are compared; ids of instances are not.

    Returns
    -------
    ndarray of uint8, shape (z, y, x)
        `EXTRA` where only the prediction is foreground, `MISSED` where only the ground truth is, `WRONG_CLASS` where
        both are, but of different classes; 0 where they agree and where nothing is annotated.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    check_same_shape(prediction, truth.labels, "difference")
    predicted, target = prediction > 0, truth.labels > 0
    difference = np.zeros(target.shape, dtype=np.uint8)
    np.copyto(difference, EXTRA, where=predicted > target)
    np.copyto(difference, MISSED, where=target > predicted)
    if task is Task.SEMANTIC:
        difference[predicted & target & (prediction != truth.labels)] = WRONG_CLASS
    if truth.label_mask is not None:
        difference[~truth.label_mask] = 0
    return difference


def signed_difference(prediction: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.int8]:
    """Return the foreground of the prediction minus that of the ground truth.

    Parameters
    ----------
    prediction, truth : ndarray of integers or bool, shape (z, y, x) or (y, x)
        Labels; everything above 0 is foreground.

    Returns
    -------
    ndarray of int8, of the same shape
        1 where only the prediction is foreground, −1 where only the ground truth is, 0 where they agree.

    Raises
    ------
    UserError
        When the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> signed_difference(np.array([[1, 1, 0]]), np.array([[0, 1, 1]]))
    array([[ 1,  0, -1]], dtype=int8)
    """
    check_same_shape(prediction, truth, "difference")
    return (prediction > 0).astype(np.int8) - (truth > 0).astype(np.int8)
