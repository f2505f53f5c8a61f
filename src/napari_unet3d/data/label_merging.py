"""Labels put into other labels; ids of objects are matched, so that they stay distinct and objects stay whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box, expand, intersection

_SPARE_IDS = 10_000  # for objects that are added


def label_dtype(sources: Sequence[NDArray[Any]], *, are_ids: bool) -> np.dtype[Any]:
    """Return the smallest type that holds the labels of all sources, and the ids of objects that they may bring."""
    highest = [int(each.max(initial=0)) for each in sources]
    return np.min_scalar_type(sum(highest) + _SPARE_IDS if are_ids else max(highest))


def merge_labels(into: NDArray[Any], box: Box, mask: NDArray[np.bool_], source: NDArray[Any], *, are_ids: bool) -> None:
    """Put labels into others in place.

    The id of an object has no meaning in another volume. An object that goes on just outside of the mask takes the
    id that most of it has there; when two would take the same one, that with more of it does. All others get new ids.

    Parameters
    ----------
    into : ndarray of unsigned integers, shape (z, y, x)
        The labels that are changed.
    box : tuple of slice
        Where.
    mask : ndarray of bool, shape (z, y, x) of the box
        Which voxels of the box.
    source : ndarray of integers, shape (z, y, x)
        The labels that are put there; of the shape of `into`.
    are_ids : bool
        Whether labels are ids of objects; others are copied as they are.
    """
    wanted = source[box][mask]
    if not are_ids:
        into[box][mask] = wanted
        return
    ids, places = np.unique(wanted, return_inverse=True)
    new = np.zeros(len(ids), into.dtype)
    kept = _going_on(into, box, mask, source, set(ids.tolist()) - {0})
    following = int(into.max(initial=0)) + 1
    for number, own in enumerate(ids.tolist()):
        if own in kept:
            new[number] = kept[own]
        elif own:
            new[number] = following
            following += 1
    into[box][mask] = new[places.reshape(wanted.shape)]


def _going_on(
    into: NDArray[Any], box: Box, mask: NDArray[np.bool_], source: NDArray[Any], ids: set[int]
) -> dict[int, int]:
    """Find the objects of the source that go on outside of a mask, and the ids that they have there."""
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
