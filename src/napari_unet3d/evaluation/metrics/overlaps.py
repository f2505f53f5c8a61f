"""Which predicted objects share voxels with which true ones, and which lie in which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # whose parts are loaded when they are used, not when a dock opens
from numpy.typing import NDArray

_MOST_OF_IT = 0.5  # the share of an object that must be exceeded for it to lie in another one, or outside

_Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Pairs of a predicted and a true object that share voxels, by their places among all objects.

    Attributes
    ----------
    predicted, true, shared : ndarray of int64, shape (pair,)
        The two objects of a pair, and how many voxels they share.
    predicted_ids, true_ids : ndarray of unsigned integers, shape (object,)
        The ids of the objects.
    predicted_sizes, true_sizes : ndarray of int64, shape (object,)
        Voxels of each object where it is annotated; a predicted one may have none there.
    inside : ndarray of bool, shape (predicted object,)
        Whether at least half of the whole predicted object is annotated.
    """

    predicted: _Counts
    true: _Counts
    shared: _Counts
    predicted_ids: NDArray[Any]
    true_ids: NDArray[Any]
    predicted_sizes: _Counts
    true_sizes: _Counts
    inside: NDArray[np.bool_]

    @classmethod
    def count(cls, prediction: NDArray[Any], truth: NDArray[Any], annotated: NDArray[np.bool_] | None) -> Overlaps:
        """Count the voxels that predicted and true objects share where the truth is known.

        Parameters
        ----------
        prediction, truth : ndarray of unsigned integers, shape (z, y, x)
            Ids of objects, 0 for background.
        annotated : ndarray of bool, shape (z, y, x), optional
            Where the truth is known; without it, everywhere.
        """
        (prediction, given), (truth, true_given) = narrow_ids(prediction), narrow_ids(truth)
        pairs, shared = _count_pairs(prediction, truth, annotated)
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
            predicted_ids=(ids if given is None else given[ids])[skip:],
            true_ids=(true_ids if true_given is None else true_given[true_ids])[skip_true:],
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
        graph = scipy.sparse.coo_array((np.ones(len(places[0]), dtype=np.int8), places), shape=shape).tocsr()
        partners: NDArray[np.int32] = scipy.sparse.csgraph.maximum_bipartite_matching(graph, perm_type="column")
        return partners >= 0

    def splits(self) -> dict[int, tuple[int, ...]]:
        """Return the true objects that two or more predicted ones lie in, and the ids of these."""
        lies_in = self.shared > _MOST_OF_IT * self.predicted_sizes[self.predicted]
        return _grouped(self.true_ids[self.true[lies_in]], self.predicted_ids[self.predicted[lies_in]])

    def merges(self) -> dict[int, tuple[int, ...]]:
        """Return the predicted objects that two or more true ones lie in, and the ids of these."""
        lies_in = self.shared > _MOST_OF_IT * self.true_sizes[self.true]
        return _grouped(self.predicted_ids[self.predicted[lies_in]], self.true_ids[self.true[lies_in]])

    def without_partner(self) -> tuple[set[int], set[int]]:
        """Return the ids of predicted and of true objects that lie in none of the others, and none of these in them."""
        lies_in = self.shared > _MOST_OF_IT * self.predicted_sizes[self.predicted]
        lies_in |= self.shared > _MOST_OF_IT * self.true_sizes[self.true]
        return (
            set(np.delete(self.predicted_ids, self.predicted[lies_in]).tolist()),
            set(np.delete(self.true_ids, self.true[lies_in]).tolist()),
        )


def narrow_ids(ids: NDArray[Any], most: int = 2**31) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return objects new ids when theirs are large, by default too large for two of them to fit into one number.

    Parameters
    ----------
    ids : ndarray of unsigned integers, shape (z, y, x)
        Ids of objects, 0 for background.
    most : int
        Ids below it stay.

    Returns
    -------
    tuple of ndarray, of the same shape, and ndarray, shape (object,), or None
        The ids and, when they are new, the old ids by the new ones; 0 stays 0.
    """
    if not ids.size or int(ids.max()) < most:
        return ids, None
    known, places = np.unique(np.append(ids.ravel(), ids.dtype.type(0)), return_inverse=True)  # 0 stays the first
    return places[:-1].reshape(ids.shape), known


def _grouped(keys: NDArray[Any], members: NDArray[Any]) -> dict[int, tuple[int, ...]]:
    """Return the members of each key that has two at least."""
    groups: dict[int, list[int]] = {}
    for key, member in zip(keys.tolist(), members.tolist(), strict=True):
        groups.setdefault(key, []).append(member)
    return {key: tuple(sorted(group)) for key, group in sorted(groups.items()) if len(group) >= 2}


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


def _sums(places: NDArray[Any], counts: _Counts, n_places: int) -> _Counts:
    # Exact up to 2**53 voxels.
    return np.bincount(places, weights=counts, minlength=n_places).astype(np.int64)
