"""Merge, delete, fill, smooth, separate and renumber objects in labels.

Each function returns the edit and changes nothing. It looks at the boxes of the objects only, and leaves other objects
as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box, expand, whole_box
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.object_edits import (
    FULL,
    ObjectChange,
    ObjectEdit,
    Position,
    free_numbers,
    label_values,
    neighbours_of,
    object_boxes,
    voxel_of,
)
from napari_unet3d.errors import UserError
from napari_unet3d.formatting import format_count

_SIGMAS = 3  # beyond which smoothing has no effect
_MOST_LOOKED_UP = 2**24


def merge_objects(labels: NDArray[Any], numbers: Sequence[int]) -> ObjectEdit:
    """Merge objects; the result has the number of the first one.

    Raises
    ------
    UserError
        If there are fewer than two, or one does not exist.
    """
    first, *others = dict.fromkeys(numbers)
    if not others:
        raise UserError("One object is selected; select the others that it is to be merged with: hold Ctrl and click.")
    boxes = object_boxes(labels, (first, *others))
    # The first is among them, too, which does not change, so that they show what is together now.
    changes = tuple(_change(labels, box, labels[box] == number, first) for number, box in boxes.items())
    names = ", ".join(map(str, others))
    apart = "" if _are_connected(labels, boxes) else " They do not touch: the object now has separate pieces."
    place = voxel_of(labels[boxes[first]] == first, boxes[first])
    return ObjectEdit("merged", f"Merged {names} into {first}.{apart}", changes, (first,), (place,))


def delete_objects(labels: NDArray[Any], numbers: Sequence[int]) -> ObjectEdit:
    """Delete objects: their voxels become background."""
    boxes = object_boxes(labels, numbers)
    changes = tuple(_change(labels, box, labels[box] == number, 0) for number, box in boxes.items())
    return ObjectEdit("deleted", f"Deleted {_names(list(boxes))}.", changes)


def fill_holes(labels: NDArray[Any], numbers: Sequence[int]) -> ObjectEdit:
    """Fill the holes of objects: background that is enclosed on all sides.

    Raises
    ------
    UserError
        If none has a hole.
    """
    from scipy import ndimage

    changes, places = {}, []
    for number, box in object_boxes(labels, numbers).items():
        mask = labels[box] == number
        holes = ndimage.binary_fill_holes(mask) & (labels[box] <= 0)
        if holes.any():
            changes[number] = _change(labels, box, holes, number)
            places.append(voxel_of(mask, box))
    if not changes:
        raise UserError(
            f"There is no hole in {_names(numbers)}: a hole is background that is enclosed on all sides, also along z. "
            "Smooth the object, or paint what is missing."
        )
    edit = ObjectEdit("filled", "", tuple(changes.values()), tuple(changes), tuple(places))
    return replace(edit, message=f"Filled {format_count(edit.n_voxels, 'voxel')} in {_names(list(changes))}.")


def smooth_objects(labels: NDArray[Any], numbers: Sequence[int], radius: float, spacing: VoxelSize) -> ObjectEdit:
    """Smooth the surfaces of objects with a Gaussian; they grow into background only, never into each other.

    Parameters
    ----------
    labels : ndarray of integers, shape (z, y, x)
        All labels.
    numbers : sequence of int
        The objects.
    radius : float
        The standard deviation of the Gaussian: about the size of the bumps that vanish, in the unit of `spacing`.
    spacing : tuple of float
        Size of a voxel along z, y, x.

    Raises
    ------
    UserError
        If an object would vanish, or nothing changes.
    """
    changes, places = {}, []
    for number, box in object_boxes(labels, numbers).items():
        change, place = _smoothed(labels, number, box, radius, spacing)
        if (change.before != change.after).any():
            changes[number] = change
            places.append(place)
    if not changes:
        raise UserError(f"Smoothing by {radius:g} changes nothing of {_names(numbers)}. Choose a larger value.")
    edit = ObjectEdit("smoothed", "", tuple(changes.values()), tuple(changes), tuple(places))
    return replace(edit, message=f"Smoothed {_names(list(changes))}: {format_count(edit.n_voxels, 'voxel')} changed.")


def _smoothed(
    labels: NDArray[Any], number: int, box: Box, radius: float, spacing: VoxelSize
) -> tuple[ObjectChange, Position]:
    from scipy import ndimage

    sigma = [radius / size for size in spacing]
    box = expand(box, [int(np.ceil(_SIGMAS * each)) for each in sigma], labels.shape)
    before = labels[box].copy()
    mask = before == number
    is_free = mask | (before <= 0)
    # "nearest", since an object that is cut off by the border of the volume goes on beyond it.
    smooth = (ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="nearest") >= 0.5) & is_free
    if not smooth.any():
        raise UserError(
            f"Object {number} would vanish when it is smoothed by {radius:g}. Choose a smaller value, or leave it out."
        )
    after = np.where(mask, np.array(0, before.dtype), before)
    after[smooth] = number
    return ObjectChange(box, before, after), voxel_of(smooth, box)


def separate_pieces(labels: NDArray[Any], numbers: Sequence[int], reserved: int | None = None) -> ObjectEdit:
    """Make each piece of objects that are not connected an object of its own; the largest keeps the number.

    Raises
    ------
    UserError
        If all are in one piece, or the data type has too few numbers; see `free_numbers`.
    """
    pieces = _pieces(labels, numbers, "so there is nothing to separate")
    new = free_numbers(labels, sum(len(order) - 1 for _, _, order in pieces.values()), reserved)
    changes, objects, places = [], [], []
    for number, (box, parts, order) in pieces.items():
        own = [number, *(new.pop(0) for _ in order[1:])]
        before = labels[box].copy()
        after = before.copy()
        for part, name in zip(order, own, strict=True):
            after[parts == part] = name
            places.append(voxel_of(parts == part, box))
        changes.append(ObjectChange(box, before, after))
        objects += own
    message = f"Separated {_names(list(pieces))} into {format_count(len(objects), 'object')}."
    return ObjectEdit("separated", message, tuple(changes), tuple(objects), tuple(places))


def keep_largest_piece(labels: NDArray[Any], numbers: Sequence[int]) -> ObjectEdit:
    """Delete all but the largest piece of objects that are not connected.

    Raises
    ------
    UserError
        If all are in one piece.
    """
    pieces = _pieces(labels, numbers, "so there is nothing to remove")
    changes = [_change(labels, box, (parts > 0) & (parts != order[0]), 0) for box, parts, order in pieces.values()]
    places = tuple(voxel_of(parts == order[0], box) for box, parts, order in pieces.values())
    n_removed = sum(len(order) - 1 for _, _, order in pieces.values())
    message = f"Removed {format_count(n_removed, 'piece')} of {_names(list(pieces))}."
    return ObjectEdit("kept largest piece", message, tuple(changes), tuple(pieces), places)


def renumber_objects(labels: NDArray[Any], reserved: int | None = None) -> ObjectEdit:
    """Renumber all objects 1, 2, 3, … in their order, without gaps.

    Raises
    ------
    UserError
        If they are already, or there is none.
    """
    old = label_values(labels)
    old = old[old != reserved] if reserved is not None else old
    new = np.arange(1, len(old) + 2)
    new = (new[new != reserved] if reserved is not None else new)[: len(old)]
    if np.array_equal(old, new):
        raise UserError(f"The {format_count(len(old), 'object')} of the layer are numbered without gaps already.")
    after = labels.copy()
    is_small = labels.min() >= 0 and int(labels.max()) < _MOST_LOOKED_UP
    lookup = np.arange(int(labels.max()) + 1 if is_small else 0, dtype=labels.dtype)
    lookup[old if is_small else []] = new if is_small else []
    for plane in after:
        if is_small:
            plane[...] = lookup[plane]  # several times as fast
        else:
            at = np.searchsorted(old, plane).clip(0, len(old) - 1)
            is_object = old[at] == plane
            plane[is_object] = new[at[is_object]]
    message = f"Numbered {format_count(len(old), 'object')} from 1 to {new[-1]}."
    return ObjectEdit("renumbered", message, (ObjectChange(whole_box(labels.shape), labels.copy(), after),))


def _pieces(labels: NDArray[Any], numbers: Sequence[int], so: str) -> dict[int, tuple[Box, NDArray[Any], list[int]]]:
    """Return the box, the numbered pieces and their order, the largest first, of each object with more than one."""
    from scipy import ndimage

    pieces = {}
    for number, box in object_boxes(labels, numbers).items():
        parts, n_parts = ndimage.label(labels[box] == number, FULL)
        if n_parts > 1:
            sizes = np.bincount(parts.ravel())[1:]
            pieces[number] = box, parts, (1 + np.argsort(-sizes, kind="stable")).tolist()
    if not pieces:
        verb = "is in one piece" if len(set(numbers)) == 1 else "are each in one piece"
        raise UserError(f"{_names(numbers).capitalize()} {verb}, {so}. Select an object with several pieces.")
    return pieces


def _change(labels: NDArray[Any], box: Box, mask: NDArray[np.bool_], number: int) -> ObjectChange:
    before = labels[box].copy()
    after = before.copy()
    after[mask] = number
    return ObjectChange(box, before, after)


def _names(numbers: Sequence[int]) -> str:
    distinct = list(dict.fromkeys(numbers))
    if len(distinct) == 1:
        return f"object {distinct[0]}"
    return f"objects {', '.join(map(str, distinct))}" if len(distinct) <= 5 else format_count(len(distinct), "object")


def _are_connected(labels: NDArray[Any], boxes: dict[int, Box]) -> bool:
    """Return whether objects are connected to each other, directly or by others of them."""
    waiting, reached = [next(iter(boxes))], set()
    while waiting:
        number = waiting.pop()
        reached.add(number)
        waiting += (neighbours_of(labels, number, boxes[number], corners=True) & set(boxes)) - reached - set(waiting)
    return len(reached) == len(boxes)
