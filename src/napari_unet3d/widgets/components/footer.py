"""The footer of every dock: tidying the list of layers, and the list of keys."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dialogs import confirm
from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.components.keys_window import KeysWindow
from napari_unet3d.widgets.viewer.helper_layers import layers_to_tidy

_KEY = "Shift-K"  # the letters alone that napari leaves free belong to the errors
# As quiet as a link, except below the pointer and with the focus of the keyboard.
_STYLE = """
QPushButton { background: transparent; padding: 2px 6px; }
QPushButton:hover, QPushButton:focus { background: rgba(128, 128, 128, 80); }
"""
_MOST_NAMES = 12  # in a question


class Footer(QWidget):
    """Two small buttons, which stay at the lower edge of a dock while it scrolls.

    Parameters
    ----------
    context : Context
        Viewer and message line of the dock.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self.tidy_button, self.keys_button = QPushButton(), QPushButton()
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 2, 8, 2)
        row.addStretch(1)
        for button, text, tooltip in (
            (self.tidy_button, "Tidy layers", "Remove the hidden layers of volumes that are no longer in view."),
            (self.keys_button, "Keys", f"List the keys of the docks and of napari. Key: {_KEY}"),
        ):
            button.setText(text)
            button.setStyleSheet(_STYLE)
            button.setToolTip(tooltip)
            row.addWidget(button)
        self.tidy_button.clicked.connect(self.tidy)
        self.keys_button.clicked.connect(self.show_keys)
        bind_key(context, _KEY, "List the keys", self.show_keys)

    def show_keys(self, *_: object) -> None:
        """Open the window with the keys."""
        KeysWindow(self, self._context.viewer).show()

    def tidy(self, *_: object) -> None:
        """Remove the hidden layers of the plugin that belong to nothing in view, after a question."""
        layers = layers_to_tidy(self._context.viewer)
        if not layers:
            self._context.message.show_message("There is nothing to tidy: no layers of earlier volumes are hidden.")
            return
        names = [layer.name for layer in layers[:_MOST_NAMES]] + ["…"] * (len(layers) > _MOST_NAMES)
        count = f"{len(layers)} hidden layer{'' if len(layers) == 1 else 's'}"
        question = f"Remove {count} of earlier volumes?\n\n" + "\n".join(names)
        if confirm(self, "Tidy layers?", question, by_default=True):
            for layer in layers:
                self._context.viewer.layers.remove(layer)
            self._context.message.show_message(f"Removed {count}.")
