"""Opening docks, and their place in the window: docks of the plugin are tabs of each other."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

_OURS = "napari-unet3d"  # the plugin, and a property of the widgets that are its docks


def mark_as_dock(widget: QWidget) -> None:
    """Mark a widget as a dock of the plugin, for `join_tabs`."""
    widget.setProperty(_OURS, True)


def open_dock(viewer: Any, name: str) -> Any:
    """Open a dock of the plugin, or bring it to the front when it is open, and return it."""
    _, dock = viewer.window.add_plugin_dock_widget(_OURS, name)
    dock.raise_tab()
    return dock


def raise_tab(widget: QWidget) -> None:
    """Raise a dock above others that share its place as tabs."""
    if (frame := dock_frame(widget)) is not None:
        frame.show()
        frame.raise_()


def join_tabs(widget: QWidget) -> None:
    """Make a dock a tab of another dock of the plugin in the same area, if there is one."""
    frame = dock_frame(widget)
    window: Any = frame.parentWidget() if frame is not None else None
    if frame is None or not isinstance(window, QMainWindow) or frame.isFloating():
        return
    area = window.dockWidgetArea(frame)
    for other in window.findChildren(QDockWidget):
        content = other.widget()
        if other is frame or content is None or not content.property(_OURS) or other.isFloating():
            continue
        if other.parentWidget() is window and window.dockWidgetArea(other) == area:
            window.tabifyDockWidget(other, frame)
            raise_tab(widget)
            return


def dock_frame(widget: QWidget) -> QDockWidget | None:
    """Return the frame that a widget is in, or None."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent
