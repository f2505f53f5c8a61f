"""Widgets that show a preference which all docks share: they start with it, change it and follow it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from magicgui.widgets import Widget
from psygnal import SignalInstance

from napari_unet3d.errors import UserError
from napari_unet3d.session.shared_preferences import shared_preferences
from napari_unet3d.widgets.viewer.connections import connect_while_alive


def follow_preferences(owner: Widget, slot: Callable[[str, Any], object]) -> None:
    """Call a function with name and value of each preference that changes, for as long as a widget exists."""
    preferences = shared_preferences()

    def on_changed(name: str, value: Any) -> None:  # no method: the signal would not keep its object alive
        slot(name, value)

    connect_while_alive(owner.native, preferences.changed, on_changed)


def share_preferences(owner: Widget, widgets: Mapping[str, Any], changed: SignalInstance) -> None:
    """Set widgets to preferences, and keep both the same for as long as the widget around them exists.

    Parameters
    ----------
    owner : Widget
        The widget around them.
    widgets : mapping of str to Widget
        The widgets by the names of the preferences.
    changed : SignalInstance
        Emitted after one of them was changed.
    """
    preferences = shared_preferences()

    def keep(*_: Any) -> None:
        try:
            preferences.set(**{name: widget.value for name, widget in widgets.items()})
        except UserError:  # while a number is typed
            return

    def show(name: str, value: Any) -> None:
        if name in widgets and widgets[name].value != value:
            widgets[name].value = value

    for name, widget in widgets.items():
        widget.value = getattr(preferences.value, name)
    changed.connect(keep)
    follow_preferences(owner, show)
