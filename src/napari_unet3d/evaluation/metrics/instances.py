"""How many single objects were found, split and merged: true and predicted ids are matched one to one."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.evaluation.metrics.overlaps import Overlaps
from napari_unet3d.evaluation.metrics.types import IOU_THRESHOLDS, InstanceScores


def score_instances(
    prediction: NDArray[Any], truth: NDArray[Any], annotated: NDArray[np.bool_] | None = None
) -> InstanceScores:
    """Match predicted objects with true ones and count.

    At each threshold as many pairs as possible with at least that IoU are matched, each object in one pair at most;
    that is the number of pairs that `stardist.matching` and `cellpose.metrics` find. Without any object in both, all
    agree and the scores are 1; without any match they are 0.

    Where only a part is annotated, overlaps and volumes are counted in the annotated voxels alone, and a predicted
    object that lies outside of them for the most part (more than half of its volume) is no mistake when it matches
    nothing: it counts only when it is matched at IoU 0.5.

    Parameters
    ----------
    prediction, truth : ndarray of unsigned integers, shape (z, y, x)
        Ids of objects, 0 for background. Which ids they are does not matter.
    annotated : ndarray of bool, shape (z, y, x), optional
        Where the truth is known; without it, everywhere.
    """
    overlaps = Overlaps.count(prediction, truth, annotated)
    matches = [overlaps.match(iou) for iou in IOU_THRESHOLDS]
    n_true = len(overlaps.true_sizes)
    counts = [
        (int(matched.sum()), int((overlaps.inside & ~matched).sum()), n_true - int(matched.sum()))
        for matched in matches
    ]
    f1_at_iou = tuple(_ratio(2 * tp, 2 * tp + fp + fn) for tp, fp, fn in counts)
    ap_at_iou = tuple(_ratio(tp, tp + fp + fn) for tp, fp, fn in counts)
    tp, fp, fn = counts[0]
    nothing = tp + fp + fn == 0
    return InstanceScores(
        f1=f1_at_iou[0],
        precision=1.0 if nothing else tp / max(1, tp + fp),
        recall=1.0 if nothing else tp / max(1, tp + fn),
        ap=fmean(ap_at_iou),
        n_true=n_true,
        n_predicted=tp + fp,
        n_matched=tp,
        n_split=len(overlaps.splits()),
        n_merged=len(overlaps.merges()),
        f1_at_iou=f1_at_iou,
        ap_at_iou=ap_at_iou,
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
