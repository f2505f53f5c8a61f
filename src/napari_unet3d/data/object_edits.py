"""Single objects in labels: where they are, what they touch, numbers for new ones, and the edits of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box, expand
from napari_unet3d.errors import UserError
from napari_unet3d.formatting import format_count

Position = tuple[int, int, int]
FULL = np.ones((3, 3, 3), bool)
"""Neighbours of a voxel that share a face, an edge or a corner with it."""
_FEW = 4  # objects that are faster found one by one


@dataclass(frozen=True, slots=True, eq=False)
class ObjectChange:
    """The labels of a box before and after an edit.

    Attributes
    ----------
    box : tuple of slice
        Position in the volume.
    before, after : ndarray of integers, shape (z, y, x) of the box
        The labels.
    """

    box: Box
    before: NDArray[Any]
    after: NDArray[Any]

    def apply(self, labels: NDArray[Any]) -> None:
        """Change labels of shape (z, y, x) in place; only voxels that differ, since boxes may overlap."""
        is_changed = self.before != self.after
        labels[self.box][is_changed] = self.after[is_changed]


@dataclass(frozen=True, slots=True, eq=False)
class ObjectEdit:
    """An edit of one or more objects, which is one step to undo.

    Attributes
    ----------
    kind : str
        What was done, in one word, such as ``merged``.
    message : str
        What was done, with the numbers of the objects, for the user.
    changes : tuple of ObjectChange
        The boxes of the objects.
    objects : tuple of int
        The objects that result; empty when they were deleted.
    places : tuple of tuple of int
        A voxel (z, y, x) of each of these objects.
    """

    kind: str
    message: str
    changes: tuple[ObjectChange, ...]
    objects: tuple[int, ...] = ()
    places: tuple[Position, ...] = ()

    @property
    def n_voxels(self) -> int:
        """The number of voxels that change."""
        return sum(int(np.count_nonzero(each.before != each.after)) for each in self.changes)


def label_values(labels: NDArray[Any]) -> NDArray[Any]:
    """Return the numbers of all objects, ascending; 0 and negative values are background.

    >>> label_values(np.array([[[0, 4, 4, 2, -1]]])).tolist()
    [2, 4]
    """
    found = np.empty(0, labels.dtype)
    for plane in labels:  # only where a label differs from its neighbour, since sorting all voxels takes long
        begins = plane[:, 1:][plane[:, 1:] != plane[:, :-1]]
        found = np.unique(np.concatenate([found, plane[:, 0], begins]))
    return found[found > 0]


def object_box(labels: NDArray[Any], number: int) -> Box:
    """Return the smallest box around an object.

    Raises
    ------
    UserError
        If there is no such object.
    """
    first, rows, columns = [], np.zeros(labels.shape[1], bool), np.zeros(labels.shape[2], bool)
    for z, plane in enumerate(labels):
        if (there := plane == number).any():
            first.append(z)
            rows |= there.any(1)
            columns |= there.any(0)
    if not first:
        raise UserError(f"There is no object {number} in the layer. Select an object that can be seen.")
    y, x = np.flatnonzero(rows), np.flatnonzero(columns)
    return slice(first[0], first[-1] + 1), slice(int(y[0]), int(y[-1]) + 1), slice(int(x[0]), int(x[-1]) + 1)


def object_boxes(labels: NDArray[Any], numbers: Iterable[int] | None = None) -> dict[int, Box]:
    """Return the boxes around objects, ordered by number; many are found in one pass.

    Parameters
    ----------
    labels : ndarray of integers, shape (z, y, x)
        All labels.
    numbers : iterable of int, optional
        The objects; by default all.

    Raises
    ------
    UserError
        If one of the objects does not exist.
    """
    wanted = None if numbers is None else list(dict.fromkeys(numbers))
    if wanted is not None and len(wanted) <= _FEW:
        return {number: object_box(labels, number) for number in wanted}
    boxes = _all_boxes(labels)
    if wanted is None:
        return boxes
    if missing := [number for number in wanted if number not in boxes]:
        object_box(labels, missing[0])  # raises
    return {number: boxes[number] for number in wanted}


def _all_boxes(labels: NDArray[Any]) -> dict[int, Box]:
    from scipy import ndimage  # here and below, since importing takes time that opening a dock should not

    numbers = label_values(labels)
    if not len(numbers):
        return {}
    # A list of boxes as long as the largest number: large numbers with gaps are replaced first.
    if int(numbers[-1]) > 4 * len(numbers) + 1000 or labels.dtype.kind == "i":
        compact = np.zeros(labels.shape, np.min_scalar_type(len(numbers)))
        for plane, result in zip(labels, compact, strict=True):
            at = np.searchsorted(numbers, plane).clip(0, len(numbers) - 1)
            result[...] = np.where(numbers[at] == plane, at + 1, 0)
        found = ndimage.find_objects(compact)
        return {int(number): box for number, box in zip(numbers, found, strict=True) if box is not None}
    return {number: box for number, box in enumerate(ndimage.find_objects(labels), start=1) if box is not None}


def voxel_of(mask: NDArray[np.bool_], box: Box) -> Position:
    """Return the voxel of an object that is nearest to its centre, so that it is inside also where that is not.

    Parameters
    ----------
    mask : ndarray of bool, shape (z, y, x) of the box
        The object.
    box : tuple of slice
        Position of the mask in the volume.
    """
    voxels = np.argwhere(mask)
    nearest = voxels[((voxels - voxels.mean(0)) ** 2).sum(1).argmin()]
    z, y, x = (int(at) + side.start for at, side in zip(nearest, box, strict=True))
    return z, y, x


def neighbours_of(labels: NDArray[Any], number: int, box: Box, *, corners: bool = False) -> set[int]:
    """Return the numbers of the objects that share a face with an object; with `corners`, edges and corners count."""
    from scipy import ndimage

    wide = expand(box, (1, 1, 1), labels.shape)
    there = labels[wide]
    mask = there == number
    around = there[ndimage.binary_dilation(mask, FULL if corners else None) & ~mask]
    return {int(each) for each in np.unique(around) if each > 0}


def free_numbers(labels: NDArray[Any], n_needed: int, reserved: int | None = None) -> list[int]:
    """Return numbers that no object has, above all others.

    Parameters
    ----------
    labels : ndarray of integers, shape (z, y, x)
        All labels.
    n_needed : int
        How many.
    reserved : int, optional
        A number that is not used for objects, since it marks voxels that are not annotated.

    Raises
    ------
    UserError
        If the data type has no more numbers.
    """
    numbers: list[int] = []
    following = max(0, max((int(plane.max()) for plane in labels), default=0)) + 1
    while len(numbers) < n_needed:
        if following != reserved:
            numbers.append(following)
        following += 1
    largest = np.iinfo(labels.dtype).max
    if numbers and numbers[-1] > largest:
        raise UserError(
            f"The layer has the data type {labels.dtype}, whose largest number is {largest}, and "
            f"{format_count(n_needed, 'new object')} would go up to {numbers[-1]}. Press 'Renumber', or convert the "
            "layer to uint16 or uint32 in the menu of the layer list."
        )
    return numbers
