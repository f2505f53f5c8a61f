"""What is under the mouse pointer: ground truth, prediction, probability and error."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtWidgets import QLabel

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import is_foreground
from napari_unet3d.inference.events import Prediction
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.widgets.components.containers import single_shot
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.inspect.volume_layers import InspectionLayers
from napari_unet3d.widgets.viewer.annotation_info import decode_annotation
from napari_unet3d.widgets.viewer.connections import call_when_destroyed, connect_while_alive
from napari_unet3d.widgets.viewer.layer_metadata import mask_layer_of
from napari_unet3d.widgets.viewer.navigation import Pointer, Position, voxel_under
from napari_unet3d.widgets.viewer.places import TimePoint, is_turned

_INTERVAL_MS = 33  # at most thirty times per second
_HINT = "Hover over a voxel to see ground truth, prediction and probability."


class CursorInfo(QLabel):
    """Three lines about the voxel under the mouse pointer; hidden while nothing is inspected.

    Napari's status bar, which it writes itself in a thread of its own, still shows the value of the active layer.

    Parameters
    ----------
    session : InspectionSession
        What is inspected.
    context : Context
        The viewer.
    layers : InspectionLayers
        The layers of what is inspected.
    """

    def __init__(self, session: InspectionSession, context: Context, layers: InspectionLayers) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setMinimumWidth(1)
        self.setMinimumHeight(3 * self.fontMetrics().lineSpacing() + 4)  # so that what is below it does not move
        self.setToolTip("What is under the mouse pointer. In 3D that is the first labelled voxel behind it.")
        self._session, self._viewer, self._layers = session, context.viewer, layers
        self._pointer: Pointer | None = None
        self._soon = single_shot(self, self._show_voxel, _INTERVAL_MS)
        self._listens = False
        session.events.errors.connect(self._on_errors)
        connect_while_alive(self, self._viewer.dims.events.current_step, self._on_step)
        call_when_destroyed(self, lambda: self._listen(False))
        self.hide()

    def _on_errors(self, _errors: object) -> None:
        self.setText(_HINT)
        self.show()
        self._listen(True)

    def _listen(self, wanted: bool) -> None:
        callbacks = self._viewer.mouse_move_callbacks
        if wanted and not self._listens:
            callbacks.append(self._on_move)
        elif self._listens and not wanted:
            callbacks.remove(self._on_move)
        self._listens = wanted

    def _on_move(self, _viewer: Any, event: Any) -> None:
        self._pointer = Pointer.of_event(event)
        if not self._soon.isActive():
            self._soon.start()

    def _on_step(self, _event: Any) -> None:
        """Forget the voxel of the slice before; napari tells no new one until the mouse is moved."""
        self._pointer = None
        self.setText(_HINT)

    def _show_voxel(self) -> None:
        comparison = self._session.comparison
        if comparison is None or self._pointer is None or not self.isVisible():
            return
        present = self._layers.present()
        order = [present[name] for name in ("difference", "prediction", "truth") if name in present]
        order = [layer for layer in order if layer is order[0] or not is_turned(layer, order[0])]
        order = [layer for layer in order if all(side == 1 for side in layer.data.shape[:-3])]  # no series
        voxel = voxel_under(self._pointer, order)
        self.setText(_HINT if voxel is None else self._describe(comparison, voxel))

    def _describe(self, comparison: Comparison, voxel: Position) -> str:
        """Describe ground truth, prediction and probability at a voxel (z, y, x), and the error there.

        Labels are read from the layers, so that what was painted counts at once.
        """
        prediction, errors, at = comparison.prediction, self._session.errors, self._layers.time_point
        labels = (
            f"Ground truth {_describe_truth(comparison, self._truth_layer(), voxel, at)} · "
            f"prediction {_describe_prediction(prediction, self._layers.prediction, voxel, at)}"
        )
        numbers = [f"probability {prediction.probability[voxel]:.2f}"] if comparison.has_probability else []
        if prediction.uncertainty is not None:
            numbers.append(f"uncertainty {prediction.uncertainty[voxel]:.2f}")
        if errors is not None and (number := int(errors.regions[voxel])):
            kind = next(error.kind for error in errors if error.number == number)
            numbers.append(f"{kind.label} (error {number})")
        z, y, x = voxel
        position = f"Voxel z {z}, y {y}, x {x}"
        return "\n".join([labels, _sentence(numbers), position] if numbers else [labels, position])

    def _truth_layer(self) -> Labels | None:
        """Return the layer of the ground truth, unless its voxels have other indices than those of the prediction."""
        truth, prediction = self._layers.truth, self._layers.prediction
        return None if truth is None or (prediction is not None and is_turned(truth, prediction)) else truth


def _describe_truth(comparison: Comparison, layer: Labels | None, voxel: Position, at: TimePoint | None) -> str:
    truth, prediction = comparison.truth, comparison.prediction
    if layer is not None:
        mask = mask_layer_of(layer)
        if mask is not None and not _value_in(mask, voxel, at):
            return "not annotated"
        ignore_label = prediction.plan.ignore_label if prediction.plan is not None else None
        value = _value_in(layer, voxel, at)
        if (annotation := decode_annotation(layer, np.array([value]))) is not None:
            assert annotation.label_mask is not None
            return _meaning(int(annotation.labels[0]), prediction) if annotation.label_mask[0] else "not annotated"
        if value == ignore_label:
            return "not annotated"
        return _meaning(value if is_foreground(value, ignore_label) else 0, prediction)
    if truth is None:
        return "unknown"
    if truth.label_mask is not None and not truth.label_mask[voxel]:
        return "not annotated"
    return _meaning(int(truth.labels[voxel]), prediction)


def _describe_prediction(prediction: Prediction, layer: Labels | None, voxel: Position, at: TimePoint | None) -> str:
    return _meaning(int(prediction.labels[voxel]) if layer is None else _value_in(layer, voxel, at), prediction)


def _value_in(layer: Labels, voxel: Position, at: TimePoint | None) -> int:
    """Return the value at a voxel; of a series that of the time point that is inspected."""
    leading = [0 if at is None or side == 1 else at.time for side in layer.data.shape[: -len(voxel)]]
    return int(layer.data[(*leading, *voxel)])


def _meaning(value: int, prediction: Prediction) -> str:
    if value == 0:
        return "background"
    if prediction.task is Task.INSTANCE:
        return f"object {value}"
    if prediction.task is Task.BINARY:
        return "foreground"
    classes = prediction.plan.classes if prediction.plan is not None else ()
    return next((each.name for each in classes if each.value == value), f"class {value}")


def _sentence(parts: list[str]) -> str:
    text = " · ".join(parts)
    return text[:1].upper() + text[1:]
