"""Connections that end with a layer or a widget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import ismethod
from typing import Any
from weakref import WeakMethod

from napari.layers import Layer
from qtpy.QtCore import QObject

# Python's garbage collection clears a function that only the wrapper of a closed widget holds; when Qt then deletes the
# widget and calls it, the process crashes.
_kept: set[Callable[[], None]] = set()


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
    """Connect a slot to a signal, or an event of the viewer, for as long as a widget exists.

    Parameters
    ----------
    widget : QObject
        The widget.
    emitter : EventEmitter or SignalInstance
        The event or the signal.
    slot : callable
        The slot; a method does not keep its object alive.
    """
    emitter.connect(slot)
    connected = WeakMethod(slot) if ismethod(slot) else lambda: slot

    def disconnect() -> None:
        if (alive := connected()) is not None:
            emitter.disconnect(alive)

    call_when_destroyed(widget, disconnect)


def call_when_destroyed(widget: QObject, action: Callable[[], object]) -> None:
    """Call an action when Qt deletes a widget.

    Parameters
    ----------
    widget : QObject
        The widget.
    action : callable
        Takes nothing. It is kept until then: what it refers to, the widget for one, stays alive as long.
    """

    def on_destroyed() -> None:
        _kept.discard(on_destroyed)
        action()

    _kept.add(on_destroyed)
    widget.destroyed.connect(on_destroyed)
