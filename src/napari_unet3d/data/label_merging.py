"""Merging labels into other labels; ids of objects are matched, so that objects stay distinct and complete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box, expand, intersection

_SPARE_IDS = 10_000  # for objects that are added


def label_dtype(sources: Sequence[NDArray[Any]], *, are_ids: bool) -> np.dtype[Any]:
    """Return the smallest unsigned type for the labels of all sources, with space for new ids of objects."""
    highest = [int(each.max(initial=0)) for each in sources]
    return np.min_scalar_type(sum(highest) + _SPARE_IDS if are_ids else max(highest))


def merge_labels(into: NDArray[Any], box: Box, mask: NDArray[np.bool_], source: NDArray[Any], *, are_ids: bool) -> None:
    """Copy labels into others in place.

    Ids of objects are not the same in two volumes. An object that continues directly outside the mask gets the id
    that overlaps most with it there; if two objects match the same id, the one with more overlap gets it. All others
    get new ids.

    Parameters
    ----------
    into : ndarray of unsigned integers, shape (z, y, x)
        The labels to change.
    box : tuple of slice
        The region to change.
    mask : ndarray of bool, shape (z, y, x) of the box
        Voxels of the box to change.
    source : ndarray of integers, shape (z, y, x)
        The labels to copy; of the shape of `into`.
    are_ids : bool
        Whether labels are ids of objects; class labels are copied unchanged.

    Examples
    --------
    >>> into = np.array([[[7, 7, 0, 0]]], np.uint8)
    >>> source = np.array([[[1, 1, 1, 2]]])
    >>> whole = (slice(0, 1), slice(0, 1), slice(0, 4))
    >>> merge_labels(into, whole, np.array([[[False, True, True, True]]]), source, are_ids=True)
    >>> into
    array([[[7, 7, 7, 8]]], dtype=uint8)
    """
    wanted = source[box][mask]
    if not are_ids:
        into[box][mask] = wanted
        return
    ids, places = np.unique(wanted, return_inverse=True)
    new = np.zeros(len(ids), into.dtype)
    kept = _continuing(into, box, mask, source, set(ids.tolist()) - {0})
    following = int(into.max(initial=0)) + 1
    for number, own in enumerate(ids.tolist()):
        if own in kept:
            new[number] = kept[own]
        elif own:
            new[number] = following
            following += 1
    into[box][mask] = new[places.reshape(wanted.shape)]


def _continuing(
    into: NDArray[Any], box: Box, mask: NDArray[np.bool_], source: NDArray[Any], ids: set[int]
) -> dict[int, int]:
    """Return the ids outside the mask of the source's objects that continue there."""
    wide = expand(box, (1, 1, 1), into.shape)
    inner, _ = intersection(wide, box)
    outside = np.ones(into[wide].shape, bool)
    outside[inner] = ~mask
    there, known = source[wide][outside], into[wide][outside]
    both = (there > 0) & (known > 0)
    pairs, counts = np.unique(np.stack([there[both], known[both]]).astype(np.int64), axis=1, return_counts=True)
    kept: dict[int, int] = {}
    for place in np.argsort(-counts, kind="stable"):
        own, id_there = pairs[:, place].tolist()
        if own in ids and own not in kept and id_there not in kept.values():
            kept[own] = id_there
    return kept
