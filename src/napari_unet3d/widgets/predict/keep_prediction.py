"""The button that keeps a prediction beside those that come after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from qtpy.QtWidgets import QPushButton

from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.viewer.layer_metadata import copy_origin, mark_origin
from napari_unet3d.widgets.viewer.layers import find_layer, show_labels
from napari_unet3d.widgets.viewer.view_state import select

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.qt_dock import QtDock as Dock
    from napari_unet3d.widgets.predict.live_prediction import LivePrediction

_GENERAL_NAMES = ("model", "last", "best")  # of files, which say less than the name of their run folder


class KeepPrediction(QPushButton):
    """Copies the predicted labels in view to a layer ``NAME – MODEL``, which no later prediction changes.

    Parameters
    ----------
    dock : Dock
        Its viewer and message line.
    live : LivePrediction
        The prediction in view.
    model : callable
        Gives the model or run folder that it was predicted with, or None.
    """

    def __init__(self, dock: Dock, live: LivePrediction, model: Callable[[], Path | None]) -> None:
        super().__init__("Keep this prediction")
        self.setToolTip(
            "<qt>Keep a copy of the predicted labels as a layer of its own, named after the model. Then predict with "
            "another model, and compare the two in the dock Inspect.</qt>"
        )
        self._dock, self._live, self._model = dock, live, model
        self.clicked.connect(self._keep)
        live.changed.connect(self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Be there when there is a prediction to keep."""
        self.setVisible(self._live.shown is not None)

    def _keep(self, *_: object) -> None:
        if self._live.shown is None:
            return
        viewer, prediction = self._dock.viewer, self._live.shown.comparison.prediction
        shown: Labels | None = find_layer(viewer, f"{prediction.name} prediction", Labels)
        if shown is None:  # the user took it away
            self._dock.message.show_message(
                f"The layer '{prediction.name} prediction' is not there any more; predict again.", "error"
            )
            return
        model, selected = self._model(), set(viewer.layers.selection)
        name = _free_name(f"{prediction.name} – {_model_name(model)}", {layer.name for layer in viewer.layers})
        kept = show_labels(viewer, name, np.array(shown.data), shown, opacity=shown.opacity, visible=False)
        kept.features = shown.features
        mark_origin([kept], VolumeOrigin(prediction.name, prediction.plan, model))  # unless the layer knows more
        copy_origin(shown, kept)
        select(viewer, selected)
        self._dock.message.show_message(f"The prediction is kept as '{name}'; compare it with another in Inspect.")


def _model_name(model: Path | None) -> str:
    if model is None:
        return "kept"
    return model.parent.name if model.is_file() and model.stem in _GENERAL_NAMES else model.stem


def _free_name(name: str, taken: set[str]) -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free
