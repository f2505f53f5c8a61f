"""Which predicted instances share voxels with which true ones, and which contain which."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAJORITY = 0.5  # the fraction of an instance that another one must exceed to contain it

_Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Pairs of a predicted and a true instance that share voxels, by their indices among all instances.

    Attributes
    ----------
    predicted, true, shared : ndarray of int64, shape (pair,)
        The two instances of a pair, and how many voxels they share.
    predicted_ids, true_ids : ndarray of unsigned integers, shape (instance,)
        The ids of the instances.
    predicted_sizes, true_sizes : ndarray of int64, shape (instance,)
        Annotated voxels of each instance; a predicted one may have none.
    inside : ndarray of bool, shape (predicted instance,)
        Whether a predicted instance counts also if it is not matched: at least half of it is annotated, and it is not
        left out by `without_border`.
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
        """Count the voxels that predicted and true instances share where they are annotated.

        Parameters
        ----------
        prediction, truth : ndarray of unsigned integers, shape (z, y, x)
            Ids of instances, 0 for background.
        annotated : ndarray of bool, shape (z, y, x), optional
            Where the ground truth is known; without it, everywhere.
        """
        return cls.from_counts(*count_pairs(prediction, truth, annotated))

    @classmethod
    def from_counts(
        cls, pair_ids: NDArray[Any], pair_true_ids: NDArray[Any], known: NDArray[np.bool_], shared: _Counts
    ) -> Overlaps:
        """Return the overlaps from the voxels of each combination of ids, in the order of the ids.

        Parameters
        ----------
        pair_ids, pair_true_ids : ndarray of unsigned integers, shape (combination,)
            Predicted and true id, at least one of them above 0.
        known : ndarray of bool, shape (combination,)
            Whether the voxels are annotated; both may occur for the same ids.
        shared : ndarray of int64, shape (combination,)
            How many voxels there are.
        """
        ids, predicted = np.unique(pair_ids, return_inverse=True)
        true_ids, true = np.unique(np.where(known, pair_true_ids, 0), return_inverse=True)
        whole = _sums(predicted, shared, len(ids))
        predicted_sizes = _sums(predicted[known], shared[known], len(ids))
        true_sizes = _sums(true[known], shared[known], len(true_ids))
        # Background comes first where there is any.
        skip, skip_true = int(len(ids) > 0 and ids[0] == 0), int(len(true_ids) > 0 and true_ids[0] == 0)
        both = known & (pair_ids > 0) & (pair_true_ids > 0)
        return cls(
            predicted=predicted[both] - skip,
            true=true[both] - skip_true,
            shared=shared[both],
            predicted_ids=ids[skip:],
            true_ids=true_ids[skip_true:],
            predicted_sizes=predicted_sizes[skip:],
            true_sizes=true_sizes[skip_true:],
            inside=(2 * predicted_sizes >= whole)[skip:],
        )

    def without_border(self, at_border: NDArray[Any], true_at_border: NDArray[Any]) -> Overlaps:
        """Return the overlaps without the instances that touch the border of the volume, of which a part is missing.

        True instances at the border are left out. A predicted one that touches the border, or of which at least half is
        in true instances at the border, counts only if it is matched with another true instance.

        Parameters
        ----------
        at_border, true_at_border : ndarray of unsigned integers, shape (instance,)
            Ids of the predicted and the true instances at the border; see `border_ids`.
        """
        touching, true_touching = np.isin(self.predicted_ids, at_border), np.isin(self.true_ids, true_at_border)
        is_of_border = true_touching[self.true]
        in_border = _sums(self.predicted[is_of_border], self.shared[is_of_border], len(self.predicted_ids))
        is_left_out = touching | (2 * in_border >= np.maximum(self.predicted_sizes, 1))
        new_numbers = np.cumsum(~true_touching) - 1
        return replace(
            self,
            predicted=self.predicted[~is_of_border],
            true=new_numbers[self.true[~is_of_border]],
            shared=self.shared[~is_of_border],
            true_ids=self.true_ids[~true_touching],
            true_sizes=self.true_sizes[~true_touching],
            inside=self.inside & ~is_left_out,
        )

    def match(self, iou: float) -> NDArray[np.bool_]:
        """Return which predicted instances are matched with a true one, by a maximum one-to-one matching."""
        union = self.predicted_sizes[self.predicted] + self.true_sizes[self.true] - self.shared
        enough = self.shared >= iou * union * (1 - 1e-12)  # in floating point 0.55 × 100 is more than 55
        shape = len(self.predicted_sizes), len(self.true_sizes)
        if not enough.any():
            return np.zeros(shape[0], dtype=bool)
        pairs = self.predicted[enough], self.true[enough]
        import scipy  # not before it is needed: the command's help lists metrics

        graph = scipy.sparse.coo_array((np.ones(len(pairs[0]), dtype=np.int8), pairs), shape=shape).tocsr()
        partners: NDArray[np.int32] = scipy.sparse.csgraph.maximum_bipartite_matching(graph, perm_type="column")
        return partners >= 0

    def splits(self) -> dict[int, tuple[int, ...]]:
        """Return the true instances that contain two or more predicted ones, and the ids of these."""
        is_inside = self.shared > _MAJORITY * self.predicted_sizes[self.predicted]
        return _grouped(self.true_ids[self.true[is_inside]], self.predicted_ids[self.predicted[is_inside]])

    def merges(self) -> dict[int, tuple[int, ...]]:
        """Return the predicted instances that contain two or more true ones, and the ids of these."""
        is_inside = self.shared > _MAJORITY * self.true_sizes[self.true]
        return _grouped(self.predicted_ids[self.predicted[is_inside]], self.true_ids[self.true[is_inside]])

    def without_partner(self) -> tuple[set[int], set[int]]:
        """Return the ids of predicted and of true instances that neither contain another one nor are contained."""
        is_inside = self.shared > _MAJORITY * self.predicted_sizes[self.predicted]
        is_inside |= self.shared > _MAJORITY * self.true_sizes[self.true]
        return (
            set(np.delete(self.predicted_ids, self.predicted[is_inside]).tolist()),
            set(np.delete(self.true_ids, self.true[is_inside]).tolist()),
        )


def narrow_ids(ids: NDArray[Any], most: int = 2**31) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Replace large ids by consecutive ones, by default those too large for two of them to fit into an integer.

    Parameters
    ----------
    ids : ndarray of unsigned integers, shape (z, y, x)
        Ids of instances, 0 for background.
    most : int
        Ids are kept if all are below it.

    Returns
    -------
    tuple of ndarray, of the same shape, and ndarray, shape (instance,), or None
        The ids and, if they are new, the old ids indexed by the new ones; 0 stays 0.
    """
    if not ids.size or int(ids.max()) < most:
        return ids, None
    old_ids, new_ids = np.unique(np.append(ids.ravel(), ids.dtype.type(0)), return_inverse=True)  # 0 stays first
    return new_ids[:-1].reshape(ids.shape), old_ids


