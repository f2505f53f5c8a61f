"""A frame around the button to press next."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import PushButton
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QScrollArea, QWidget

from napari_unet3d.widgets.components.containers import single_shot

_MARKED = "QPushButton { border: 2px solid #e69f00; }"  # seen on dark and on light
_LAYOUT_MS = 150  # until a dock that was just opened has its place


def point_at(button: PushButton) -> None:
    """Scroll a button into view, give it the keyboard focus, and put a frame around it until it is pressed.

    Parameters
    ----------
    button : PushButton
        A button of a dock that is open.
    """
    widget: Any = button.native
    if not is_pointed_at(widget):
        style = widget.styleSheet()
        widget.setProperty("unmarked", style)
        widget.setStyleSheet(style + _MARKED)
        widget.clicked.connect(_unmark_sender(widget))
    single_shot(widget, lambda: _bring_into_view(widget), _LAYOUT_MS).start()


def is_pointed_at(widget: QWidget) -> bool:
    """Return whether a button has the frame."""
    return widget.styleSheet().endswith(_MARKED)


def _unmark_sender(widget: Any) -> Any:
    def unmark(*_: Any) -> None:
        widget.setStyleSheet(widget.property("unmarked") or "")
        widget.clicked.disconnect(unmark)

    return unmark


def _bring_into_view(widget: QWidget) -> None:
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QScrollArea):
        parent = parent.parentWidget()
    if parent is not None:
        parent.ensureWidgetVisible(widget)
    widget.setFocus(Qt.FocusReason.OtherFocusReason)
