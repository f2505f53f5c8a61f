"""The button that keeps a prediction beside those that come after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from magicgui.widgets import PushButton
from napari.layers import Labels

from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.predict.live_prediction import LivePrediction
from napari_unet3d.widgets.viewer.layer_metadata import copy_origin, mark_origin
from napari_unet3d.widgets.viewer.layers import find_layer, show_labels
from napari_unet3d.widgets.viewer.view_state import select

_GENERAL_NAMES = ("model", "last", "best")  # of files; the name of their run folder says more


class KeepPrediction(PushButton):
    """Copies the predicted labels in view to a layer ``NAME – MODEL``, which no later prediction changes.

    Parameters
    ----------
    live : LivePrediction
        The prediction in view.
    context : Context
        Viewer and message line.
    """

    def __init__(self, live: LivePrediction, context: Context) -> None:
        super().__init__(
            text="Keep this prediction",
            tooltip="<qt>Keep a copy of the predicted labels as a layer of its own, named after the model. Then "
            "predict with another model, and compare the two in the dock Inspect.</qt>",
        )
        self._live, self._context = live, context
        self.clicked.connect(self.keep)
        live.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the button while there is a prediction to keep."""
        self.visible = self._live.shown is not None

    def keep(self) -> None:
        """Copy the predicted labels in view to a layer of its own."""
        if self._live.shown is None:
            return
        viewer, name, origin = self._context.viewer, self._live.shown.name, self._live.shown.origin
        layer: Labels | None = find_layer(viewer, f"{name} prediction", Labels)
        if layer is None:  # the user has removed it
            self._context.message.show_error(f"The layer '{name} prediction' was removed; predict again.")
            return
        selected, names = set(viewer.layers.selection), {layer.name for layer in viewer.layers}
        new_name = _unique_name(f"{name} – {_model_name(origin.run)}", names)
        kept = show_labels(viewer, new_name, np.array(layer.data), layer, opacity=layer.opacity, visible=False)
        kept.features = layer.features
        mark_origin([kept], origin)  # unless the layer knows more
        copy_origin(layer, kept)
        select(viewer, selected)
        self._context.message.show_message(
            f"The prediction is kept as '{new_name}'; compare it with another in Inspect."
        )


def _model_name(model: Path | None) -> str:
    if model is None:
        return "kept"
    return model.parent.name if model.is_file() and model.stem in _GENERAL_NAMES else model.stem


def _unique_name(name: str, taken: set[str]) -> str:
    number, unique = 2, name
    while unique in taken:
        unique, number = f"{name} ({number})", number + 1
    return unique
