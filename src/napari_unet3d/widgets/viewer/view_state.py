"""Camera, canvas and grid in every version of napari, and the state of the view, which can be restored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray

_FONT_SIZE = 14.0
_PART_OF_CANVAS = 0.95  # that a layer fills, as in napari
_GRID = ("stride", "shape", "spacing", "enabled")


def canvas_size(viewer: Any) -> tuple[int, int]:
    """Return height and width in pixels, at least 1, also where docks cover all of the canvas."""
    height, width = viewer.canvas.size if hasattr(viewer, "canvas") else viewer._canvas_size
    return max(1, int(height)), max(1, int(width))


def grid_of(viewer: Any) -> Any:
    """Return the settings of the viewer's grid."""
    return viewer.canvas.grid if hasattr(viewer, "canvas") else viewer.grid


def text_of(viewer: Any) -> Any:
    """Return the text that the viewer can show in a corner of the canvas."""
    return viewer.canvas.overlays.text if hasattr(viewer, "canvas") else viewer.text_overlay


class CanvasText:
    """A text in the corner of the canvas; the user's own text comes back when it is cleared.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer of the canvas.
    """

    _PARTS = ("text", "font_size", "position", "visible")

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._before: dict[str, Any] | None = None

    def show(self, content: str) -> None:
        """Show a text in place of the one before."""
        text = text_of(self._viewer)
        if self._before is None:
            self._before = {part: getattr(text, part) for part in self._PARTS}
        text.text, text.font_size, text.position, text.visible = content, _FONT_SIZE, "top_left", True

    def clear(self) -> None:
        """Show the user's own text again."""
        if self._before is None:
            return
        text, before, self._before = text_of(self._viewer), self._before, None
        for part, value in before.items():
            setattr(text, part, value)


def camera_of(viewer: Any) -> Any:
    """Return the camera; `viewer.camera` is deprecated from napari 0.9 on."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


@dataclass(frozen=True, slots=True)
class CameraState:
    """Center, zoom and angles of the camera."""

    center: tuple[float, ...]
    zoom: float
    angles: tuple[float, ...]

    @classmethod
    def of(cls, viewer: Any) -> CameraState:
        """Return the present state."""
        camera = camera_of(viewer)
        return cls(camera.center, camera.zoom, camera.angles)

    def restore(self, viewer: Any) -> None:
        """Restore it."""
        camera = camera_of(viewer)
        camera.center, camera.zoom, camera.angles = self.center, self.zoom, self.angles

    def is_like(self, other: CameraState) -> bool:
        """Return whether both are the same but for rounding."""
        return all(
            np.allclose(one, two)
            for one, two in ((self.center, other.center), (self.zoom, other.zoom), (self.angles, other.angles))
        )


@dataclass(frozen=True, slots=True)
class ViewState:
    """Order, visibility and selection of layers, grid and camera.

    Attributes
    ----------
    order : tuple of Layer
        The layers, as in the list.
    visible : dict of Layer to bool
        Which of them are visible.
    selection : frozenset of Layer
        Which of them are selected.
    grid : dict of str to Any
        Settings of the grid.
    camera : CameraState
        The camera.
    """

    order: tuple[Layer, ...]
    visible: dict[Layer, bool]
    selection: frozenset[Layer]
    grid: dict[str, Any]
    camera: CameraState

    @classmethod
    def of(cls, viewer: Any) -> ViewState:
        """Return the present state."""
        return cls(
            tuple(viewer.layers),
            {layer: layer.visible for layer in viewer.layers},
            frozenset(viewer.layers.selection),
            {key: getattr(grid_of(viewer), key) for key in _GRID},
            CameraState.of(viewer),
        )

    def restore(self, viewer: Any) -> None:
        """Restore all but camera and selection, for layers that still exist."""
        for key, value in self.grid.items():
            setattr(grid_of(viewer), key, value)
        put_first(viewer, [layer for layer in self.order if layer in viewer.layers])
        for layer in viewer.layers:
            layer.visible = self.visible.get(layer, layer.visible)


def put_first(viewer: Any, wanted: Sequence[Layer]) -> None:
    """Move layers to the beginning of the list, in this order."""
    for position, layer in enumerate(wanted):
        now = viewer.layers.index(layer)
        if now != position:
            viewer.layers.move(now, position)


def select(viewer: Any, wanted: Iterable[Layer]) -> None:
    """Select layers, as far as they are in the viewer, and no others."""
    there = {layer for layer in wanted if layer in viewer.layers}
    if set(viewer.layers.selection) != there:
        viewer.layers.selection = there


@contextmanager
def kept_selection(viewer: Any) -> Iterator[None]:
    """Keep the selection, which a new layer would change."""
    selected = set(viewer.layers.selection)
    yield
    select(viewer, selected)


def units_factor(viewer: Any, layer: Layer) -> NDArray[np.float64]:
    """Return for each axis of a layer by what its world coordinates are multiplied to be those of the viewer.

    From 0.9 on, napari draws layers with different units of length in those of one of them; else all are 1.
    """
    of_viewer = getattr(viewer.layers, "units", None)
    if of_viewer is None or len(of_viewer) < layer.ndim:
        return np.ones(layer.ndim)
    pairs = zip(layer.units, of_viewer[-layer.ndim :], strict=True)
    return np.array([(1.0 * own).to(unit).magnitude if own.is_compatible_with(unit) else 1.0 for own, unit in pairs])


def look_at(viewer: Any, layer: Layer) -> None:
    """Move slices and camera so that a layer fills the view, whatever else is open; the angle of the camera stays."""
    factor = units_factor(viewer, layer)
    start, stop = np.asarray(layer.extent.world) * factor
    point = np.array(viewer.dims.point[viewer.dims.ndim - layer.ndim :])
    point = np.where((point >= start) & (point <= stop), point, (start + stop) / 2)
    viewer.dims.point = (*viewer.dims.point[: viewer.dims.ndim - layer.ndim], *point)
    # That of napari 0.9 fails beside a layer with more axes, and does not convert units.
    is_plain = layer.ndim == viewer.dims.ndim and (factor == 1).all()
    if is_plain and "layers" in signature(viewer.reset_view).parameters:
        viewer.reset_view(layers=[layer], reset_camera_angle=False)
        return
    shown = [axis - viewer.dims.ndim + layer.ndim for axis in viewer.dims.displayed]
    shown = [axis for axis in shown if axis >= 0]
    size, middle = (stop - start)[shown], ((start + stop) / 2)[shown]
    height, width = canvas_size(viewer)
    grid = grid_of(viewer)
    rows, columns = grid.shape if grid.enabled else (1, 1)
    cell = np.array([height / max(1, rows), width / max(1, columns)])
    fits = cell / size if len(shown) == 2 else cell / np.linalg.norm(size)
    camera_of(viewer).center = (*(0.0,) * (3 - len(shown)), *middle)
    camera_of(viewer).zoom = _PART_OF_CANVAS * float(fits.min())


def zoom_to_fit(viewer: Any) -> float:
    """Return the zoom at which everything is in view; the camera stays."""
    camera = CameraState.of(viewer)
    viewer.reset_view()
    zoom = float(camera_of(viewer).zoom)
    camera.restore(viewer)
    return zoom
