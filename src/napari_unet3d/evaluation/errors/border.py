"""Which voxels count when instances that touch the border of the volume are left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.metrics.instances import IOU_THRESHOLDS
from napari_unet3d.evaluation.metrics.overlaps import Overlaps, border_ids


def without_border(prediction: NDArray[Any], truth: GroundTruth, overlaps: Overlaps) -> tuple[GroundTruth, Overlaps]:
    """Return ground truth and overlaps in which instances at the border do not count, as in `match_instances`.

    Parameters
    ----------
    prediction : ndarray of unsigned integers, shape (z, y, x)
        Ids of instances.
    truth : GroundTruth
        The true ids.
    overlaps : Overlaps
        Overlaps of the two.

    Returns
    -------
    tuple of GroundTruth and Overlaps
        The same ground truth, where true instances at the border and the extra voxels of predicted ones that are left
        out count as not annotated; and the overlaps of the others.
    """
    inner = overlaps.without_border(border_ids(prediction), border_ids(truth.labels))
    left_out, true_left_out = ids_left_out(overlaps, inner)
    is_predicted_out = _lookup(prediction, left_out)
    is_true_out = _lookup(truth.labels, true_left_out)
    mask = np.ones(prediction.shape, bool) if truth.label_mask is None else truth.label_mask.copy()
    for index, (predicted, target) in enumerate(zip(prediction, truth.labels, strict=True)):
        mask[index] &= ~(is_true_out[target] | (is_predicted_out[predicted] & (target == 0)))
    return GroundTruth(truth.labels, mask), inner


def ids_left_out(overlaps: Overlaps, inner: Overlaps) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the ids of the predicted and the true instances that do not count.

    Parameters
    ----------
    overlaps, inner : Overlaps
        Those of all instances, and those without the border.
    """
    is_left_out = overlaps.inside & ~inner.inside & ~inner.match(IOU_THRESHOLDS[0])
    return overlaps.predicted_ids[is_left_out], np.setdiff1d(overlaps.true_ids, inner.true_ids)


def _lookup(labels: NDArray[Any], ids: NDArray[Any]) -> NDArray[np.bool_]:
    """Return whether each id, up to the highest of some labels, is one of `ids`."""
    table = np.zeros(int(labels.max(initial=0)) + 1, bool)
    table[ids.astype(np.int64)] = True
    return table
