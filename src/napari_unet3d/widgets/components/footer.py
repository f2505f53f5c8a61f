"""The footer of every dock: tidying the list of layers, and the window that lists keys."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from napari.settings import get_settings
from qtpy.QtWidgets import QTextBrowser, QWidget

from napari_unet3d.formatting import format_count
from napari_unet3d.widgets.components.containers import Panel, button
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dialogs import PluginWindow, confirm
from napari_unet3d.widgets.components.keys import bind_key, bound_keys
from napari_unet3d.widgets.viewer.layer_metadata import layers_to_tidy

# Names of napari's actions, what they do, and their keys in napari 0.9.
_VIEW = (
    ("toggle_ndisplay", "Change between slices and 3D", "Ctrl+Y"),
    ("reset_view", "Show everything", "Ctrl+R"),
    ("increment_dims_left", "One slice back", "Left"),
    ("increment_dims_right", "One slice forward", "Right"),
    ("roll_axes", "Slice along the next axis", "Ctrl+E"),
    ("toggle_selected_visibility", "Show or hide the selected layers", "V"),
    ("toggle_grid", "Layers side by side in a grid", "Ctrl+G"),
    ("hold_for_pan_zoom", "Move the view while it is held down", "Space"),
)
_LABELS = (
    ("activate_labels_paint_mode", "Paint", "2"),
    ("activate_labels_erase_mode", "Erase", "1"),
    ("activate_labels_fill_mode", "Fill an object with another id", "4"),
    ("activate_labels_picker_mode", "Pick the id under the pointer", "5"),
    ("activate_labels_pan_zoom_mode", "Move the view instead of painting", "6"),
    ("new_label", "Select an id that is not used yet", "M"),
    ("decrease_brush_size", "Smaller brush", "["),
    ("increase_brush_size", "Larger brush", "]"),
    ("toggle_preserve_labels", "Protect other objects while painting", "B"),
    (None, "Undo what was painted", "Ctrl+Z"),
)
_KEY = "Shift-K"  # the letters alone that napari leaves free belong to the errors
# As quiet as a link, except below the pointer and with the focus of the keyboard.
_STYLE = """
QPushButton { background: transparent; padding: 2px 6px; }
QPushButton:hover, QPushButton:focus { background: rgba(128, 128, 128, 80); }
"""
_MOST_NAMES = 12  # in a question


class KeysWindow(PluginWindow):
    """Lists keys and what they do while the image has the focus.

    Parameters
    ----------
    parent : QWidget
        A part of the dock; the window closes with it.
    viewer : napari.Viewer
        Whose keys.
    """

    def __init__(self, parent: QWidget, viewer: Any) -> None:
        self.text = QTextBrowser()
        self.text.setHtml(_page(viewer))
        self.text.setToolTip("Keys work while the image has the focus: click into it first.")
        super().__init__(parent, "Keys", self.text)
        self.resize(460, 560)


def napari_key(action: str | None, usual: str) -> str:
    """Return the keys that the user has chosen for an action of napari, or its usual one where they cannot be read."""
    try:
        chosen = get_settings().shortcuts.shortcuts[f"napari:{action}"]
    except (AttributeError, KeyError):
        return usual
    return " or ".join(map(str, chosen)) or "none"


def _page(viewer: Any) -> str:
    ours = [(key.key.replace("-", "+"), f"{key.description} ({key.dock})") for key in bound_keys(viewer)]
    sections = {
        "Open docks": ours,
        "View": [(napari_key(action, usual), text) for action, text, usual in _VIEW],
        "Labels layer": [(napari_key(action, usual), text) for action, text, usual in _LABELS],
    }
    tables = "".join(_table(title, rows) for title, rows in sections.items())
    return f"<p>Click into the image first: keys go to where the focus is.</p>{tables}"


def _table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = "".join(
        f"<tr><td style='white-space: nowrap'><b>{html.escape(key)}</b></td>"
        f"<td style='padding-left: 16px'>{html.escape(text)}</td></tr>"
        for key, text in rows
    )
    return f"<h4>{title}</h4><table cellspacing='3'>{lines}</table>"


class Footer(Panel):
    """Two small buttons, which stay at the lower edge of a dock while it scrolls.

    Parameters
    ----------
    context : Context
        Viewer and message line of the dock.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.tidy_button = button(
            "Tidy layers", "Remove the hidden layers of volumes that are no longer in view.", self.tidy
        )
        self.keys_button = button("Keys", f"List the keys of the docks and of napari. Key: {_KEY}", self.show_keys)
        super().__init__(self.tidy_button, self.keys_button, layout="horizontal")
        for each in (self.tidy_button, self.keys_button):
            each.native.setStyleSheet(_STYLE)
        self.margins = (8, 2, 8, 2)
        self.native.layout().insertStretch(0, 1)
        bind_key(context, _KEY, "List the keys", self.show_keys)

    def show_keys(self) -> None:
        """Open the window with the keys."""
        KeysWindow(self.native, self._context.viewer).show()

    def tidy(self) -> None:
        """Remove the hidden layers of the plugin that belong to nothing in view, after a question."""
        layers = layers_to_tidy(self._context.viewer)
        if not layers:
            self._context.message.show_message("There is nothing to tidy: no layers of earlier volumes are hidden.")
            return
        names = [layer.name for layer in layers[:_MOST_NAMES]] + ["…"] * (len(layers) > _MOST_NAMES)
        count = format_count(len(layers), "hidden layer")
        question = f"Remove {count} of earlier volumes?\n\n" + "\n".join(names)
        if confirm(self.native, "Tidy layers?", question, by_default=True):
            for layer in layers:
                self._context.viewer.layers.remove(layer)
            self._context.message.show_message(f"Removed {count}.")
