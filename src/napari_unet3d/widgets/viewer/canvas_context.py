"""The OpenGL context of the canvas, which has to be current when napari deletes what drew a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet, ref

_guarded: WeakSet[Any] = WeakSet()  # lists of layers


def guard_layer_removal(viewer: Any) -> None:
    """Make the context of the canvas current before a layer is removed, for as long as the viewer exists.

    Since version 0.7, napari deletes shader programs at once when a layer is removed. The current context is then
    mostly that in which Qt composes the window, and drivers crash (Mesa's software renderer for example) when a program
    that the canvas has used is deleted there: a segmentation fault follows at one of the next frames, or napari hangs.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer. A second call for it does nothing.
    """
    if viewer.layers in _guarded:
        return
    _guarded.add(viewer.layers)
    make_current = _make_current(viewer.window)
    for name in ("removing", "end_batch"):  # the latter when all are removed at once, since napari 0.7
        if (emitter := viewer.layers.events.emitters.get(name)) is not None:
            emitter.connect(make_current)  # called before what napari has connected


def _make_current(window: Any) -> Callable[[Any], None]:
    """Return a callback that does not keep the window alive."""
    known = ref(getattr(window, "__wrapped__", window))

    def make_current(_event: Any = None) -> None:
        try:
            known()._qt_viewer.canvas.native.makeCurrent()  # type: ignore[union-attr]
        except (AttributeError, RuntimeError):  # there is no window, or Qt has deleted it
            return

    return make_current
