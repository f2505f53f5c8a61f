"""Proofreading of single objects, without a viewer: select, edit, mark as reviewed, measure.

Two objects are merged and the result is measured::

    session = ProofreadingSession()
    session.open(ObjectLabels("cells", labels, geometry))
    session.select([3, 5])
    session.merge()
    print(session.measure().column("volume"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from napari_unet3d.data import object_operations
from napari_unet3d.data.object_edits import ObjectEdit, Position
from napari_unet3d.data.object_splits import split_along_cut, split_at_points
from napari_unet3d.errors import UserError
from napari_unet3d.session.proofreading_state import ProofreadingState


class ProofreadingSession(ProofreadingState):
    """Edits the objects of labels; each edit is one step to undo, and its objects are reviewed.

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

    def merge(self) -> ObjectEdit:
        """Merge the selected objects; the result has the number of the one that was selected first."""
        return self._edit(object_operations.merge_objects)

    def delete(self) -> ObjectEdit:
        """Delete the selected objects."""
        return self._edit(object_operations.delete_objects)

    def fill_holes(self) -> ObjectEdit:
        """Fill the holes of the selected objects."""
        return self._edit(object_operations.fill_holes)

    def smooth(self, radius: float) -> ObjectEdit:
        """Smooth the selected objects by a radius in the unit of the labels' geometry."""
        spacing = self._required().geometry.spacing
        return self._edit(partial(object_operations.smooth_objects, radius=radius, spacing=spacing))

    def separate(self) -> ObjectEdit:
        """Make the pieces of the selected objects objects of their own."""
        return self._edit(partial(object_operations.separate_pieces, reserved=self._required().reserved))

    def keep_largest(self) -> ObjectEdit:
        """Keep only the largest piece of each selected object."""
        return self._edit(object_operations.keep_largest_piece)

    def renumber(self) -> ObjectEdit:
        """Renumber all objects without gaps; the same objects stay selected."""
        labels = self._writable()
        places = [place for place in map(self._voxel_of, self.selection) if place is not None]
        edit = object_operations.renumber_objects(labels.array, labels.reserved)
        self._apply(edit, [int(edit.changes[0].after[place]) for place in places])
        return edit

    def add_point(self, voxel: Position) -> None:
        """Mark a voxel as one of the parts of an object to split.

        Raises
        ------
        UserError
            If it is background, or in another object than the points before.
        """
        number = self.number_at(voxel)
        if number <= 0:
            raise UserError("There is background. Click into the object that is to be split, once in each part.")
        if self.points and (first := self.number_at(self.points[0])) != number:
            raise UserError(
                f"That is object {number}; the points before are in object {first}. Click into object {first}, or "
                "clear the points."
            )
        self.select([number])
        self._set_points((*self.points, voxel))

    def clear_points(self) -> None:
        """Forget the points."""
        self._set_points(())

    def split(self) -> ObjectEdit:
        """Split the object with the points into one part for each."""
        labels = self._writable()
        if len(self.points) < 2:
            raise UserError(
                "Split needs at least two points in an object. Press 'Set points' and click once in each part."
            )
        number = self.number_at(self.points[0])
        edit = split_at_points(labels.array, number, self.points, labels.geometry.spacing, labels.reserved)
        self._apply(edit, edit.objects)
        self._set_points(())
        return edit

    def cut(self, number: int, line: tuple[Sequence[float], Sequence[float]], direction: Sequence[float]) -> ObjectEdit:
        """Cut an object along a line; see `split_along_cut`."""
        labels = self._writable()
        edit = split_along_cut(labels.array, number, line, direction, labels.reserved)
        self._apply(edit, edit.objects)
        return edit

    def notice_change(self) -> None:
        """Take note that labels were changed elsewhere: painted, undone or replaced."""
        self._set_stale(self.table is not None)
        self._set_points(tuple(point for point in self.points if self.number_at(point) > 0))
        self.events.edited.emit(None)
        self.events.reviewed.emit(self.reviewed)

    def _edit(self, make: Callable[..., ObjectEdit]) -> ObjectEdit:
        labels = self._writable()
        if not self.selection:
            raise UserError("No object is selected. Click one in the view or in the table; Ctrl selects several.")
        edit = make(labels.array, self.selection)
        self._apply(edit, edit.objects)
        return edit

    def _apply(self, edit: ObjectEdit, selection: Iterable[int]) -> None:
        self._writable().write(edit)
        self._done.add(edit)
        self._set_stale(self.table is not None)
        self.select(selection)
        self.events.edited.emit(edit)
        self.events.reviewed.emit(self.reviewed)
