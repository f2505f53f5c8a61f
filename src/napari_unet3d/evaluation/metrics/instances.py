"""How many instances were found, split and merged: predicted and true ids are matched one to one."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.evaluation.metrics.overlaps import Overlaps, border_ids

IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""The thresholds that AP is averaged over: 0.5, 0.55, …, 0.95."""


@dataclass(frozen=True, slots=True)
class InstanceMatches:
    """Predicted and true instances, matched one to one.

    Attributes
    ----------
    counts : tuple of tuple of int
        True positives, false positives and false negatives at each of `IOU_THRESHOLDS`.
    n_split, n_merged : int
        True instances that contain two or more predicted ones, and predicted instances that contain two or more true
        ones. An instance contains another one if it covers more than half of its volume.
    n_at_border : int
        True and predicted instances that were left out because they touch the border.
    """

    counts: tuple[tuple[int, int, int], ...]
    n_split: int
    n_merged: int
    n_at_border: int = 0

    @property
    def is_defined(self) -> bool:
        """Whether any instance counts, or there is none; False if all were left out."""
        return any(self.counts[0]) or not self.n_at_border

    @property
    def n_true(self) -> int:
        """How many true instances count."""
        tp, _, fn = self.counts[0]
        return tp + fn

    @property
    def n_predicted(self) -> int:
        """How many predicted instances count."""
        tp, fp, _ = self.counts[0]
        return tp + fp

    @property
    def n_matched(self) -> int:
        """How many pairs are matched at IoU 0.5."""
        return self.counts[0][0]

    @property
    def n_extra(self) -> int:
        """How many predicted instances match no true one at IoU 0.5."""
        return self.counts[0][1]

    @property
    def precision(self) -> float:
        """Fraction of the predicted instances that are matched at IoU 0.5."""
        return self._of_matched(self.n_predicted)

    @property
    def recall(self) -> float:
        """Fraction of the true instances that are matched at IoU 0.5."""
        return self._of_matched(self.n_true)

    @property
    def f1_at_iou(self) -> tuple[float, ...]:
        """2 TP / (2 TP + FP + FN) at each of `IOU_THRESHOLDS`."""
        return tuple(_ratio(2 * tp, 2 * tp + fp + fn) for tp, fp, fn in self.counts)

    @property
    def ap_at_iou(self) -> tuple[float, ...]:
        """TP / (TP + FP + FN) at each of `IOU_THRESHOLDS`."""
        return tuple(_ratio(tp, tp + fp + fn) for tp, fp, fn in self.counts)

    @property
    def f1(self) -> float:
        """F1 at IoU 0.5."""
        return self.f1_at_iou[0]

    @property
    def ap(self) -> float:
        """TP / (TP + FP + FN), averaged over `IOU_THRESHOLDS`.

        This is what StarDist and Cellpose call average precision; it is not the area under a curve that COCO gives
        this name.
        """
        return fmean(self.ap_at_iou)

    def _of_matched(self, n_instances: int) -> float:
        return 1.0 if not any(self.counts[0]) else self.n_matched / max(1, n_instances)


def match_instances(
    prediction: NDArray[Any],
    truth: NDArray[Any],
    annotated: NDArray[np.bool_] | None = None,
    *,
    ignore_border: bool = False,
) -> InstanceMatches:
    """Match predicted instances with true ones and count.

    At each threshold as many pairs as possible with at least that IoU are matched, each instance in one pair at most;
    that is the number of pairs that `stardist.matching` and `cellpose.metrics` find. If neither has an instance, they
    agree and the scores are 1; without any match they are 0.

    Where only a part is annotated, overlaps and volumes are counted in the annotated voxels alone, and a predicted
    instance with more than half of its volume outside of them is no error if it matches nothing: it counts only if it
    is matched at IoU 0.5.

    Parameters
    ----------
    prediction, truth : ndarray of unsigned integers, shape (z, y, x)
        Ids of instances, 0 for background. The values of the ids do not matter.
    annotated : ndarray of bool, shape (z, y, x), optional
        Where the ground truth is known; without it, everywhere.
    ignore_border : bool
        Leave out instances that touch the border of the volume; see `Overlaps.without_border`.

    Examples
    --------
    >>> import numpy as np
    >>> matches = match_instances(np.array([[[1, 1, 0, 2]]]), np.array([[[7, 7, 0, 0]]]))
    >>> matches.n_matched, matches.n_extra, round(matches.f1, 3)
    (1, 1, 0.667)
    """
    overlaps = Overlaps.count(prediction, truth, annotated)
    return match_overlaps(overlaps, (border_ids(prediction), border_ids(truth)) if ignore_border else None)


def match_overlaps(overlaps: Overlaps, at_border: tuple[NDArray[Any], NDArray[Any]] | None = None) -> InstanceMatches:
    """Match instances by their overlaps and count, as `match_instances` does.

    Parameters
    ----------
    overlaps : Overlaps
        Overlaps of all instances.
    at_border : tuple of ndarray, optional
        Ids of the predicted and the true instances at the border, to leave them out.
    """
    n_all = len(overlaps.true_sizes) + int(overlaps.inside.sum())
    if at_border is not None:
        overlaps = overlaps.without_border(*at_border)
    n_true, counts = len(overlaps.true_sizes), []
    for iou in IOU_THRESHOLDS:
        matched = overlaps.match(iou)
        tp = int(matched.sum())
        counts.append((tp, int((overlaps.inside & ~matched).sum()), n_true - tp))
    n_at_border = n_all - n_true - int(overlaps.inside.sum())
    return InstanceMatches(tuple(counts), len(overlaps.splits()), len(overlaps.merges()), n_at_border)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
