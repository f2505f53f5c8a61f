"""Labels that are compared, from layers or files: what is inspected, and labels as the prediction that they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.sample import format_shape
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import Prediction
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.session.origin import VolumeOrigin


@dataclass(frozen=True, slots=True, eq=False)
class InspectionInput:
    """Labels to compare, as they are painted in layers or read from files.

    Attributes
    ----------
    origin : VolumeOrigin
        Name of the volume, and what its labels mean.
    prediction, truth : ndarray of integers, shape (z, y, x)
        Labels.
    geometry : Geometry
        Voxel size, orientation and origin.
    probability : ndarray of real numbers, shape (z, y, x), or None
        Probability of foreground, if it is known.
    annotated : ndarray of bool, shape (z, y, x), or None
        Where the ground truth is annotated, if a mask says so.
    notices : tuple of str
        In what the place of the ground truth differs, for the user.
    image : ndarray of real numbers, shape (z, y, x) or (channel, z, y, x), or None
        The image, to find out whether the model has seen it; None if it is not known.

    Raises
    ------
    UserError
        When prediction and ground truth have different shapes.
    """

    origin: VolumeOrigin
    prediction: NDArray[Any]
    truth: NDArray[Any]
    geometry: Geometry
    probability: NDArray[Any] | None = None
    annotated: NDArray[np.bool_] | None = None
    notices: tuple[str, ...] = ()
    image: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        if self.prediction.shape != self.truth.shape:
            raise UserError(
                f"The prediction has {format_shape(self.prediction.shape)} voxels, "
                f"the ground truth {format_shape(self.truth.shape)}; choose two layers of the same volume."
            )


def plan_for(task: Task, ignore_label: int | None, classes: tuple[LabelClass, ...] = ()) -> Plan:
    """Return a plan that says what labels mean which no model has predicted."""
    return Plan(task=task, ignore_label=ignore_label, strides=(), classes=classes)


def labels_as_prediction(
    labels: NDArray[Any], origin: VolumeOrigin, geometry: Geometry, probability: NDArray[Any] | None = None
) -> Prediction:
    """Return labels, such as those of a layer, as the prediction that they are; negative values are background."""
    labels = np.maximum(labels, 0) if labels.dtype.kind == "i" else labels
    labels = labels.astype(np.min_scalar_type(int(labels.max(initial=0))), copy=False)
    if probability is None:
        probability = np.broadcast_to(np.float32(np.nan), labels.shape)  # takes no memory
    return Prediction(origin.name, labels, probability, geometry, origin.plan)
