"""Slots of a widget that follow the signals of a training run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psygnal import SignalInstance
from qtpy.QtWidgets import QWidget


class RunListener:
    """Connects slots of a widget to the signals of the run that it shows, until it shows another one or is deleted.

    Parameters
    ----------
    widget : QWidget
        The widget.
    """

    def __init__(self, widget: QWidget) -> None:
        self._connections: list[tuple[SignalInstance, Callable[..., Any]]] = []
        widget.destroyed.connect(lambda: self.connect())

    def connect(self, *connections: tuple[SignalInstance, Callable[..., Any]]) -> None:
        """Connect each signal to its slot, instead of earlier ones."""
        for signal, slot in self._connections:
            signal.disconnect(slot)
        self._connections = list(connections)
        for signal, slot in connections:
            signal.connect(slot)
