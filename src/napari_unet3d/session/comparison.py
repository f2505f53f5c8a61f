"""A prediction next to the truth: what the Predict dock shows, and how it follows other settings without the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import EvaluationConfig, PostProcessing
from napari_unet3d.data.ground_truth import GroundTruth, decode_labels
from napari_unet3d.evaluation.metrics.differences import difference_labels
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.inference.events import Prediction, VolumeEvaluated

DEFAULT_TOLERANCE_UM = EvaluationConfig().tolerance_um


@dataclass(frozen=True, slots=True)
class Comparison:
    """A prediction and, when the truth is known, how it compares.

    Attributes
    ----------
    prediction : Prediction
        Labels and probability.
    truth : Truth or None
        What the labels should be.
    difference : ndarray of uint8, shape (z, y, x), or None
        1 where the prediction is extra, 2 where it missed something, 3 where it is of another class.
    scores : Scores or None
        Agreement with the truth.
    tolerance_um : float
        Distance in µm within which two surfaces count as the same.
    """

    prediction: Prediction
    truth: GroundTruth | None = None
    difference: NDArray[np.uint8] | None = None
    scores: Scores | None = None
    tolerance_um: float = DEFAULT_TOLERANCE_UM

    @property
    def is_measured(self) -> bool:
        """Whether the scores that take long are there too, or there is no truth to measure against."""
        return self.scores is None or self.scores.nsd is not None

    @property
    def nbytes(self) -> int:
        """Memory of its arrays in bytes."""
        answer, truth = self.prediction, self.truth
        arrays: list[NDArray[Any] | None]
        arrays = [answer.labels, answer.probability, answer.maps, answer.uncertainty, self.difference]
        arrays += [] if truth is None else [truth.labels, truth.label_mask]
        return sum(array.nbytes for array in arrays if array is not None)


def decode(
    labels: NDArray[Any] | None, prediction: Prediction, annotated: NDArray[np.bool_] | None = None
) -> GroundTruth | None:
    """Read labels, if there are any, with the meaning that they had for the model of a prediction."""
    if labels is None:
        return None
    ignore_label = prediction.plan.ignore_label if prediction.plan else None
    return decode_labels(labels, prediction.task, ignore_label, annotated, name=prediction.name)


def compare(
    prediction: Prediction,
    truth: GroundTruth | None,
    tolerance_um: float = DEFAULT_TOLERANCE_UM,
    *,
    fast: bool = False,
) -> Comparison:
    """Compare a prediction with the truth, if there is one; `fast` leaves out the scores that take long."""
    if truth is None:
        return Comparison(prediction)
    task, classes = prediction.task, prediction.plan.classes if prediction.plan else ()
    rules = MetricOptions(task, {each.value: each.name for each in classes}, tolerance_um, fast)
    difference = difference_labels(prediction.labels, truth, task)
    scores = score(prediction.labels, truth, prediction.name, prediction.voxel_size_um, rules)
    return Comparison(prediction, truth, difference, scores, tolerance_um)


def from_evaluation(event: VolumeEvaluated, tolerance_um: float) -> Comparison:
    """Return the outcome of a volume of a test set, whose scores are there already."""
    prediction, truth = event.prediction, event.truth
    difference = difference_labels(prediction.labels, truth, prediction.task)
    return Comparison(prediction, truth, difference, event.scores, tolerance_um)


def repostprocess(outcome: Comparison, settings: PostProcessing) -> Iterator[Comparison]:
    """Make labels again from what the network answered, with other settings; the only event is the new outcome.

    Of the scores only those that are ready at once are there, see `measure`; it is the same outcome when no label
    changes.
    """
    from napari_unet3d.inference.postprocess import (
        postprocess,  # scikit-image takes its time, so not in the viewer's thread
    )

    old = outcome.prediction
    labels = postprocess(old.probability, old.maps, old.voxel_size_um, old.plan, settings)
    if np.array_equal(labels, old.labels):
        yield outcome
    else:
        yield compare(replace(old, labels=labels), outcome.truth, outcome.tolerance_um, fast=True)


def add_slow_metrics(outcome: Comparison) -> Iterator[Comparison]:
    """Return the outcome with all of its scores."""
    yield compare(outcome.prediction, outcome.truth, outcome.tolerance_um)
