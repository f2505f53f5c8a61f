"""What is under the pointer: truth, prediction, probability and error, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import is_foreground
from napari_unet3d.widgets.viewer.cursor import Pointer, voxel_under
from napari_unet3d.widgets.viewer.mask_layer import mask_layer_of

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_unet3d.inference.events import Prediction
    from napari_unet3d.widgets.inspect.dock import InspectDock
    from napari_unet3d.widgets.inspect.inspection import Inspection
    from napari_unet3d.widgets.viewer.navigation import Position

_INTERVAL_MS = 33  # at most thirty times per second
_NOTHING = "Point at the volume: truth, prediction and probability are told here."


class CursorInfo(QLabel):
    """Three lines about the voxel under the pointer; hidden while nothing is inspected.

    Napari's status bar, which it writes itself in a thread of its own, goes on telling the value of the active layer.

    Parameters
    ----------
    dock : InspectDock
        Whose inspection is in view.
    """

    def __init__(self, dock: InspectDock) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setMinimumWidth(1)
        self.setMinimumHeight(3 * self.fontMetrics().lineSpacing() + 4)  # other lines shall not move what is below
        self.setToolTip("What is under the pointer. In 3D that is the first labelled voxel behind it.")
        self._dock = dock
        self._pointer: Pointer | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_INTERVAL_MS)
        self._soon.timeout.connect(self._tell)
        self._listens = False
        dock.inspection_changed.connect(self._take_inspection)
        dock.destroyed.connect(lambda: self._listen(False))
        self._take_inspection()

    def _take_inspection(self, *_: object) -> None:
        self.setText(_NOTHING)
        self.setVisible(self._dock.inspection is not None)
        self._listen(self._dock.inspection is not None)

    def _listen(self, wanted: bool) -> None:
        callbacks = self._dock.viewer.mouse_move_callbacks
        if wanted and not self._listens:
            callbacks.append(self._on_move)
        elif self._listens and not wanted:
            callbacks.remove(self._on_move)
        self._listens = wanted

    def _on_move(self, _viewer: Any, event: Any) -> None:
        self._pointer = Pointer.of_event(event)
        if not self._soon.isActive():
            self._soon.start()

    def _tell(self) -> None:
        seen = self._dock.inspection
        if seen is None or self._pointer is None or not self.isVisible():
            return
        layers = [seen.difference, seen.prediction, seen.truth]
        there = [layer for layer in layers if layer is not None and layer in self._dock.viewer.layers]
        voxel = voxel_under(self._pointer, there)
        self.setText(_NOTHING if voxel is None else describe(seen, voxel))


def describe(seen: Inspection, voxel: Position) -> str:
    """Say what truth and prediction have at a voxel, how probable it is, and whether that is an error.

    Labels are read from the layers, so that what was painted is told at once.

    Parameters
    ----------
    seen : Inspection
        What is in view.
    voxel : tuple of int
        The voxel (z, y, x).
    """
    prediction = seen.comparison.prediction
    labels = f"Truth {_truth_words(seen, voxel)} · prediction {_prediction_words(seen, voxel)}"
    numbers = [f"probability {prediction.probability[voxel]:.2f}"] if seen.has_probability else []
    if prediction.uncertainty is not None:
        numbers.append(f"uncertainty {prediction.uncertainty[voxel]:.2f}")
    number = int(seen.errors.regions[voxel])
    if number:
        kind = next(error.kind for error in seen.errors.errors if error.number == number)
        numbers.append(f"{kind.label} (error {number})")
    z, y, x = voxel
    place = f"Voxel z {z}, y {y}, x {x}"
    return "\n".join([labels, _sentence(numbers), place] if numbers else [labels, place])


def _truth_words(seen: Inspection, voxel: Position) -> str:
    truth, prediction = seen.comparison.truth, seen.comparison.prediction
    if seen.truth is not None:
        mask = mask_layer_of(seen.truth)
        if mask is not None and not _value_in(mask, voxel):
            return "not annotated"
        ignore_label = prediction.plan.ignore_label if prediction.plan is not None else None
        value = _value_in(seen.truth, voxel)
        if value == ignore_label:
            return "not annotated"
        return _meaning(value if is_foreground(value, ignore_label) else 0, prediction)
    if truth is None:
        return "unknown"
    if truth.label_mask is not None and not truth.label_mask[voxel]:
        return "not annotated"
    return _meaning(int(truth.labels[voxel]), prediction)


def _prediction_words(seen: Inspection, voxel: Position) -> str:
    prediction = seen.comparison.prediction
    value = int(prediction.labels[voxel]) if seen.prediction is None else _value_in(seen.prediction, voxel)
    return _meaning(value, prediction)


def _value_in(layer: Labels, voxel: Position) -> int:
    return int(layer.data[voxel])


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
    words = " · ".join(parts)
    return words[:1].upper() + words[1:]
