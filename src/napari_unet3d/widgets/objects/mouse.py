"""Objects clicked in the view: selected, given points to split at, or cut with a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.session.proofreading import ProofreadingSession
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.objects.layer_labels import object_under
from napari_unet3d.widgets.objects.object_layers import ObjectLayers
from napari_unet3d.widgets.viewer.navigation import Pointer
from napari_unet3d.widgets.viewer.view_state import camera_of

_CLICK = 4  # pixels that the mouse may move while it is clicked
_SAMPLES = 64  # along a cut
_MODIFIERS = ("Control", "Shift", "Meta")  # with one of them a click selects several


class Tool(ChoiceEnum):
    """What a click does."""

    SELECT = "select"
    POINTS = "points"
    CUT = "cut"


class ObjectMouse:
    """Follows the mouse in the view while the dock can be seen and no tool of napari is active.

    Parameters
    ----------
    session : ProofreadingSession
        It gets what is clicked.
    context : Context
        The viewer and the message line.
    layers : ObjectLayers
        The layer of the objects, and where points and lines are shown.
    is_shown : callable
        Whether the dock can be seen.

    Attributes
    ----------
    tool : Tool
        What a click does.
    """

    def __init__(
        self, session: ProofreadingSession, context: Context, layers: ObjectLayers, is_shown: Callable[[], bool]
    ) -> None:
        self._session, self._context, self._layers, self._is_shown = session, context, layers, is_shown
        self._viewer = context.viewer
        self.tool = Tool.SELECT
        self._viewer.mouse_drag_callbacks.append(self._on_press)

    def disconnect(self) -> None:
        """Leave the mouse alone from now on."""
        if self._on_press in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_press)

    def _on_press(self, _viewer: Any, event: Any) -> Iterator[None]:
        layer = self._layers.layer
        if layer is None or not layer.visible or event.button != 1 or not self._is_free():
            return
        first, start, tool = Pointer.of_event(event), np.array(event.pos), self.tool
        modifiers = {name for name in _MODIFIERS if name in event.modifiers}  # keys of vispy, which equal their names
        camera = camera_of(self._viewer)
        can_pan = camera.mouse_pan
        if tool is Tool.CUT:
            camera.mouse_pan = False
        is_dragged, last = False, first
        try:
            yield
            while event.type == "mouse_move":
                is_dragged |= bool(np.abs(np.array(event.pos) - start).max() > _CLICK)
                last = Pointer.of_event(event)
                if tool is Tool.CUT:
                    self._layers.show_line(*self._line(first, last))
                yield
        finally:
            camera.mouse_pan = can_pan
            self._layers.hide_line()
        if tool is Tool.CUT:
            if is_dragged:
                self._cut(first, last)
        elif not is_dragged:
            self._click(first, modifiers, tool)

    def _is_free(self) -> bool:
        active = self._viewer.layers.selection.active
        return self._is_shown() and (active is None or str(getattr(active, "mode", "pan_zoom")) == "pan_zoom")

    def _click(self, pointer: Pointer, modifiers: set[str], tool: Tool) -> None:
        hit = self._object_under(pointer)
        with self._context.message.explaining():
            if tool is Tool.POINTS:
                self._session.add_point((0, 0, 0) if hit is None else hit[1])
            elif hit is None:
                if not modifiers:
                    self._session.select(())
            elif modifiers:
                self._session.toggle(hit[0])
            else:
                self._session.select([hit[0]])

    def _cut(self, first: Pointer, last: Pointer) -> None:
        crossed = Counter(
            hit[0]
            for part in np.linspace(0, 1, _SAMPLES)
            if (hit := self._object_under(_between(first, last, part))) is not None
        )
        selected = [number for number in self._session.selection if number in crossed]
        with self._context.message.explaining():
            if not crossed:
                self._context.message.show_message("The line crosses no object; draw it across one.", "warning")
                return
            number = selected[0] if len(selected) == 1 else crossed.most_common(1)[0][0]
            self._context.message.show_message(self._session.cut(number, *self._knife(first, last)).message)

    def _object_under(self, pointer: Pointer) -> tuple[int, tuple[int, int, int]] | None:
        layer, labels = self._layers.layer, self._session.labels
        return None if layer is None or labels is None else object_under(pointer, layer, labels.array)

    def _line(self, first: Pointer, last: Pointer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        layer = self._layers.layer
        assert layer is not None
        one, other = (np.asarray(layer.world_to_data(each.position), float)[-3:] for each in (first, last))
        return one, other

    def _knife(self, first: Pointer, last: Pointer) -> tuple[tuple[list[float], list[float]], list[float]]:
        """Return the line in voxels, and the direction in which it cuts: that of sight."""
        layer = self._layers.layer
        assert layer is not None
        along = np.zeros(len(first.position))
        if first.direction is None:
            along[[axis for axis in range(len(along))[-3:] if axis not in first.axes]] = 1.0
        else:
            along[-len(first.direction) :] = np.add(first.direction, last.direction or first.direction) / 2
        position = np.asarray(first.position)
        through = np.subtract(layer.world_to_data(position + along), layer.world_to_data(position))[-3:]
        one, other = self._line(first, last)
        return (one.tolist(), other.tolist()), through.tolist()


def _between(first: Pointer, last: Pointer, part: float) -> Pointer:
    position = tuple((np.asarray(first.position) * (1 - part) + np.asarray(last.position) * part).tolist())
    return Pointer(position, first.direction, first.axes)
