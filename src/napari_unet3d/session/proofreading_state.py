"""What is held while objects are proofread: labels, table, selection and reviews, and the signals of their changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from psygnal import Signal, SignalGroup

from napari_unet3d.data import object_edits
from napari_unet3d.data.object_edits import Position
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.object_filter import matching_rows
from napari_unet3d.evaluation.object_measuring import ObjectProgress, ObjectVolume, measure_objects
from napari_unet3d.evaluation.object_table import ObjectTable
from napari_unet3d.session.object_labels import Intensities, ObjectLabels, Proofread
from napari_unet3d.session.progress import last_event

MeasureEvent = ObjectProgress | ObjectTable | None


class ProofreadingEvents(SignalGroup):
    """The signals of a `ProofreadingSession`; all values have changed before one is emitted.

    Attributes
    ----------
    opened : Signal(ObjectLabels or None)
        Other labels are proofread, with their own table, edits and reviews; or none any more.
    table : Signal(ObjectTable or None)
        The objects were measured.
    is_stale : Signal(bool)
        The labels have changed since the objects were measured, or the table is up to date.
    selection : Signal(tuple of int)
        Other objects are selected, in the order of their selection.
    visited : Signal(int)
        The view is to go to an object.
    points : Signal(tuple of tuple of int)
        Other voxels are marked as the parts of an object to split.
    edited : Signal(ObjectEdit or None)
        An edit was made; None when labels have changed otherwise, such as by undoing it.
    reviewed : Signal(set of int)
        Other objects are reviewed.
    """

    opened = Signal(object)
    table = Signal(object)
    is_stale = Signal(bool)
    selection = Signal(tuple)
    visited = Signal(int)
    points = Signal(tuple)
    edited = Signal(object)
    reviewed = Signal(object)


class ProofreadingState:
    """Labels whose objects are proofread, without the edits.

    Attributes
    ----------
    events : ProofreadingEvents
        The signals.
    labels : ObjectLabels or None
        What is proofread.
    selection : tuple of int
        The selected objects.
    points : tuple of tuple of int
        Voxels (z, y, x), one in each part of the object that is to be split.
    """

    def __init__(self) -> None:
        self.events = ProofreadingEvents()
        self.labels: ObjectLabels | None = None
        self.selection: tuple[int, ...] = ()
        self.points: tuple[Position, ...] = ()
        self._done = Proofread()

    @property
    def done(self) -> Proofread:
        """What was done with these labels: table, edits and reviews."""
        return self._done

    @property
    def table(self) -> ObjectTable | None:
        """The measured objects."""
        return self._done.table

    def open(self, labels: ObjectLabels | None, done: Proofread | None = None) -> None:
        """Proofread other labels, and continue with what was done with them before."""
        self.labels, self._done = labels, done or Proofread()
        if labels is not None and self.table is not None and self.table.geometry != labels.geometry:
            self._done.is_stale = True  # its voxel size was set since
        self.selection, self.points = (), ()
        self.events.opened.emit(labels)
        self.events.table.emit(self.table)
        self.events.is_stale.emit(self._done.is_stale)
        self.events.selection.emit(())
        self.events.points.emit(())
        self.events.reviewed.emit(self.reviewed)

    def select(self, numbers: Iterable[int], *, visit: bool = False) -> None:
        """Select objects; with `visit`, the view goes to the last one."""
        chosen = tuple(dict.fromkeys(int(number) for number in numbers if number > 0))
        if chosen != self.selection:
            self.selection = chosen
            self.events.selection.emit(chosen)
        if visit and chosen:
            self.events.visited.emit(chosen[-1])

    def toggle(self, number: int) -> None:
        """Select an object besides the others, or leave it out again."""
        self.select(each for each in (*self.selection, number) if each != number or number not in self.selection)

    def rows_matching(self, condition: str) -> Any:
        """Return which rows of the table fulfil a condition; see `matching_rows`."""
        table = self._required_table()
        columns = {column.key: table.cells[:, place] for place, column in enumerate(table.columns)}
        columns["reviewed"] = np.isin(table.numbers, list(self.reviewed)).astype(float)
        return matching_rows(condition, columns)

    @property
    def reviewed(self) -> set[int]:
        """The numbers of the objects that were reviewed: edited, or marked by hand."""
        return set() if self.labels is None else self._done.reviewed(self.labels.array)

    def mark_reviewed(self, numbers: Iterable[int], is_reviewed: bool = True) -> None:
        """Mark objects as reviewed, or take the mark back."""
        array = self._required().array
        for number in numbers:
            self._done.unmark(array, number)
            if is_reviewed and (place := self._voxel_of(number)) is not None:
                self._done.mark(place)
        self.events.reviewed.emit(self.reviewed)

    def number_at(self, voxel: Position) -> int:
        """Return the object at a voxel; 0 for background."""
        return 0 if self.labels is None else int(self.labels.array[voxel])

    def voxel_of(self, number: int) -> Position | None:
        """Return a voxel (z, y, x) of an object, near its centre; None if there is no such object."""
        return None if self.labels is None else self._voxel_of(number)

    def measuring(self, image: Intensities | None = None) -> Callable[[], Iterator[MeasureEvent]]:
        """Return what measures the objects; only those that have changed, where the image is the same as before.

        Parameters
        ----------
        image : Intensities, optional
            The image whose intensities are measured.
        """
        labels, image = self._required(), image or Intensities()
        previous = self.table if image.is_same(self._done.intensities) else None
        volume = ObjectVolume(labels.array, labels.geometry, image.channels, image.names)
        self._done.intensities_wanted = image
        return partial(measure_objects, volume, previous)

    def measure(self, image: Intensities | None = None) -> ObjectTable:
        """Measure the objects and return the table; may take minutes for thousands of them."""
        table = last_event(self.measuring(image)(), ObjectTable)
        self.show(table, self._done)
        return table

    def show(self, table: ObjectTable, done: Proofread) -> None:
        """Keep a table that `measuring` has returned, and show it unless other labels are proofread by now.

        Parameters
        ----------
        table : ObjectTable
            The table.
        done : Proofread
            What `done` was when it was begun.
        """
        done.table, done.intensities, done.is_stale = table, done.intensities_wanted, False
        if done is not self._done:
            return
        self.events.table.emit(table)
        self.events.is_stale.emit(False)
        self.select(number for number in self.selection if table.row_of(number) is not None)

    def _set_stale(self, is_stale: bool) -> None:
        self._done.is_stale = is_stale
        self.events.is_stale.emit(is_stale)

    def _set_points(self, points: tuple[Position, ...]) -> None:
        if points != self.points:
            self.points = points
            self.events.points.emit(points)

    def _voxel_of(self, number: int) -> Position | None:
        """Return a voxel of an object as it is now; None if there is no such object."""
        array = self._required().array
        voxel = None if self.table is None else self.table.voxel_of(number)
        if voxel is not None and array[voxel] == number:
            return voxel
        try:
            box = object_edits.object_box(array, number)
        except UserError:
            return None
        return object_edits.voxel_of(array[box] == number, box)

    def _required(self) -> ObjectLabels:
        if self.labels is None:
            raise UserError(
                "No layer of objects is chosen. Predict a volume or open its labels, then choose them above."
            )
        return self.labels

    def _writable(self) -> ObjectLabels:
        labels = self._required()
        if labels.read_only:
            raise UserError(labels.read_only)
        return labels

    def _required_table(self) -> ObjectTable:
        if self.table is None:
            raise UserError("The objects are not measured yet. Press 'Measure' first.")
        return self.table
