"""What stands at the bottom of every dock: tidying the list of layers, and the list of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_unet3d.widgets.components.dialogs import confirm
from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.components.keys_window import KeysWindow
from napari_unet3d.widgets.viewer.helper_layers import layers_to_tidy

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.dock import Dock

_KEY = "Shift-K"  # the letters alone that napari leaves free belong to the errors
# As quiet as a link, but underneath the pointer and with the focus of the keyboard.
_LOOKS = """
QPushButton { background: transparent; padding: 2px 6px; }
QPushButton:hover, QPushButton:focus { background: rgba(128, 128, 128, 80); }
"""
_MOST_NAMES = 12  # in a question


class Footer(QWidget):
    """Two small buttons, which stay at the lower edge of a dock while it scrolls.

    Parameters
    ----------
    dock : Dock
        Its viewer and its message line.
    """

    def __init__(self, dock: Dock) -> None:
        super().__init__(dock)
        self._dock = dock
        self.tidy_button, self.keys_button = QPushButton(), QPushButton()
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 2, 8, 2)
        row.addStretch(1)
        for button, words, tooltip in (
            (self.tidy_button, "Tidy layers", "Remove the hidden layers that were made for volumes no longer in view."),
            (self.keys_button, "Keys", f"List the keys of the docks and of napari. Key: {_KEY}"),
        ):
            button.setText(words)
            button.setStyleSheet(_LOOKS)
            button.setToolTip(tooltip)
            row.addWidget(button)
        self.tidy_button.clicked.connect(self.tidy)
        self.keys_button.clicked.connect(self.show_keys)
        bind_key(dock, _KEY, "List the keys", self.show_keys)

    def show_keys(self, *_: object) -> None:
        """Open the window with the keys."""
        KeysWindow(self._dock, self._dock.viewer).show()

    def tidy(self, *_: object) -> None:
        """Remove the hidden layers of ours that belong to nothing in view, after a question."""
        layers = layers_to_tidy(self._dock.viewer)
        if not layers:
            self._dock.message.show_message("There is nothing to tidy: no layers of earlier volumes are hidden.")
            return
        names = [layer.name for layer in layers[:_MOST_NAMES]] + ["…"] * (len(layers) > _MOST_NAMES)
        count = f"{len(layers)} hidden layer{'' if len(layers) == 1 else 's'}"
        question = f"Remove {count} of earlier volumes?\n\n" + "\n".join(names)
        if confirm(self, "Tidy layers?", question, by_default=True):
            for layer in layers:
                self._dock.viewer.layers.remove(layer)
            self._dock.message.show_message(f"Removed {count}.")
