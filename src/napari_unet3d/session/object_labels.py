"""What is proofread: labels with their place, the image beside them, and what was done with them so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.object_edits import ObjectEdit, Position
from napari_unet3d.data.pairs import Pair
from napari_unet3d.evaluation.object_table import ObjectTable
from napari_unet3d.session.origin import VolumeOrigin


@dataclass(frozen=True, slots=True, eq=False)
class ObjectLabels:
    """Labels of single objects.

    Attributes
    ----------
    name : str
        Name of the volume.
    array : ndarray of integers, shape (z, y, x)
        The labels, which are changed in place.
    geometry : Geometry
        Where the volume lies.
    origin : VolumeOrigin or None
        Its model and dataset, as far as they are known.
    read_only : str
        Why the labels cannot be edited, and what to do; empty if they can.
    writer : callable, optional
        Makes an edit as one step that can be undone; by default it is written into the array.
    reserved : int or None
        The number of voxels that are not annotated, which no object gets.
    """

    name: str
    array: NDArray[Any]
    geometry: Geometry
    origin: VolumeOrigin | None = None
    read_only: str = ""
    writer: Callable[[ObjectEdit], None] | None = None
    reserved: int | None = None

    def write(self, edit: ObjectEdit) -> None:
        """Make an edit."""
        if self.writer is not None:
            self.writer(edit)
            return
        for change in edit.changes:
            change.apply(self.array)


@dataclass(frozen=True, slots=True, eq=False)
class Intensities:
    """The channels of an image whose intensities are measured.

    Attributes
    ----------
    channels : tuple of array-like, each of shape (z, y, x)
        The channels; none without an image.
    names : tuple of str
        Their names.
    """

    channels: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()

    def is_same(self, other: Intensities | None) -> bool:
        """Return whether both have the same arrays with the same names."""
        if other is None or self.names != other.names:
            return False
        return all(one is two for one, two in zip(self.channels, other.channels, strict=True))


@dataclass(slots=True, eq=False)
class Proofread:
    """What was done with labels: the table of their objects, the edits, and the places that were reviewed.

    Attributes
    ----------
    table : ObjectTable or None
        The objects as they were measured last.
    is_stale : bool
        Whether the labels have changed since.
    intensities, intensities_wanted : Intensities or None
        The image of the table, and that of the table which is being made.
    edits : list of ObjectEdit
        In the order in which they were made; some may have been undone.
    added : Pair or None
        The files of a dataset that hold the corrections.
    """

    table: ObjectTable | None = None
    is_stale: bool = False
    intensities: Intensities | None = None
    intensities_wanted: Intensities | None = None
    edits: list[ObjectEdit] = field(default_factory=list)
    added: Pair | None = None
    _marks: list[tuple[Position, ObjectEdit | None]] = field(default_factory=list)

    def add(self, edit: ObjectEdit) -> None:
        """Record an edit; the objects that result are reviewed."""
        if edit.kind == "renumbered":  # which changes no object
            return
        self.edits.append(edit)
        self._marks += [(place, edit) for place in edit.places]

    def edits_in_effect(self, array: NDArray[Any]) -> list[ObjectEdit]:
        """Return the edits that were not undone: objects still differ from what they were, whatever their numbers."""
        return [
            edit
            for edit in self.edits
            if not _is_same_partition(
                np.concatenate([array[each.box].ravel() for each in edit.changes]),
                np.concatenate([each.before.ravel() for each in edit.changes]),
            )
        ]

    def mark(self, place: Position) -> None:
        """Mark the object at a voxel as reviewed."""
        self._marks.append((place, None))

    def unmark(self, array: NDArray[Any], number: int) -> None:
        """Take all marks of an object back."""
        self._marks = [(place, edit) for place, edit in self._marks if array[place] != number]

    def marks_by_hand(self, array: NDArray[Any]) -> list[Position]:
        """Return a voxel of each object that is marked without having been edited."""
        edited = self._numbers(array, by_hand=False)
        places = {int(array[place]): place for place, edit in self._marks if edit is None and array[place] > 0}
        return [place for number, place in places.items() if number not in edited]

    def reviewed(self, array: NDArray[Any]) -> set[int]:
        """Return the numbers of all objects that are reviewed."""
        return self._numbers(array, by_hand=True) | self._numbers(array, by_hand=False)

    def _numbers(self, array: NDArray[Any], *, by_hand: bool) -> set[int]:
        in_effect = set() if by_hand else {id(edit) for edit in self.edits_in_effect(array)}
        counted = (place for place, edit in self._marks if (edit is None if by_hand else id(edit) in in_effect))
        return {int(array[place]) for place in counted if array[place] > 0}


def _is_same_partition(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Return whether two label arrays show the same objects, if under other numbers."""
    if np.array_equal(one, other):
        return True
    if not np.array_equal(one > 0, other > 0) or not one.any():
        return not (one > 0).any() and not (other > 0).any()
    there = one > 0
    one, other = one[there], other[there]
    # Only where one of them differs from its neighbour, since sorting all voxels takes long.
    begins = np.concatenate([[True], (one[1:] != one[:-1]) | (other[1:] != other[:-1])])
    pairs = np.unique(np.stack([one[begins].astype(np.int64), other[begins].astype(np.int64)]), axis=1)
    return bool(pairs.shape[1] == len(np.unique(pairs[0])) == len(np.unique(pairs[1])))
