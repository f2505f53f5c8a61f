"""The layer that is painted and the session of its annotation: each change of one reaches the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Labels
from psygnal import Signal

from napari_unet3d.data.shape_interpolation import FilledGap
from napari_unet3d.errors import UserError
from napari_unet3d.session.annotation import AnnotationSession
from napari_unet3d.session.annotation_classes import BACKGROUND, AnnotationClasses
from napari_unet3d.widgets.annotate.autosave import Autosave
from napari_unet3d.widgets.components.containers import Panel, single_shot
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.viewer.annotation_info import annotation_info
from napari_unet3d.widgets.viewer.annotation_layers import show_classes
from napari_unet3d.widgets.viewer.connections import connect_while_alive
from napari_unet3d.widgets.viewer.places import geometry_of

_COUNT_AFTER_MS, _COUNT_NEXT_MS = 150, 10
_VOXELS_AT_ONCE = 2_000_000  # counted in about ten milliseconds, so that no stroke waits
ERASER = 0
"""The brush that makes voxels not annotated again."""


class AnnotationLink:
    """Follows one layer: counts and saves what is painted, and does what the buttons ask for, one undo step each.

    Parameters
    ----------
    parent : Panel
        The dock; with it, the link ends.
    context : Context
        Viewer, jobs and message line.

    Attributes
    ----------
    layer : Labels or None
        The annotation that is painted.
    session : AnnotationSession or None
        Its session.
    autosave : Autosave
        Saves it.
    layer_changed : Signal()
        Another layer is followed, or none any more.
    brush_changed : Signal()
        Another brush was chosen, here or in napari's own controls.
    """

    layer_changed = Signal()
    brush_changed = Signal()

    def __init__(self, parent: Panel, context: Context) -> None:
        self._viewer, self._message = context.viewer, context.message
        self.layer: Labels | None = None
        self.session: AnnotationSession | None = None
        self.autosave = Autosave(parent, context)
        self._count_timer = single_shot(parent.native, self._count)
        connect_while_alive(parent.native, self._viewer.layers.events.removed, self._on_removed)
        parent.native.destroyed.connect(self._on_destroyed)

    def follow(self, layer: Labels | None) -> None:
        """Follow another layer, or none."""
        if layer is self.layer:
            return
        self._leave()
        info = annotation_info(layer)
        if layer is not None and info is not None:
            name = layer.name.removesuffix(" annotation")
            self.layer = layer
            self.session = AnnotationSession(name, layer.data, geometry_of(layer).spacing, info.classes, info.file)
            self.session.events.classes.connect(self._on_classes)
            for emitter, action in self._connections(layer):
                emitter.connect(action)
            self.session.count_all()
        self.autosave.session = self.session
        self.layer_changed.emit()

    @property
    def is_counting(self) -> bool:
        """Whether something is still to be counted."""
        return bool(self._count_timer.isActive())

    @property
    def brush(self) -> int | None:
        """The label value that is painted, `ERASER`, or None when another tool is active."""
        if self.layer is None or self.layer.mode not in ("paint", "erase", "fill", "polygon"):
            return None
        return ERASER if self.layer.mode == "erase" else int(self.layer.selected_label)

    def choose_brush(self, value: int) -> None:
        """Paint with a label value, or erase, from now on."""
        if self.layer is None:
            return
        self.layer.visible = True
        self._viewer.layers.selection.active = self.layer
        if value == ERASER:
            self.layer.mode = "erase"
            return
        self.layer.selected_label = value
        if self.layer.mode not in ("paint", "fill", "polygon"):
            self.layer.mode = "paint"

    def view_axis(self) -> int:
        """Return the axis of the layer across which the slices in view lie; the first one in 3D."""
        if self._viewer.dims.ndisplay == 3 or self.layer is None:
            return 0
        axes = [axis - self._viewer.dims.ndim + 3 for axis in self._viewer.dims.not_displayed]
        return max((axis for axis in axes if axis >= 0), default=0)

    def slice_in_view(self) -> tuple[int, int]:
        """Return axis and index of the slice in view.

        Raises
        ------
        UserError
            In 3D, or when the slice in view is beside the volume.
        """
        assert self.layer is not None
        if self._viewer.dims.ndisplay == 3:
            raise UserError("No single slice is in view: change from 3D to slices first, with Ctrl+Y.")
        axis = self.view_axis()
        index = round(float(self.layer.world_to_data(self._viewer.dims.point[-3:])[axis]))
        if not 0 <= index < self.layer.data.shape[axis]:
            raise UserError("The slice in view is beside the volume; move the slider until the image is in view.")
        return axis, index

    def fill(self, gaps: Sequence[FilledGap]) -> int:
        """Paint what was interpolated, where nothing is painted yet; return the number of voxels."""
        assert self.layer is not None
        places, values = [], []
        for gap in gaps:
            is_free = (gap.labels != 0) & (self.layer.data[gap.box] == 0)
            found = np.nonzero(is_free)
            places.append([at + side.start for at, side in zip(found, gap.box, strict=True)])
            values.append(gap.labels[found])
        indices = tuple(np.concatenate(parts) for parts in zip(*places, strict=True))
        self._paint(indices, np.concatenate(values))
        return len(indices[0])

    def fill_slice(self) -> int:
        """Paint the rest of the slice in view as background; return the number of voxels."""
        assert self.layer is not None
        axis, index = self.slice_in_view()
        found = [*np.nonzero(np.take(self.layer.data, index, axis) == 0)]
        found.insert(axis, np.full(len(found[0]), index))
        self._paint(tuple(found), np.uint8(BACKGROUND))
        return len(found[0])

    def undo(self) -> None:
        """Undo the last stroke, or what a button has painted."""
        if self.layer is not None:
            self.layer.undo()
            self._on_paint()

    def redo(self) -> None:
        """Redo what was undone last."""
        if self.layer is not None:
            self.layer.redo()
            self._on_paint()

    def _paint(self, indices: tuple[Any, ...], values: Any) -> None:
        if self.layer is not None and len(indices[0]):
            self.layer.data_setitem(indices, values)  # which makes it one step to undo
            self.layer.refresh()

    def _connections(self, layer: Labels) -> list[tuple[Any, Any]]:
        events = layer.events
        brush = [(each, self._on_brush) for each in (events.selected_label, events.mode, events.brush_size)]
        return [
            *brush,
            (events.n_edit_dimensions, self._on_brush),
            (events.paint, self._on_paint),
            (events.set_data, self._on_drawn),
            (events.data, self._on_replaced),
        ]

    def _leave(self) -> None:
        if self.layer is None or self.session is None:
            return
        self.autosave.save_now()
        for emitter, action in self._connections(self.layer):
            emitter.disconnect(action)
        self.session.events.classes.disconnect(self._on_classes)
        self.layer = self.session = None

    def _on_brush(self, _event: Any = None) -> None:
        self.brush_changed.emit()

    def _on_paint(self, _event: Any = None) -> None:
        if self.session is not None:
            self.session.invalidate()
            self.autosave.request()
            self._count_timer.start(_COUNT_AFTER_MS)

    def _on_drawn(self, _event: Any = None) -> None:
        """Count again, since an undo by key cannot be told from another slice."""
        if self.session is not None:
            self.session.invalidate(is_changed=False)
            self._count_timer.start(_COUNT_AFTER_MS)

    def _on_replaced(self, _event: Any = None) -> None:
        """Follow the new array of the layer, as a program sets it; one that is no annotation is left alone."""
        layer = self.layer
        if layer is None or self.session is None or layer.data is self.session.labels:
            return
        same = np.shape(layer.data) == self.session.labels.shape and layer.data.dtype == np.uint8
        self.follow(None)
        if same:
            self.follow(layer)
            self._on_paint()
        else:
            self._message.show_error(
                f"The layer '{layer.name}' has other voxels now and is no annotation of the image any more. What was "
                "painted before is saved; 'Annotate' continues with it."
            )

    def _on_classes(self, classes: AnnotationClasses) -> None:
        if self.layer is not None:
            show_classes(self.layer, classes)
            self.autosave.request()

    def _count(self) -> None:
        if self.session is None:
            return
        before = self.session.progress
        if not self.session.count(_VOXELS_AT_ONCE):
            self._count_timer.start(_COUNT_NEXT_MS)
        elif before != self.session.progress:
            self.session.is_saved = False
            self.autosave.request()

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer:
            is_empty = self.session is None or not self.session.count_all().n_annotated
            self.follow(None)
            if not is_empty:
                self._message.show_message(
                    "The annotation was removed from the viewer, and is saved: 'Annotate' continues with it."
                )

    def _on_destroyed(self) -> None:
        self._leave()