def border_ids(labels: NDArray[Any]) -> NDArray[Any]:
    """Return the ids of the instances that touch the border of a volume.

    Along an axis with a single slice, all would; it has no border.

    Parameters
    ----------
    labels : ndarray of unsigned integers, shape (z, y, x)
        Ids of instances, 0 for background.

    Examples
    --------
    >>> labels = np.zeros((1, 4, 5), np.uint8)
    >>> labels[0, 0, 2], labels[0, 2, 2], labels[0, 2, 4] = 1, 2, 3
    >>> border_ids(labels).tolist()
    [1, 3]
    """
    sides = [labels.take((0, -1), axis).ravel() for axis in range(labels.ndim) if labels.shape[axis] > 1]
    found = np.unique(np.concatenate(sides)) if sides else labels.ravel()[:0]
    return found[found > 0]


def _grouped(keys: NDArray[Any], members: NDArray[Any]) -> dict[int, tuple[int, ...]]:
    """Return the members of each key that has at least two."""
    groups: dict[int, list[int]] = {}
    for key, member in zip(keys.tolist(), members.tolist(), strict=True):
        groups.setdefault(key, []).append(member)
    return {key: tuple(sorted(group)) for key, group in sorted(groups.items()) if len(group) >= 2}


_LOW = np.uint64(2**32 - 1)


def count_pairs(
    prediction: NDArray[Any], truth: NDArray[Any], annotated: NDArray[np.bool_] | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], _Counts]:
    """Count the voxels of each combination of predicted id, true id and whether it is annotated, plane by plane.

    Parameters
    ----------
    prediction, truth, annotated : ndarray, shape (z, y, x)
        As for `Overlaps.count`.

    Returns
    -------
    tuple of ndarray, each of shape (combination,)
        Predicted id, true id, whether it is annotated, and the number of voxels; in this order of the ids.
    """
    (prediction, old_ids), (truth, old_true_ids) = narrow_ids(prediction), narrow_ids(truth)
    codes, counts = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for index, (predicted, target) in enumerate(zip(prediction, truth, strict=True)):
        either = (predicted > 0) | (target > 0)
        plane = predicted[either].astype(np.uint64) << np.uint64(33)
        plane |= target[either].astype(np.uint64) << np.uint64(1)
        plane |= np.uint64(1) if annotated is None else annotated[index][either].astype(np.uint64)
        plane_codes, plane_counts = np.unique(plane, return_counts=True)
        codes.append(plane_codes)
        counts.append(plane_counts)
    pairs, indices = np.unique(np.concatenate(codes), return_inverse=True)
    ids, true_ids = pairs >> np.uint64(33), (pairs >> np.uint64(1)) & _LOW
    return (
        ids if old_ids is None else old_ids[ids],
        true_ids if old_true_ids is None else old_true_ids[true_ids],
        (pairs & np.uint64(1)) > 0,
        _sums(indices, np.concatenate(counts), len(pairs)),
    )


def _sums(indices: NDArray[Any], counts: _Counts, n_indices: int) -> _Counts:
    # Exact up to 2**53 voxels.
    return np.bincount(indices, weights=counts, minlength=n_indices).astype(np.int64)
