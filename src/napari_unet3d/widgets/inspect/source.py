"""What is to be inspected: layers of the viewer, or volumes of a dataset."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from magicgui.widgets import CheckBox
from napari.layers import Image, Labels

from napari_unet3d.configs import Task
from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.time_points import time_point_name
from napari_unet3d.errors import UserError
from napari_unet3d.session.inspection_input import InspectionInput, plan_for
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.components.containers import Panel, column
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.components.voxel_size_row import VoxelSizeRow
from napari_unet3d.widgets.forms.channel_list import ChannelList
from napari_unet3d.widgets.forms.choices import EnumMenu, RadioChoice, optional_int, remembered
from napari_unet3d.widgets.forms.convert_row import ConvertRow
from napari_unet3d.widgets.forms.layer_menu import layer_menu
from napari_unet3d.widgets.inspect.dataset_volumes import DatasetSource
from napari_unet3d.widgets.inspect.layer_input import LayerInput
from napari_unet3d.widgets.inspect.volume_layers import VolumeLayers
from napari_unet3d.widgets.viewer.channel_layers import volume_of
from napari_unet3d.widgets.viewer.layer_metadata import PREDICTION, companion_of, is_prediction, origin_of
from napari_unet3d.widgets.viewer.places import TimePoint, time_shown
from napari_unet3d.widgets.viewer.time_layers import time_axis


class LayerSource(Panel):
    """The choice of layers: a prediction, its ground truth, and what else belongs to it, which is found automatically.

    Parameters
    ----------
    context : Context
        The viewer.

    Attributes
    ----------
    prediction_layer, truth_layer, image_layer, probability_layer : ComboBox
        The layers; None where there is none.
    channels : ChannelList
        The layers of further channels of the image.
    convert_prediction, convert_truth : ConvertRow
        Make labels of an Image layer that holds some: first the prediction, then its ground truth.
    task : EnumMenu
        What the labels are, such as ``"binary"``.
    ignore_label : WordOrNumbers
        The label value of voxels that are not annotated, or None.
    score_all : CheckBox
        Whether all time points of a series are scored; hidden for a single volume.
    """

    def __init__(self, context: Context) -> None:
        self._viewer = viewer = context.viewer
        self.prediction_layer = layer_menu(viewer, Labels | None, "The predicted labels.", label="Prediction")
        self.truth_layer = layer_menu(
            viewer, Labels | None, "The ground truth labels of the same volume.", label="Ground truth"
        )
        self.image_layer = layer_menu(viewer, Image | None, "The image, to look at beside the errors.", label="Image")
        self.probability_layer = layer_menu(
            viewer,
            Image | None,
            "The probability of foreground, from 0 to 1, to show under the mouse pointer.",
            label="Probability",
        )
        self.task = EnumMenu(
            annotation=Task,
            label="Labels are",
            tooltip="What the labels are: one foreground, classes by value, or single objects by id.",
        )
        self.ignore_label = optional_int(-32_768, 65_535)
        self.ignore_label.label = "Ignore label"
        self.ignore_label.tooltip = "Label value of voxels that are not annotated; they are not scored."
        self.channels = ChannelList(viewer, self.image_layer)
        self.score_all = remembered(
            CheckBox(
                value=True,
                text="Score all time points",
                tooltip="<qt>Also compare the other time points with their ground truth. Click a row of the scores to "
                "inspect that time point; otherwise move the slider of the viewer and press Inspect.</qt>",
            ),
            "inspect-all-time-points",
        )
        images = self.image_layer, self.channels
        menus = self.prediction_layer, self.truth_layer, *images, self.probability_layer
        self.convert_prediction = ConvertRow(context, self.prediction_layer)
        self.convert_truth = ConvertRow(context, self.truth_layer, self.prediction_layer, needs_beside=True)
        rows = column(*menus, self.task, self.ignore_label, labels=True, spacing=4)
        self.voxel_size = VoxelSizeRow(context, self.prediction_layer)
        super().__init__(rows, self.convert_prediction, self.convert_truth, self.score_all, self.voxel_size)
        self.margins = (0, 2, 0, 2)
        self.prediction_layer.changed.connect(self.find_partners)
        self.prediction_layer.changed.connect(self._show_score_all)
        self._show_score_all()

    def find_prediction(self) -> None:
        """Choose a prediction when none is chosen, and what belongs to it: the selected one, or the newest."""
        if self.prediction_layer.value is not None:
            return
        known = [layer for layer in self.prediction_layer.choices if layer is not None]
        ours = [layer for layer in known if origin_of(layer) is not None and is_prediction(layer)]
        named = [layer for layer in known if is_prediction(layer)]
        selected = [layer for layer in {*ours, *named} if layer in self._viewer.layers.selection]
        if candidates := selected or ours or named:
            self.prediction_layer.value = candidates[-1]

    def choose(self, prediction: Labels, subject: HandOver | None = None) -> None:
        """Choose a prediction and what belongs to it; what was chosen for another one before is cleared.

        Parameters
        ----------
        prediction : Labels
            The layer.
        subject : HandOver, optional
            The layers that belong to it. Without an image or a probability, these are found; without ground truth there
            is none in the viewer.
        """
        for menu in (self.truth_layer, self.image_layer, self.probability_layer):
            menu.value = None
        self.prediction_layer.value = prediction
        self.find_partners()
        if subject is None:
            return
        self.truth_layer.value = subject.truth if subject.truth in self.truth_layer.choices else None
        for menu, layer in ((self.image_layer, subject.image), (self.probability_layer, subject.probability)):
            if layer is not None and layer in menu.choices:
                menu.value = layer

    def _show_score_all(self, *_: Any) -> None:
        self.score_all.visible = self.time_point is not None

    def find_partners(self) -> None:
        """Choose the layers that belong to the chosen prediction, as far as they exist."""
        layer = self.prediction_layer.value
        if layer is None:
            return
        name, plan = self.origin.name, self.origin.plan
        for menu, role, wanted in (
            (self.truth_layer, "truth", f"{name} labels"),
            (self.image_layer, "image", name),
            (self.probability_layer, "probability", f"{name} probability"),
        ):
            choices = [each for each in menu.choices if each is not None]
            known = companion_of(layer, role)
            named = next((each for each in choices if wanted in (each.name, volume_of(each))), None)
            if (found := known if known in choices else named) is not None:
                menu.value = found
        if plan is None and origin_of(layer) is not None:
            plan = plan_for(Task.BINARY, None)  # of a model without a plan
        if plan is not None:
            self.task.value = plan.task
            self.ignore_label.value = plan.ignore_label

    @property
    def origin(self) -> VolumeOrigin:
        """Where the chosen prediction comes from."""
        layer = self.prediction_layer.value
        known = None if layer is None else origin_of(layer)
        return known or VolumeOrigin("" if layer is None else layer.name.removesuffix(PREDICTION))

    @property
    def time_point(self) -> TimePoint | None:
        """The time point of the chosen prediction that is shown; None if it has a single one."""
        layer = self.prediction_layer.value
        axis = time_axis(layer)
        return None if axis is None else TimePoint(layer, axis, time_shown(self._viewer, layer, axis))

    def volume_layers(self, *, known: bool = False) -> VolumeLayers:
        """Return the chosen layers; `read` checks them.

        Parameters
        ----------
        known : bool
            Whether labels mean what the layer of the prediction says, rather than what the menus say.
        """
        origin, prediction = self.origin_as_chosen(), self.prediction_layer.value
        origin = replace(origin, plan=self.origin.plan) if known else origin
        further, at = tuple(self.channels.layers[1:]), self.time_point
        layers = self.image_layer.value, self.truth_layer.value, prediction, further
        return VolumeLayers(origin, prediction if at is None else at, *layers)

    def layer_input(self) -> LayerInput:
        """Return the layers to compare.

        Raises
        ------
        UserError
            When one of them is missing, or both are the same.
        """
        prediction, truth = self.prediction_layer.value, self.truth_layer.value
        if prediction is None:
            raise UserError("No prediction is chosen; predict a volume, or choose the layer of predicted labels.")
        if truth is None:
            raise UserError("No ground truth is chosen; choose the layer with the ground truth labels.")
        if prediction is truth:
            raise UserError(
                f"The layer '{truth.name}' is chosen as prediction and as ground truth; choose two different layers."
            )
        origin = replace(self.origin_as_chosen(), name=self.origin.name)
        images = tuple(self.channels.layers)
        return LayerInput(prediction, truth, self.probability_layer.value, origin, self.time_point, images)

    def read(self) -> InspectionInput:
        """Read the layers; raises as `layer_input` and `LayerInput.read`."""
        return self.layer_input().read()

    def origin_as_chosen(self) -> VolumeOrigin:
        """Return where the chosen prediction comes from, with the meaning of its labels as chosen in the menus.

        Of a series, it is that of the time point that is shown.
        """
        origin, task, ignore_label = self.origin, self.task.value, self.ignore_label.value
        plan = origin.plan
        if plan is None or (plan.task, plan.ignore_label) != (task, ignore_label):
            plan = plan_for(task, ignore_label)
        at = self.time_point
        name = origin.name if at is None else time_point_name(origin.name, at.time)
        return replace(origin, plan=plan, name=name)


class SourceKind(ChoiceEnum):
    """What is inspected."""

    LAYERS = "layers"
    DATASET = "dataset"


_TOOLTIPS = {
    SourceKind.LAYERS: "Compare two layers that are in the viewer: a prediction and its ground truth.",
    SourceKind.DATASET: "Predict volumes of a dataset with a model and compare them with their labels.",
}


class InspectSource(Panel):
    """Choice between layers and the volumes of a dataset.

    Parameters
    ----------
    context : Context
        The viewer.

    Attributes
    ----------
    kind : RadioChoice
        ``"layers"`` or ``"dataset"``.
    layers : LayerSource
        The choice of layers.
    volumes : DatasetSource
        The choice of model and volumes.
    """

    def __init__(self, context: Context) -> None:
        self.kind = RadioChoice(_TOOLTIPS, "inspect-source")
        self.layers, self.volumes = LayerSource(context), DatasetSource()
        super().__init__(self.kind, self.layers, self.volumes, spacing=4)
        self.kind.changed.connect(self._show_chosen)
        self._show_chosen()

    def choose(self, kind: SourceKind) -> None:
        """Choose one of them, without remembering it."""
        self.kind.prefer(kind)
        self._show_chosen()

    def choose_prediction(self, prediction: Labels, subject: HandOver) -> None:
        """Choose a layer with the layers that belong to it, and its model and dataset should volumes be chosen next."""
        self.choose(SourceKind.LAYERS)
        self.layers.choose(prediction, subject)
        origin = self.layers.origin
        self.volumes.offer(subject.run or origin.run, subject.dataset or origin.dataset, origin.subset)

    def _show_chosen(self) -> None:
        self.layers.visible = self.kind.value is SourceKind.LAYERS
        self.volumes.visible = self.kind.value is SourceKind.DATASET
