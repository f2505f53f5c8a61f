"""Connections that end with a widget, whether Qt deletes it or Python collects it."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from psygnal import Signal
from qtpy.QtWidgets import QWidget

from napari_unet3d.widgets.viewer.connections import call_when_destroyed, connect_while_alive

pytestmark = pytest.mark.usefixtures("qapp")


class Source:
    changed = Signal(int)


class Owner:
    """Belongs to a widget that belongs to it, as the panels of a dock do."""

    def __init__(self, source: Source) -> None:
        self.seen: list[int] = []
        self.widget: Any = QWidget()
        self.widget.owner = self
        connect_while_alive(self.widget, source.changed, self.seen.append)
        connect_while_alive(self.widget, source.changed, self.on_changed)

    def on_changed(self, value: int) -> None:
        self.seen.append(-value)


def delete(widget: QWidget, qtbot: Any) -> None:
    with qtbot.waitSignal(widget.destroyed):
        widget.deleteLater()


def test_a_slot_is_called_until_qt_deletes_the_widget(qtbot: Any) -> None:
    source = Source()
    owner = Owner(source)
    source.changed.emit(1)
    assert owner.seen == [1, -1]
    delete(owner.widget, qtbot)
    source.changed.emit(2)
    assert owner.seen == [1, -1]
    assert len(source.changed) == 0


def test_a_widget_that_python_collects_is_disconnected() -> None:
    """What Qt calls then must not have been collected before the widget: the process would crash."""
    source = Source()
    owners = [Owner(source) for _ in range(50)]
    collected = weakref.ref(owners[0])
    del owners
    gc.collect()
    assert collected() is None
    assert len(source.changed) == 0


def test_an_action_is_called_once_and_then_forgotten(qtbot: Any) -> None:
    widget, called = QWidget(), []

    class Action:
        def __call__(self) -> None:
            called.append(1)

    action = Action()
    kept = weakref.ref(action)
    call_when_destroyed(widget, action)
    del action
    gc.collect()
    assert kept() is not None
    delete(widget, qtbot)
    assert called == [1]
    qtbot.waitUntil(lambda: gc.collect() >= 0 and kept() is None)
