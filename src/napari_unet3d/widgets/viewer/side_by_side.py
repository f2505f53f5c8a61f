"""Which layers are in view: one of several, or several side by side with one camera and one slice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any
from weakref import WeakKeyDictionary, ref

from napari.experimental import link_layers, unlink_layers
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QTimer

from napari_unet3d.widgets.viewer.layer_metadata import HELPER, OWNED
from napari_unet3d.widgets.viewer.layers import find_layer
from napari_unet3d.widgets.viewer.view_state import (
    CameraState,
    CanvasText,
    ViewState,
    camera_of,
    grid_of,
    kept_selection,
    put_first,
    select,
    zoom_to_fit,
)

_SPACING = 6  # pixels between two cells
_TITLE_SIZE = 14.0
_GLASS = 0.35  # opacity of the mark: outlines would hide less, but napari has none in 3D and warns about them
_LINKED = ("contrast_limits", "gamma", "colormap", "rendering", "attenuation", "iso_threshold")


def show_one_of(layers: Iterable[Layer], shown: Layer) -> None:
    """Show one of several layers and hide the others; nothing else changes."""
    for layer in layers:
        if layer is not shown:
            layer.visible = False
    shown.visible = True


def only_visible(layers: Iterable[Layer]) -> Layer | None:
    """Return the only visible one of several layers; None when there are more, or none."""
    visible = [layer for layer in layers if layer.visible]
    return visible[0] if len(visible) == 1 else None


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the grid.

    Attributes
    ----------
    title : str
        Text in its corner.
    layer : Labels
        The layer that is shown there.
    """

    title: str
    layer: Labels


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What is shown side by side.

    Attributes
    ----------
    image : Image or None
        The image under the layer of each cell.
    cells : tuple of Cell
        Different layers of the viewer, from left to right.
    mark : str
        Name of a layer of the plugin that is shown in all cells as long as it exists.
    """

    image: Image | None
    cells: tuple[Cell, ...]
    mark: str = ""


@dataclass(frozen=True, slots=True)
class _Showing:
    """What is side by side now.

    Attributes
    ----------
    wanted : Arrangement
        The arrangement.
    images, marks : tuple of Layer
        For each cell a copy of the image, and of the layer that is shown in all of them, or none.
    before : ViewState
        The view before.
    camera : CameraState
        The camera that was set.
    on_end : callable
        Called after the end.
    """

    wanted: Arrangement
    images: tuple[Layer, ...]
    marks: tuple[Layer, ...]
    before: ViewState
    camera: CameraState
    on_end: Callable[[], None]

    @property
    def in_order(self) -> list[Layer]:
        """The layers in the cells, in the order that the list needs."""
        columns = [self.images, [cell.layer for cell in self.wanted.cells], self.marks]
        return [layer for layers in zip(*filter(None, columns), strict=True) for layer in layers]


class SideBySide:
    """Shows layers side by side, each over a copy of the image, and restores the view at the end.

    It is napari's grid. As that gives every layer of the list a place, also hidden ones, the layers in question move to
    the beginning of the list, the same number for each cell; all others are hidden. The layers are those of the user,
    so that what is painted in one shows at once, and can be undone. Copies share the data of the image, and its
    contrast. It ends when `stop` is called, the grid is switched off or one of the layers goes away.

    What was in view comes back exactly, but for what the person changed meanwhile: the slice stays, and so do the
    layers that were selected and the place of a camera that was moved.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._known_viewer = ref(viewer)  # which is a weak key to this object
        self._text: CanvasText | None = None
        self._showing: _Showing | None = None

    @property
    def _viewer(self) -> Any:
        return self._known_viewer()

    @property
    def is_on(self) -> bool:
        """Whether layers are side by side now."""
        return self._showing is not None

    def start(self, wanted: Arrangement, on_end: Callable[[], None]) -> None:
        """Show layers side by side, in place of others.

        Parameters
        ----------
        wanted : Arrangement
            What to show.
        on_end : callable
            Called after the end, whatever the reason.
        """
        self.stop()
        viewer, before, whole = self._viewer, ViewState.of(self._viewer), zoom_to_fit(self._viewer)
        image, titles = wanted.image, [cell.title for cell in wanted.cells]
        images = () if image is None else _add_copies(viewer, image, titles)
        if image is not None:
            link_layers([image, *images], _LINKED)
        self._showing = _Showing(wanted, images, (), before, before.camera, on_end)
        self._mark()
        mine = self._showing.in_order
        put_first(viewer, mine)
        for layer in viewer.layers:
            layer.visible = layer in mine
        select(viewer, before.selection)
        in_cell = _set_up_grid(viewer, len(titles), stride=len(mine) // len(titles))
        camera_of(viewer).zoom *= in_cell / whole  # as much is in view as before
        self._showing = replace(self._showing, camera=CameraState.of(viewer))
        if not _show_titles(images):  # which napari has from 0.7 on
            self._text = CanvasText(viewer)
            self._text.show(" | ".join(titles))
        for emitter in self._events():
            emitter.connect(self._check_soon)

    def stop(self) -> None:
        """Restore the view before."""
        showing, self._showing = self._showing, None
        if showing is None:
            return
        for emitter in self._events():
            emitter.disconnect(self._check_soon)
        viewer, camera = self._viewer, _camera_afterwards(self._viewer, showing)
        if self._text is not None:
            self._text.clear()
            self._text = None  # it holds the viewer, which must not be kept alive from here
        grid_of(viewer).enabled = False
        unlink_layers(showing.images)
        copies = [*showing.images, *showing.marks]
        chosen = set(viewer.layers.selection).difference(copies)
        _remove(viewer, copies)
        showing.before.restore(viewer)
        select(viewer, chosen or showing.before.selection)
        camera.restore(viewer)
        showing.on_end()

    def _events(self) -> list[Any]:
        layers = self._viewer.layers.events
        return [layers.inserted, layers.removed, layers.reordered, grid_of(self._viewer).events.enabled]

    def _check_soon(self, *_: Any) -> None:
        QTimer.singleShot(0, self._check)  # layers must not be moved or removed while napari does so

    def _check(self) -> None:
        if self._showing is None:
            return
        layers, shown = self._viewer.layers, [cell.layer for cell in self._showing.wanted.cells]
        needed = [self._showing.wanted.image, *self._showing.images, *shown]
        if not grid_of(self._viewer).enabled or any(each is not None and each not in layers for each in needed):
            self.stop()
            return
        self._mark()
        mine, visible = self._showing.in_order, self._showing.before.visible
        put_first(self._viewer, mine)
        grid_of(self._viewer).stride = len(mine) // len(shown)
        for layer in layers:
            if layer not in mine and layer not in visible:  # it is new, and must not take a cell
                visible[layer] = layer.visible
                layer.visible = False

    def _mark(self) -> None:
        """Update the copies of the mark."""
        assert self._showing is not None
        viewer, marks = self._viewer, [layer for layer in self._showing.marks if layer in self._viewer.layers]
        mark: Labels | None = find_layer(viewer, self._showing.wanted.mark, Labels)
        if mark is None or len(marks) < len(self._showing.marks):
            _remove(viewer, marks)
            marks = []
        if mark is not None and not marks:
            titles = [f"{mark.name} in {cell.title}" for cell in self._showing.wanted.cells]
            marks = list(_add_copies(viewer, mark, titles, opacity=_GLASS))
            for emitter in (mark.events.data, mark.events.translate, mark.events.visible):
                emitter.connect(self._check_soon)
        self._showing = replace(self._showing, marks=tuple(marks))
        for copy in marks:
            assert mark is not None
            if copy.data is not mark.data:
                copy.data = mark.data
            copy.translate = mark.translate
        if mark is not None and mark.visible:
            self._showing.before.visible[mark] = True
            mark.visible = False


_known: WeakKeyDictionary[Any, SideBySide] = WeakKeyDictionary()


def side_by_side_of(viewer: Any) -> SideBySide:
    """Return the side-by-side view of a viewer, which has one grid."""
    if viewer not in _known:
        _known[viewer] = SideBySide(viewer)
    return _known[viewer]


def _add_copies(viewer: Any, layer: Layer, names: Sequence[str], **other_looks: Any) -> tuple[Layer, ...]:
    data, looks, kind = layer.as_layer_data_tuple()
    looks = {**looks, "metadata": {OWNED: True, HELPER: True}, "visible": True, **other_looks}
    copies = tuple(Layer.create(data, {**looks, "name": name}, kind) for name in names)
    with kept_selection(viewer):
        for copy in copies:
            viewer.layers.insert(0, copy)
    return copies


def _remove(viewer: Any, layers: Iterable[Layer]) -> None:
    for layer in layers:
        if layer in viewer.layers:
            viewer.layers.remove(layer)


def _set_up_grid(viewer: Any, n_cells: int, stride: int) -> float:
    """Arrange the cells so that the volume is largest; return the zoom at which it fits into a cell."""
    grid = grid_of(viewer)
    grid.stride, grid.spacing = stride, _SPACING
    zooms = {}
    for n_columns in range(n_cells, 0, -1):
        grid.shape = (ceil(n_cells / n_columns), n_columns)
        grid.enabled = True
        zooms[grid.shape] = zoom_to_fit(viewer)
    grid.shape = max(zooms, key=lambda shape: zooms[shape])
    return zooms[grid.shape]


def _show_titles(copies: Sequence[Layer]) -> bool:
    if not copies or not all(hasattr(copy, "name_overlay") for copy in copies):
        return False
    for copy in copies:
        copy.name_overlay.font_size = _TITLE_SIZE
        copy.name_overlay.visible = True
    return True


def _camera_afterwards(viewer: Any, showing: _Showing) -> CameraState:
    """Return the camera as it was or, where the user moved it meanwhile, with as much in view as now."""
    now, before = CameraState.of(viewer), showing.before.camera
    return before if now.is_like(showing.camera) else replace(now, zoom=now.zoom * before.zoom / showing.camera.zoom)
