"""How many single objects were found, split and merged: true and predicted ids are matched one to one."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from napari_unet3d.evaluation.scores import IOU_THRESHOLDS, ObjectScores

_MOST_OF_IT = 0.5  # the share of an object that must be exceeded for it to lie in another one, or outside

_Counts = NDArray[np.int64]


def score_objects(
    prediction: NDArray[Any], truth: NDArray[Any], annotated: NDArray[np.bool_] | None = None
) -> ObjectScores:
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
    overlaps = _Overlaps.count(prediction, truth, annotated)
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
    return ObjectScores(
        f1=f1_at_iou[0],
        precision=1.0 if nothing else tp / max(1, tp + fp),
        recall=1.0 if nothing else tp / max(1, tp + fn),
        ap=fmean(ap_at_iou),
        n_true=n_true,
        n_predicted=tp + fp,
        n_found=tp,
        n_split=overlaps.count_split(),
        n_merged=overlaps.count_merged(),
        f1_at_iou=f1_at_iou,
        ap_at_iou=ap_at_iou,
    )


@dataclass(frozen=True, slots=True)
class _Overlaps:
    """Pairs of a predicted and a true object that share voxels, by their places among all objects.

    Attributes
    ----------
    predicted, true, shared : ndarray of int64, shape (pair,)
        The two objects of a pair, and how many voxels they share.
    predicted_sizes, true_sizes : ndarray of int64, shape (object,)
        Voxels of each object where it is annotated; a predicted one may have none there.
    inside : ndarray of bool, shape (predicted object,)
        Whether at least half of the whole predicted object is annotated.
    """

    predicted: _Counts
    true: _Counts
    shared: _Counts
    predicted_sizes: _Counts
    true_sizes: _Counts
    inside: NDArray[np.bool_]

    @classmethod
    def count(cls, prediction: NDArray[Any], truth: NDArray[Any], annotated: NDArray[np.bool_] | None) -> _Overlaps:
        pairs, shared = _count_pairs(_narrow(prediction), _narrow(truth), annotated)
        found, wanted, known = pairs >> np.uint64(33), (pairs >> np.uint64(1)) & _LOW, (pairs & np.uint64(1)) > 0
        ids, predicted = np.unique(found, return_inverse=True)
        true_ids, true = np.unique(np.where(known, wanted, 0), return_inverse=True)
        whole = _sums(predicted, shared, len(ids))
        predicted_sizes = _sums(predicted[known], shared[known], len(ids))
        true_sizes = _sums(true[known], shared[known], len(true_ids))
        # Background is the first of both where it is there.
        skip, skip_true = int(len(ids) > 0 and ids[0] == 0), int(len(true_ids) > 0 and true_ids[0] == 0)
        both = known & (found > 0) & (wanted > 0)
        return cls(
            predicted=predicted[both] - skip,
            true=true[both] - skip_true,
            shared=shared[both],
            predicted_sizes=predicted_sizes[skip:],
            true_sizes=true_sizes[skip_true:],
            inside=(2 * predicted_sizes >= whole)[skip:],
        )

    def match(self, iou: float) -> NDArray[np.bool_]:
        """Say which predicted objects are matched with a true one, by a largest one-to-one matching."""
        union = self.predicted_sizes[self.predicted] + self.true_sizes[self.true] - self.shared
        enough = self.shared >= iou * union * (1 - 1e-12)  # in floats 0.55 × 100 is more than 55
        shape = len(self.predicted_sizes), len(self.true_sizes)
        if not enough.any():
            return np.zeros(shape[0], dtype=bool)
        places = self.predicted[enough], self.true[enough]
        graph = coo_array((np.ones(len(places[0]), dtype=np.int8), places), shape=shape).tocsr()
        partners: NDArray[np.int32] = maximum_bipartite_matching(graph, perm_type="column")
        return partners >= 0

    def count_split(self) -> int:
        """Count the true objects that two or more predicted ones lie in."""
        lies_in = self.shared > _MOST_OF_IT * self.predicted_sizes[self.predicted]
        return int(np.count_nonzero(np.bincount(self.true[lies_in]) >= 2))

    def count_merged(self) -> int:
        """Count the predicted objects that two or more true ones lie in."""
        lies_in = self.shared > _MOST_OF_IT * self.true_sizes[self.true]
        return int(np.count_nonzero(np.bincount(self.predicted[lies_in]) >= 2))


_LOW = np.uint64(2**32 - 1)


def _count_pairs(
    prediction: NDArray[Any], truth: NDArray[Any], annotated: NDArray[np.bool_] | None
) -> tuple[NDArray[np.uint64], _Counts]:
    """Count the voxels of each combination of predicted id, true id and being annotated, plane by plane.

    Returns
    -------
    tuple of ndarray, each of shape (combination,)
        The combinations, coded as predicted id, 32 bits of the true id, and one bit; and how many voxels each has.
    """
    codes, counts = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for index, (found, wanted) in enumerate(zip(prediction, truth, strict=True)):
        either = (found > 0) | (wanted > 0)
        plane = (found[either].astype(np.uint64) << np.uint64(33)) | (wanted[either].astype(np.uint64) << np.uint64(1))
        plane |= np.uint64(1) if annotated is None else annotated[index][either].astype(np.uint64)
        there, n_there = np.unique(plane, return_counts=True)
        codes.append(there)
        counts.append(n_there)
    distinct, places = np.unique(np.concatenate(codes), return_inverse=True)
    return distinct, _sums(places, np.concatenate(counts), len(distinct))


def _narrow(ids: NDArray[Any]) -> NDArray[Any]:
    """Give objects new ids when theirs need more than 31 bits, so that two ids fit into one number."""
    if not ids.size or int(ids.max()) < 2**31:
        return ids
    _, places = np.unique(np.append(ids.ravel(), ids.dtype.type(0)), return_inverse=True)  # 0 stays the first
    return places[:-1].reshape(ids.shape)


def _sums(places: NDArray[Any], counts: _Counts, n_places: int) -> _Counts:
    # Exact up to 2**53 voxels.
    return np.bincount(places, weights=counts, minlength=n_places).astype(np.int64)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
