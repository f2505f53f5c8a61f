"""Connections to events of the viewer that end with a layer or a widget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QObject


def connect_until_removed(viewer: Any, layer: Layer, emitters: Iterable[Any], action: Callable[[Any], None]) -> None:
    """Connect an action to events of the viewer until a layer is removed.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer of the layer.
    layer : Layer
        The layer.
    emitters : iterable of EventEmitter
        The events.
    action : callable
        Takes an event.
    """
    followed = tuple(emitters)

    def on_removed(event: Any) -> None:
        if event.value is layer:
            for emitter in followed:
                emitter.disconnect(action)
            viewer.layers.events.removed.disconnect(on_removed)

    for emitter in followed:
        emitter.connect(action)
    viewer.layers.events.removed.connect(on_removed)


def connect_while_alive(widget: QObject, emitter: Any, slot: Callable[..., None]) -> None:
    """Connect a slot to an event of the viewer for as long as a widget exists."""
    emitter.connect(slot)
    widget.destroyed.connect(lambda: emitter.disconnect(slot))
