"""What the Inspect dock has in view, and the work behind it, in its job's thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import decode_labels
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.sample import VoxelSize
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.errors.types import ErrorSet, SearchProgress
from napari_unet3d.inference.events import Prediction
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.session.comparison import Comparison, compare
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.viewer.layer_metadata import mark_origin
from napari_unet3d.widgets.viewer.layers import Reference, show_difference, show_on_top


@dataclass(frozen=True, slots=True, eq=False)
class VolumeLayers:
    """The layers that show a prediction and what belongs to it.

    Attributes
    ----------
    origin : Origin
        Name of the volume and, as far as they are known, run folder, dataset and part.
    place : Layer or tuple of float
        Where layers that belong to it lie.
    image, truth, prediction : layer or None
        The napari layers; None where there is none. They may have been removed from the viewer since.
    """

    origin: VolumeOrigin
    place: Reference
    image: Image | None
    truth: Labels | None
    prediction: Labels | None


@dataclass(frozen=True, slots=True, eq=False)
class Inspection(VolumeLayers):
    """A prediction that is looked through: what shows it, and its errors.

    Attributes
    ----------
    outcome : Outcome
        Prediction, truth, difference and scores. Where nobody knows the probability (`has_probability` is False),
        that of the prediction is NaN everywhere.
    errors : ErrorSet
        Its errors.
    difference : Labels
        The layer that shows where it is wrong; it may have been removed from the viewer since.
    """

    comparison: Comparison
    errors: ErrorSet
    difference: Labels

    @classmethod
    def of(cls, shown: VolumeLayers, place: Reference, found: InspectionResult, difference: Labels) -> Inspection:
        """Put the layers, and where they lie now, together with what was found."""
        return cls(
            shown.origin,
            place,
            shown.image,
            shown.truth,
            shown.prediction,
            comparison=found.comparison,
            errors=found.errors,
            difference=difference,
        )

    @property
    def name(self) -> str:
        """Name of the volume."""
        return self.origin.name

    @property
    def run(self) -> Path | None:
        """The run folder or model file that predicted it, if that is known."""
        return self.origin.run

    @property
    def dataset(self) -> Path | None:
        """The dataset folder that the volume is from, if that is known."""
        return self.origin.dataset

    @property
    def subset(self) -> Subset | None:
        """The part of the dataset that it is from, if that is known."""
        return self.origin.subset

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The napari layers that there are."""
        layers = (self.difference, self.prediction, self.truth, self.image)
        return tuple(layer for layer in layers if layer is not None)

    @property
    def value_names(self) -> dict[int, str] | None:
        """What values of labels are called, where they are called anything; None when foreground is all there is."""
        prediction = self.comparison.prediction
        if prediction.task is Task.BINARY:
            return None
        return {} if prediction.plan is None else {each.value: each.name for each in prediction.plan.classes}

    @property
    def has_probability(self) -> bool:
        """Whether the probability is known."""
        probability = self.comparison.prediction.probability
        return bool(probability.size) and not np.isnan(probability.flat[0])


@dataclass(frozen=True, slots=True, eq=False)
class InspectionInput:
    """Arrays of layers that shall be compared.

    Attributes
    ----------
    origin : Origin
        Name of the volume, and what its labels mean.
    prediction, truth : ndarray of integers, shape (z, y, x)
        Labels as they are in the viewer.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    probability : ndarray of real numbers, shape (z, y, x), or None
        Probability of foreground, if it is known.
    annotated : ndarray of bool, shape (z, y, x), or None
        Where the truth holds, if a mask says so.
    """

    origin: VolumeOrigin
    prediction: NDArray[Any]
    truth: NDArray[Any]
    voxel_size_um: VoxelSize
    probability: NDArray[Any] | None = None
    annotated: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.prediction.shape != self.truth.shape:
            raise UserError(
                f"The prediction has {_shape_words(self.prediction)} voxels, the truth {_shape_words(self.truth)}; "
                "choose two layers of the same volume."
            )


@dataclass(frozen=True, slots=True, eq=False)
class InspectionResult:
    """A prediction was compared and its errors were found.

    Attributes
    ----------
    outcome : Outcome
        The prediction and how it compares.
    errors : ErrorSet
        Its errors.
    difference : ndarray of uint8, shape (z, y, x)
        That of the outcome, without the boundary noise that the tolerance hides.
    """

    comparison: Comparison
    errors: ErrorSet
    difference: NDArray[np.uint8]


def plan_for(task: Task, ignore_label: int | None, classes: tuple[LabelClass, ...] = ()) -> Plan:
    """Say what labels mean that no model was made for."""
    return Plan(task=task, ignore_label=ignore_label, strides=(), classes=classes)


def inspect_input(subject: InspectionInput, tolerance_um: float) -> Iterator[SearchProgress | InspectionResult]:
    """Compare labels of two layers and find the errors.

    Yields
    ------
    SearchProgress
        Some more of the wrong voxels were looked at.
    Inspected
        The result; always the last event. Of its scores only those that are ready at once are there.
    """
    plan = subject.origin.plan
    task, ignore_label = (Task.BINARY, None) if plan is None else (plan.task, plan.ignore_label)
    labels = np.maximum(subject.prediction, 0) if subject.prediction.dtype.kind == "i" else subject.prediction
    labels = labels.astype(np.min_scalar_type(int(labels.max(initial=0))), copy=False)
    probability = subject.probability
    if probability is None:
        probability = np.broadcast_to(np.float32(np.nan), labels.shape)  # takes no memory
    prediction = Prediction(subject.origin.name, labels, probability, subject.voxel_size_um, plan)
    outcome = compare(prediction, decode_labels(subject.truth, task, ignore_label, subject.annotated), fast=True)
    yield from inspect_comparison(outcome, tolerance_um)


def inspect_comparison(outcome: Comparison, tolerance_um: float) -> Iterator[SearchProgress | InspectionResult]:
    """Find the errors of a prediction that was compared; the events are those of `inspect_input`."""
    from napari_unet3d.evaluation.errors.find import find_errors  # its trees take their time to be imported

    assert outcome.truth is not None
    assert outcome.difference is not None
    prediction = outcome.prediction
    for event in find_errors(prediction.labels, outcome.truth, prediction.task, prediction.voxel_size_um, tolerance_um):
        if isinstance(event, ErrorSet):
            yield InspectionResult(outcome, event, outcome.difference * (event.regions > 0))
        else:
            yield event


def show_difference_of(
    viewer: Any, event: InspectionResult, shown: VolumeLayers, place: Reference, *, is_new: bool
) -> Labels:
    """Show where a prediction is wrong.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it.
    event : Inspected
        What was found.
    shown : Shown
        The layers that were compared.
    place : Layer or tuple of float
        Where it lies.
    is_new : bool
        Whether it is to be seen instead of prediction and truth, which would cover it; else what is in view stays.
    """
    difference = show_difference(viewer, f"{shown.origin.name} difference", event.difference, place)
    mark_origin([difference], shown.origin)
    if is_new:
        hidden = [each for each in (shown.prediction, shown.truth) if each is not None]
        show_on_top(viewer, difference, instead_of=hidden)
    return difference


def _shape_words(labels: NDArray[Any]) -> str:
    return " × ".join(map(str, labels.shape))
