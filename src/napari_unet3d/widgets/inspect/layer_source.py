"""What the Inspect dock looks at: layers of the viewer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_unet3d.configs import Task
from napari_unet3d.errors import UserError
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.forms.form import compact_form_layout
from napari_unet3d.widgets.forms.optional_int import OptionalIntEditor
from napari_unet3d.widgets.inspect.inspection import InspectionInput, VolumeLayers, plan_for
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.layer_metadata import companion_of, origin_of
from napari_unet3d.widgets.viewer.mask_layer import mask_of

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.dock import Dock

_PREDICTION = " prediction"


class LayerSource(QWidget):
    """The choice of layers: a prediction, the truth, and what else there is; what belongs together is found by itself.

    Parameters
    ----------
    dock : Dock
        Makes the menus of layers and keeps them fresh.
    """

    def __init__(self, dock: Dock) -> None:
        super().__init__()
        self._viewer = dock.viewer
        self.prediction = dock.layer_box(Labels | None, "The predicted labels.")
        self.truth = dock.layer_box(Labels | None, "The true labels, of the same volume.")
        self.image = dock.layer_box(Image | None, "The grey values, to look at beside the errors.")
        self.probability = dock.layer_box(
            Image | None, "The probability of foreground, from 0 to 1, to be told under the pointer."
        )
        self.task = QComboBox()
        self.task.setToolTip("What the labels are: one foreground, classes by their value, or single objects by ids.")
        for task in Task:
            self.task.addItem(task.label, task)
        self.ignore_label = OptionalIntEditor(-32_768, 65_535)
        self.ignore_label.native.setToolTip("Label value of voxels that are not annotated; they are not scored.")
        rows = compact_form_layout()
        for words, widget in (
            ("Prediction", self.prediction.native),
            ("Truth", self.truth.native),
            ("Image", self.image.native),
            ("Probability", self.probability.native),
            ("Labels are", self.task),
            ("Ignore label", self.ignore_label.native),
        ):
            rows.addRow(words, widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(rows)
        self.prediction.changed.connect(self.find_partners)

    def find_prediction(self) -> None:
        """Choose the newest layer of a prediction when none is chosen, and what belongs to it."""
        if self.prediction.value is not None:
            return
        known = [layer for layer in self.prediction.choices if layer is not None]
        ours = [layer for layer in known if origin_of(layer) is not None and layer.name.endswith(_PREDICTION)]
        named = [layer for layer in known if layer.name.endswith(_PREDICTION)]
        if candidates := ours or named:
            self.prediction.value = candidates[-1]

    def choose(self, prediction: Labels) -> None:
        """Choose a prediction and what belongs to it, and nothing that was chosen for another one before."""
        for box in (self.truth, self.image, self.probability):
            box.value = None
        self.prediction.value = prediction
        self.find_partners()

    def find_partners(self, *_: Any) -> None:
        """Choose the layers that belong to the chosen prediction, as far as there are any."""
        layer = self.prediction.value
        if layer is None:
            return
        name, plan = self.origin.name, self.origin.plan
        for box, role, wanted in (
            (self.truth, "truth", f"{name} labels"),
            (self.image, "image", name),
            (self.probability, "probability", f"{name} probability"),
        ):
            choices = [each for each in box.choices if each is not None]
            known = companion_of(layer, role)
            named = next((each for each in choices if each.name == wanted), None)
            if (found := known if known in choices else named) is not None:
                box.value = found
        if plan is None and origin_of(layer) is not None:
            plan = plan_for(Task.BINARY, None)  # of a model that says nothing else
        if plan is not None:
            self.task.setCurrentIndex(self.task.findData(plan.task))
            self.ignore_label.value = plan.ignore_label

    @property
    def origin(self) -> VolumeOrigin:
        """Where the chosen prediction comes from."""
        layer = self.prediction.value
        known = None if layer is None else origin_of(layer)
        return known or VolumeOrigin("" if layer is None else layer.name.removesuffix(_PREDICTION))

    def shown(self) -> VolumeLayers:
        """Return the chosen layers; `subject` says whether they can be used."""
        origin, prediction = self.origin_as_chosen(), self.prediction.value
        return VolumeLayers(origin, prediction, self.image.value, self.truth.value, prediction)

    def subject(self) -> InspectionInput:
        """Read the layers.

        Raises
        ------
        UserError
            When one of them is missing, both are the same, or they are of different volumes.
        """
        prediction, truth = self.prediction.value, self.truth.value
        if prediction is None:
            raise UserError("No prediction is chosen; predict a volume, or choose the layer of predicted labels.")
        if truth is None:
            raise UserError("No truth is chosen; choose the layer with the true labels.")
        if prediction is truth:
            raise UserError(
                f"The layer '{truth.name}' is chosen as prediction and as truth; choose two different layers."
            )
        sample, true = sample_from_layers(prediction), sample_from_layers(truth)
        return InspectionInput(
            origin=self.origin_as_chosen(),
            prediction=sample.image,
            truth=true.image,
            voxel_size_um=sample.voxel_size_um,
            probability=self._probability(sample.image.shape),
            annotated=mask_of(truth),
        )

    def origin_as_chosen(self) -> VolumeOrigin:
        """Return where the chosen prediction comes from, with what the menus say about its labels."""
        origin, task, ignore_label = self.origin, self.task.currentData(), self.ignore_label.value
        plan = origin.plan
        if plan is None or (plan.task, plan.ignore_label) != (task, ignore_label):
            plan = plan_for(task, ignore_label)
        return replace(origin, plan=plan)

    def _probability(self, shape: tuple[int, ...]) -> Any:
        layer = self.probability.value
        if layer is None or np.shape(layer.data) != shape or np.asarray(layer.data).dtype.kind != "f":
            return None
        return np.asarray(layer.data)
