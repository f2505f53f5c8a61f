"""The layers of proofreading: the labels, the outline of the selected objects, and marks of points and cuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Labels, Layer
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box, expand, union
from napari_unet3d.data.object_edits import object_boxes
from napari_unet3d.errors import UserError
from napari_unet3d.session.proofreading import ProofreadingSession
from napari_unet3d.widgets.components.containers import single_shot
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.viewer.connections import connect_while_alive
from napari_unet3d.widgets.viewer.layer_metadata import HELPER, OWNED
from napari_unet3d.widgets.viewer.layers import find_layer, shifted, show_points, spatial_kwargs
from napari_unet3d.widgets.viewer.navigation import jump_to, zoom_to
from napari_unet3d.widgets.viewer.view_state import camera_of, kept_selection

_COLOUR = "#ff3df2"  # at neither end of the colours of columns
_OUTLINE, _INSIDE = 1, 2
_MOST_VOXELS = 2**24  # of the box around the selected objects
_MOST_OBJECTS = 500
_DOTS = 24  # of a cut


class ObjectLayers:
    """Shows what is selected and marked, and moves the view to an object.

    Parameters
    ----------
    session : ProofreadingSession
        What is proofread.
    context : Context
        The viewer.

    Attributes
    ----------
    layer : Labels or None
        The layer whose objects are proofread.
    leading : tuple of int
        The time point, if it has several.
    zooms : bool
        Whether to zoom to an object that the view goes to.
    """

    def __init__(self, session: ProofreadingSession, context: Context) -> None:
        self._session, self._viewer = session, context.viewer
        self.layer: Labels | None = None
        self.leading: tuple[int, ...] = ()
        self.zooms = False
        self._left: list[Layer] = []
        self._tidy_timer = single_shot(context.message, self._tidy)
        events = session.events
        events.selection.connect(self._show_selection)
        events.edited.connect(lambda _edit: self._show_selection())
        events.visited.connect(self._go_to)
        events.points.connect(self._show_points)
        for emitter in (self._viewer.dims.events.ndisplay, self._viewer.dims.events.order):
            connect_while_alive(context.message, emitter, self._on_view)

    def follow(self, layer: Labels | None, leading: tuple[int, ...]) -> None:
        """Proofread another layer or time point."""
        if self.layer is not None and layer is not self.layer:
            self._left += self._helpers()
            self._tidy_timer.start()  # not within an event of the list of layers, which may be removing one
        self.layer, self.leading = layer, leading

    def clear(self) -> None:
        """Remove outline and marks, also those of layers that were proofread before."""
        self._left += self._helpers()
        self._remove(self._left)

    def _tidy(self) -> None:
        kept = self._helpers()
        self._remove([helper for helper in self._left if helper not in kept])

    def _remove(self, helpers: list[Layer]) -> None:
        self._left = []
        for helper in helpers:
            if helper in self._viewer.layers:
                self._viewer.layers.remove(helper)

    def _helpers(self) -> list[Layer]:
        found = (self._helper(name) for name in ("selected", "split points", "cut"))
        return [helper for helper in found if helper is not None]

    def show_line(self, first: NDArray[np.float64], last: NDArray[np.float64]) -> None:
        """Show a line between two voxels as dots."""
        if self.layer is None:
            return
        dots = np.linspace(first, last, _DOTS)
        with kept_selection(self._viewer):
            layer = show_points(
                self._viewer, self._name("cut"), dots, self.layer, face_color=_COLOUR, blending="translucent_no_depth"
            )
        layer.metadata[HELPER] = layer.visible = True
        layer.size = 6 / max(1e-6, float(self._zoom()) * abs(float(layer.scale[-1])))

    def hide_line(self) -> None:
        """Remove the line."""
        if (layer := self._helper("cut")) is not None:
            self._viewer.layers.remove(layer)

    def _zoom(self) -> float:
        return float(camera_of(self._viewer).zoom)

    def _on_view(self, _event: Any) -> None:
        if (layer := self._helper("selected")) is not None and layer.visible:
            self._show_selection()

    def _name(self, what: str) -> str:
        return f"{'' if self.layer is None else self.layer.name} {what}"

    def _helper(self, what: str) -> Layer | None:
        helper: Layer | None = find_layer(self._viewer, self._name(what), Layer)
        return helper if helper is not None and helper.metadata.get(HELPER) else None

    def _show_selection(self, *_: Any) -> None:
        """Outline the selected objects; of many that are far apart, those that were selected last."""
        old, labels = self._helper("selected"), self._session.labels
        if labels is None or self.layer is None or self.layer not in self._viewer.layers:
            return
        box, numbers = self._box_of_selection(labels.array)
        if box is None:
            if old is not None:
                old.visible = False
            return
        wide = expand(box, (1, 1, 1), labels.array.shape)
        axes = [axis - self._viewer.dims.ndim for axis in self._viewer.dims.displayed[-2:]]
        crop = _outlined(labels.array[wide], numbers, axes)
        self._show_crop(old, crop, [side.start for side in wide])
        last = numbers[-1]
        if self.layer.selected_label != last and last <= np.iinfo(self.layer.data.dtype).max:
            self.layer.selected_label = last

    def _box_of_selection(self, array: NDArray[Any]) -> tuple[Box | None, list[int]]:
        box: Box | None = None
        numbers: list[int] = []
        boxes = self._boxes(array, self._session.selection[-_MOST_OBJECTS:])
        for number, own in reversed(boxes.items()):
            wider = own if box is None else union(box, own)
            if box is not None and np.prod([side.stop - side.start for side in wider]) > _MOST_VOXELS:
                continue
            box = wider
            numbers.insert(0, number)
        return box, numbers

    def _boxes(self, array: NDArray[Any], numbers: Sequence[int]) -> dict[int, Box]:
        """Return the boxes of objects that exist."""
        table = self._session.table
        if table is None or self._session.done.is_stale:
            if len(numbers) > 1:
                found = object_boxes(array)
                return {number: found[number] for number in numbers if number in found}
            try:
                return object_boxes(array, numbers)
            except UserError:  # it is gone
                return {}
        rows = {number: row for number in numbers if (row := table.row_of(number)) is not None}
        return {number: _as_box(table.boxes[row]) for number, row in rows.items()}

    def _show_crop(self, old: Layer | None, crop: NDArray[np.uint8], start: list[int]) -> None:
        layer = self.layer
        assert layer is not None
        place = spatial_kwargs(layer) | {"translate": shifted(layer, start)}
        inside = "transparent" if self._viewer.dims.ndisplay == 2 else _COLOUR
        colours = DirectLabelColormap(
            color_dict={None: "transparent", 0: "transparent", _OUTLINE: _COLOUR, _INSIDE: inside}
        )
        if isinstance(old, Labels):
            old.data, old.translate, old.colormap, old.visible = crop, place["translate"], colours, True
            return
        with kept_selection(self._viewer):
            self._viewer.add_labels(
                crop,
                name=self._name("selected"),
                metadata={OWNED: True, HELPER: True},
                colormap=colours,
                blending="translucent_no_depth",
                opacity=0.9,
                **place,
            )

    def _show_points(self, points: tuple[Any, ...]) -> None:
        old = self._helper("split points")
        if not points or self.layer is None:
            if old is not None:
                self._viewer.layers.remove(old)
            return
        with kept_selection(self._viewer):
            layer = show_points(
                self._viewer,
                self._name("split points"),
                np.array(points, float),
                self.layer,
                face_color=_COLOUR,
                border_color="black",
                blending="translucent_no_depth",
            )
        layer.metadata[HELPER] = True
        layer.size = 12 / max(1e-6, self._zoom() * abs(float(layer.scale[-1])))

    def _go_to(self, number: int) -> None:
        voxel = self._session.voxel_of(number)
        if voxel is None or self.layer is None:
            return
        where: Any = (*self.leading, *voxel)
        jump_to(self._viewer, self.layer, where)
        if self.zooms and self._session.labels is not None:
            box = self._boxes(self._session.labels.array, [number])[number]
            scale = np.abs(self.layer.scale[-3:])
            zoom_to(
                self._viewer, [(side.stop - side.start) * size for side, size in zip(box, scale, strict=True)], scale
            )


def _outlined(labels: NDArray[Any], numbers: list[int], axes: Any) -> NDArray[np.uint8]:
    """Return `_OUTLINE` where a neighbour along some axes is not in the same object, `_INSIDE` elsewhere in objects."""
    chosen = np.isin(labels, numbers)
    inside = chosen.copy()
    for axis in axes:
        here, there = np.moveaxis(inside, axis, 0), np.moveaxis(labels, axis, 0)
        here[1:] &= there[1:] == there[:-1]
        here[:-1] &= there[:-1] == there[1:]
        here[[0, -1]] = False
    return np.where(inside, _INSIDE, chosen * np.uint8(_OUTLINE)).astype(np.uint8)


def _as_box(corners: NDArray[np.int64]) -> Box:
    z, y, x = (slice(int(start), int(stop)) for start, stop in corners)
    return z, y, x
