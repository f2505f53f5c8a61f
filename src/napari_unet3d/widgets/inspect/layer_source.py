"""The layers of the viewer that are to be inspected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_unet3d.configs import Task
from napari_unet3d.errors import UserError
from napari_unet3d.session.comparison import InspectionInput, plan_for
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.layer_menu import layer_menu
from napari_unet3d.widgets.components.run_bar import compact_form_layout
from napari_unet3d.widgets.forms.choices import optional_int
from napari_unet3d.widgets.inspect.volume_layers import VolumeLayers
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.layer_metadata import companion_of, origin_of
from napari_unet3d.widgets.viewer.mask_layer import mask_of

_PREDICTION = " prediction"


class LayerSource(QWidget):
    """The choice of layers: a prediction, its ground truth, and what else belongs to it, which is found automatically.

    Parameters
    ----------
    context : Context
        The viewer.

    Attributes
    ----------
    menus : tuple of ComboBox
        The menus of layers, which the dock keeps up to date.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        viewer = context.viewer
        self.prediction = layer_menu(viewer, Labels | None, "The predicted labels.")
        self.truth = layer_menu(viewer, Labels | None, "The ground truth labels of the same volume.")
        self.image = layer_menu(viewer, Image | None, "The image, to look at beside the errors.")
        self.probability = layer_menu(
            viewer, Image | None, "The probability of foreground, from 0 to 1, to show under the mouse pointer."
        )
        self.menus = (self.prediction, self.truth, self.image, self.probability)
        self.task = QComboBox()
        self.task.setToolTip("What the labels are: one foreground, classes by value, or single objects by id.")
        for task in Task:
            self.task.addItem(task.label, task)
        self.ignore_label = optional_int(-32_768, 65_535)
        self.ignore_label.native.setToolTip("Label value of voxels that are not annotated; they are not scored.")
        rows = compact_form_layout()
        for label, widget in (
            ("Prediction", self.prediction.native),
            ("Ground truth", self.truth.native),
            ("Image", self.image.native),
            ("Probability", self.probability.native),
            ("Labels are", self.task),
            ("Ignore label", self.ignore_label.native),
        ):
            rows.addRow(label, widget)
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
        """Choose a prediction and what belongs to it; what was chosen for another one before is cleared."""
        for menu in (self.truth, self.image, self.probability):
            menu.value = None
        self.prediction.value = prediction
        self.find_partners()

    def find_partners(self, *_: Any) -> None:
        """Choose the layers that belong to the chosen prediction, as far as they exist."""
        layer = self.prediction.value
        if layer is None:
            return
        name, plan = self.origin.name, self.origin.plan
        for menu, role, wanted in (
            (self.truth, "truth", f"{name} labels"),
            (self.image, "image", name),
            (self.probability, "probability", f"{name} probability"),
        ):
            choices = [each for each in menu.choices if each is not None]
            known = companion_of(layer, role)
            named = next((each for each in choices if each.name == wanted), None)
            if (found := known if known in choices else named) is not None:
                menu.value = found
        if plan is None and origin_of(layer) is not None:
            plan = plan_for(Task.BINARY, None)  # of a model without a plan
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
        """Return the chosen layers; `read` checks them."""
        origin, prediction = self.origin_as_chosen(), self.prediction.value
        return VolumeLayers(origin, prediction, self.image.value, self.truth.value, prediction)

    def read(self) -> InspectionInput:
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
            raise UserError("No ground truth is chosen; choose the layer with the ground truth labels.")
        if prediction is truth:
            raise UserError(
                f"The layer '{truth.name}' is chosen as prediction and as ground truth; choose two different layers."
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
        """Return where the chosen prediction comes from, with the meaning of its labels as chosen in the menus."""
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
