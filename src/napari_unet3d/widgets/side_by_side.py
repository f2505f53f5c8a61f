"""Which layers are in view: one of several, or several side by side with one camera and one slice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from napari.experimental import link_layers, unlink_layers
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QTimer

from napari_unet3d.widgets.canvas import CanvasText, grid_of
from napari_unet3d.widgets.layers import OWNED
from napari_unet3d.widgets.navigation import camera_of

_SPACING = 6  # pixels between two cells
_TITLE_SIZE = 14.0
_GRID = ("stride", "shape", "spacing", "enabled")
_LINKED = ("contrast_limits", "gamma", "colormap", "rendering", "attenuation", "iso_threshold")


def show_one_of(layers: Iterable[Layer], shown: Layer) -> None:
    """Show one of several layers and hide the others; nothing else changes."""
    for layer in layers:
        if layer is not shown:
            layer.visible = False
    shown.visible = True


def the_one_in_view(layers: Iterable[Layer]) -> Layer | None:
    """Give the layer that alone of several is visible, or None when there are more, or none."""
    visible = [layer for layer in layers if layer.visible]
    return visible[0] if len(visible) == 1 else None


@dataclass(frozen=True, slots=True)
class Cell:
    """A place in the grid.

    Attributes
    ----------
    title : str
        Words in its corner.
    layer : Labels
        The layer that is shown there.
    """

    title: str
    layer: Labels


@dataclass(frozen=True, slots=True)
class _Before:
    """What the viewer looked like."""

    order: tuple[Layer, ...]
    visible: dict[Layer, bool]
    selection: frozenset[Layer]
    grid: dict[str, Any]
    camera: tuple[Any, ...]


class SideBySide:
    """Shows layers side by side, each over a copy of the image, and puts everything back at the end.

    It is napari's grid. As that gives every layer of the list a place, also hidden ones, the layers in question move to
    the end of the list (where those lie that are drawn first), two for each cell; all others are hidden. The layers are
    those of the user, so that what is painted in one shows at once, and can be undone. The copies share the data of the
    image, and its contrast. It ends when `stop` is called, the grid is switched off or one of the layers goes away.

    What was in view comes back exactly, but for what the person changed meanwhile: the slice stays, and so does the
    place of a camera that was moved.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    on_change : callable
        Called after it has started or stopped.
    """

    def __init__(self, viewer: Any, on_change: Callable[[], None]) -> None:
        self._viewer, self._on_change = viewer, on_change
        self._text = CanvasText(viewer)  # napari has titles of layers from 0.7 on
        self._cells: tuple[Cell, ...] = ()
        self._copies: list[Image] = []
        self._before: _Before | None = None
        self._camera: tuple[Any, ...] = ()

    @property
    def is_on(self) -> bool:
        """Whether layers are side by side now."""
        return self._before is not None

    def start(self, image: Image | None, cells: Sequence[Cell]) -> None:
        """Show layers side by side.

        Parameters
        ----------
        image : Image or None
            What lies below each of them.
        cells : sequence of Cell
            Different layers of the viewer, from left to right.
        """
        self.stop()
        viewer = self._viewer
        self._before, self._cells = _look_at(viewer), tuple(cells)
        whole = _zoom_to_fit(viewer)
        titles = [cell.title for cell in cells]
        self._copies = [] if image is None else _add_copies(viewer, image, titles)
        mine = self._mine()
        _order(viewer, mine)
        for layer in viewer.layers:
            layer.visible = layer in mine
        _select(viewer, self._before)
        in_cell = _set_up_grid(viewer, len(cells), stride=1 if image is None else 2)
        camera_of(viewer).zoom *= in_cell / whole  # as much is in view as before
        self._camera = _camera(viewer)
        if not _show_titles(self._copies):
            self._text.show(" | ".join(titles))
        for emitter in self._events():
            emitter.connect(self._check_soon)
        self._on_change()

    def stop(self) -> None:
        """Put everything back as it was."""
        before, self._before = self._before, None
        if before is None:
            return
        for emitter in self._events():
            emitter.disconnect(self._check_soon)
        viewer = self._viewer
        self._text.clear()
        camera = _camera_afterwards(viewer, before, self._camera)
        for key, value in before.grid.items():
            setattr(grid_of(viewer), key, value)
        _remove_copies(viewer, self._copies)
        self._copies, self._cells = [], ()
        _order(viewer, [layer for layer in before.order if layer in viewer.layers])
        for layer in viewer.layers:
            layer.visible = before.visible.get(layer, layer.visible)
        _select(viewer, before)
        _set_camera(viewer, camera)
        self._on_change()

    def _mine(self) -> list[Layer]:
        """Give the layers in the cells, in the order of the list."""
        if not self._copies:
            return [cell.layer for cell in self._cells]
        return [layer for copy, cell in zip(self._copies, self._cells, strict=True) for layer in (copy, cell.layer)]

    def _events(self) -> list[Any]:
        layers = self._viewer.layers.events
        return [layers.inserted, layers.removed, layers.reordered, grid_of(self._viewer).events.enabled]

    def _check_soon(self, *_: Any) -> None:
        QTimer.singleShot(0, self._check)  # layers must not be moved or removed while napari is still at it

    def _check(self) -> None:
        if self._before is None:
            return
        layers, mine = self._viewer.layers, self._mine()
        if not grid_of(self._viewer).enabled or any(layer not in layers for layer in mine):
            self.stop()
            return
        _order(self._viewer, mine)
        for layer in layers:
            if layer not in mine and layer not in self._before.visible:  # it is new, and shall not lie in a cell
                self._before.visible[layer] = layer.visible
                layer.visible = False


def _look_at(viewer: Any) -> _Before:
    layers = viewer.layers
    return _Before(
        tuple(layers),
        {layer: layer.visible for layer in layers},
        frozenset(layers.selection),
        {key: getattr(grid_of(viewer), key) for key in _GRID},
        _camera(viewer),
    )


def _add_copies(viewer: Any, image: Image, titles: Sequence[str]) -> list[Image]:
    data, looks, kind = image.as_layer_data_tuple()
    looks = {**looks, "metadata": {OWNED: True}, "visible": True, "opacity": 1.0}
    copies = [Layer.create(data, {**looks, "name": title}, kind) for title in titles]
    for copy in copies:
        viewer.layers.insert(0, copy)
    link_layers([image, *copies], _LINKED)
    return copies


def _remove_copies(viewer: Any, copies: Sequence[Image]) -> None:
    unlink_layers(copies)
    for copy in copies:
        if copy in viewer.layers:
            viewer.layers.remove(copy)


def _order(viewer: Any, wanted: Sequence[Layer]) -> None:
    """Bring layers to the beginning of the list, in this order."""
    for position, layer in enumerate(wanted):
        now = viewer.layers.index(layer)
        if now != position:
            viewer.layers.move(now, position)


def _select(viewer: Any, before: _Before) -> None:
    kept = {layer for layer in before.selection if layer in viewer.layers}
    if set(viewer.layers.selection) != kept:
        viewer.layers.selection = kept


def _set_up_grid(viewer: Any, n_cells: int, stride: int) -> float:
    """Show cells in the rows and columns in which the volume is largest; give the zoom at which it fits into one."""
    grid = grid_of(viewer)
    grid.stride, grid.spacing = stride, _SPACING
    zooms = {}
    for n_columns in range(n_cells, 0, -1):
        grid.shape = (ceil(n_cells / n_columns), n_columns)
        grid.enabled = True
        zooms[grid.shape] = _zoom_to_fit(viewer)
    grid.shape = max(zooms, key=lambda shape: zooms[shape])
    return zooms[grid.shape]


def _show_titles(copies: Sequence[Image]) -> bool:
    if not all(hasattr(copy, "name_overlay") for copy in copies) or not copies:
        return False
    for copy in copies:
        copy.name_overlay.font_size = _TITLE_SIZE
        copy.name_overlay.visible = True
    return True


def _zoom_to_fit(viewer: Any) -> float:
    camera = _camera(viewer)
    viewer.reset_view()
    zoom = float(camera_of(viewer).zoom)
    _set_camera(viewer, camera)
    return zoom


def _camera(viewer: Any) -> tuple[Any, ...]:
    camera = camera_of(viewer)
    return camera.center, camera.zoom, camera.angles


def _set_camera(viewer: Any, values: tuple[Any, ...]) -> None:
    camera = camera_of(viewer)
    camera.center, camera.zoom, camera.angles = values


def _camera_afterwards(viewer: Any, before: _Before, during: tuple[Any, ...]) -> tuple[Any, ...]:
    """Give the camera as it was, or, where the person moved it meanwhile, with as much in view as is now."""
    now = _camera(viewer)
    if all(np.allclose(one, other) for one, other in zip(now, during, strict=True)):
        return before.camera
    return now[0], now[1] * before.camera[1] / during[1], now[2]
