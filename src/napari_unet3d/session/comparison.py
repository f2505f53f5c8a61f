"""A prediction beside its ground truth: where they differ, the scores, and the errors one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import PostProcessing, Task
from napari_unet3d.data.ground_truth import GroundTruth, decode_labels, encode_labels
from napari_unet3d.data.seen_content import SeenIn, seen_in
from napari_unet3d.evaluation.errors.types import ErrorSet, SearchProgress
from napari_unet3d.evaluation.metrics.differences import difference_labels
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.evaluation.tolerance import tolerance_for
from napari_unet3d.inference.events import Prediction, VolumeEvaluated
from napari_unet3d.session.inspection_input import InspectionInput, labels_as_prediction


class _Complete:
    """The comparison with all of its scores, once somebody has asked for it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.comparison: Comparison | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A prediction and, where ground truth is available, how the two compare.

    Attributes
    ----------
    prediction : Prediction
        Labels and probability.
    truth : GroundTruth or None
        What the labels should be.
    difference : ndarray of uint8, shape (z, y, x), or None
        1 where the prediction is extra, 2 where it missed something, 3 where it is of another class.
    scores : Scores or None
        Agreement with the ground truth.
    tolerance : float
        Distance within which two surfaces count as the same, and depth up to which errors are boundary noise, in the
        unit of the prediction's geometry.
    ignore_border : bool
        Whether objects that touch the border of the volume are left out of the scores of objects and of the errors.
    """

    prediction: Prediction
    truth: GroundTruth | None = None
    difference: NDArray[np.uint8] | None = None
    scores: Scores | None = None
    tolerance: float = 0.0
    ignore_border: bool = False
    _complete: _Complete = field(init=False, default_factory=_Complete, repr=False, compare=False)

    @property
    def is_measured(self) -> bool:
        """Whether the slow scores are there too, or there is no ground truth to measure against."""
        return self.scores is None or self.scores.nsd is not None

    def is_of_same_arrays(self, other: Comparison) -> bool:
        """Return whether another comparison has the same prediction and ground truth; scores may differ."""
        return self.prediction is other.prediction and self.truth is other.truth

    def has_scores_of(self, other: Comparison) -> bool:
        """Return whether all scores of another comparison of the same arrays are here, too."""
        same = self.tolerance == other.tolerance and self.ignore_border == other.ignore_border
        return same and (self.is_measured or not other.is_measured)

    @property
    def nbytes(self) -> int:
        """Memory of its arrays in bytes."""
        predicted, truth = self.prediction, self.truth
        arrays: list[NDArray[Any] | None]
        arrays = [predicted.labels, predicted.probability, predicted.maps, predicted.uncertainty, self.difference]
        arrays += [] if truth is None else [truth.labels, truth.label_mask]
        return sum(array.nbytes for array in arrays if array is not None)

    @property
    def has_probability(self) -> bool:
        """Whether the probability is known; else that of the prediction is NaN everywhere."""
        probability = self.prediction.probability
        return bool(probability.size) and not np.isnan(probability.flat[0])

    @property
    def class_names(self) -> dict[int, str] | None:
        """Names of label values, as far as they have any; None when foreground is all there is."""
        if self.prediction.task is Task.BINARY:
            return None
        return {} if self.prediction.plan is None else {each.value: each.name for each in self.prediction.plan.classes}

    def measured(self) -> Comparison:
        """Return the comparison with all of its scores.

        They are computed at the first call; another thread that calls meanwhile waits for the same result.
        """
        if self.is_measured or self.truth is None:
            return self
        with self._complete.lock:
            if self._complete.comparison is None:
                self._complete.comparison = replace(self, scores=_score(self, self.truth, fast=False))
            return self._complete.comparison


def decode(
    labels: NDArray[Any] | None, prediction: Prediction, annotated: NDArray[np.bool_] | None = None
) -> GroundTruth | None:
    """Decode labels, if there are any, with the meaning that they had for the model of a prediction."""
    if labels is None:
        return None
    ignore_label = prediction.plan.ignore_label if prediction.plan else None
    return decode_labels(labels, prediction.task, ignore_label, annotated, name=prediction.name)


def encode(truth: GroundTruth, prediction: Prediction) -> NDArray[Any]:
    """Return ground truth with the meaning that labels had for the model of a prediction; `decode` reads it again."""
    ignore_label = prediction.plan.ignore_label if prediction.plan else None
    return encode_labels(truth, prediction.task, ignore_label)


def compare(
    prediction: Prediction,
    truth: GroundTruth | None,
    tolerance: float | None = None,
    *,
    fast: bool = False,
    ignore_border: bool = False,
) -> Comparison:
    """Compare a prediction with the ground truth, if there is any; `fast` leaves out the slow scores.

    Without a tolerance, the default for the voxels of the prediction is used.
    """
    if truth is None:
        return Comparison(prediction)
    difference = difference_labels(prediction.labels, truth, prediction.task)
    used = tolerance_for(prediction.spacing, tolerance)
    comparison = Comparison(prediction, truth, difference, None, used, ignore_border)
    return replace(comparison, scores=_score(comparison, truth, fast=fast))


def _score(comparison: Comparison, truth: GroundTruth, *, fast: bool) -> Scores:
    prediction = comparison.prediction
    classes = {each.value: each.name for each in (prediction.plan.classes if prediction.plan else ())}
    options = MetricOptions(prediction.task, classes, comparison.tolerance, fast, comparison.ignore_border)
    scores = score(prediction.labels, truth, prediction.name, prediction.geometry, options)
    return replace(scores, seen_in=prediction.seen_in)


def from_evaluation(event: VolumeEvaluated, tolerance: float | None) -> Comparison:
    """Return the comparison of a test volume, whose scores are there already, with the tolerance of its evaluation."""
    prediction, truth = event.prediction, event.truth
    difference = difference_labels(prediction.labels, truth, prediction.task)
    used = tolerance_for(prediction.spacing, tolerance)
    return Comparison(prediction, truth, difference, event.scores, used, event.ignores_border)


def repostprocess(comparison: Comparison, settings: PostProcessing) -> Iterator[Comparison]:
    """Make the labels again from the network output, with other settings; the only event is the new comparison.

    It has the fast scores only, see `Comparison.measured`; it is the same comparison when no label changes.
    """
    from napari_unet3d.inference.postprocess import postprocess  # imports scikit-image, which is slow

    old = comparison.prediction
    labels = postprocess(old.probability, old.maps, old.geometry, old.plan, settings)
    if np.array_equal(labels, old.labels):
        yield comparison
    else:
        new, ignores = replace(old, labels=labels), comparison.ignore_border
        yield compare(new, comparison.truth, comparison.tolerance, fast=True, ignore_border=ignores)


def add_slow_metrics(comparison: Comparison) -> Iterator[Comparison]:
    """Compute all scores of a comparison; the only event is the comparison with them."""
    yield comparison.measured()


@dataclass(frozen=True, slots=True, eq=False)
class InspectionResult:
    """A prediction was compared and its errors were found.

    Attributes
    ----------
    comparison : Comparison
        The prediction and how it compares.
    errors : ErrorSet
        Its errors.
    difference : ndarray of uint8, shape (z, y, x)
        That of the comparison, without the boundary noise that the tolerance hides.
    """

    comparison: Comparison
    errors: ErrorSet
    difference: NDArray[np.uint8]


def inspect_input(
    given: InspectionInput, tolerance: float, ignore_border: bool = False
) -> Iterator[SearchProgress | InspectionResult]:
    """Compare labels with their ground truth and find the errors.

    Yields
    ------
    SearchProgress
        Some more of the wrong voxels were looked at.
    InspectionResult
        The result, with the fast scores only; always the last event.
    """
    prediction = labels_as_prediction(given.prediction, given.origin, given.geometry, given.probability)
    prediction = replace(prediction, seen_in=_seen_in(given))
    truth = decode(given.truth, prediction, given.annotated)
    comparison = compare(prediction, truth, tolerance, fast=True, ignore_border=ignore_border)
    yield from inspect_comparison(comparison, tolerance)


def _seen_in(given: InspectionInput) -> SeenIn:
    """Return whether the model that made a prediction has seen its image, as far as both are known."""
    from napari_unet3d.model.checkpoint import load_seen_content  # imports torch, which is slow

    if given.image is None or given.origin.run is None:
        return SeenIn.UNKNOWN
    return seen_in(load_seen_content(given.origin.run), given.image)


def inspect_comparison(
    comparison: Comparison, tolerance: float, ignore_border: bool | None = None
) -> Iterator[SearchProgress | InspectionResult]:
    """Find the errors of a prediction that was compared; the events are those of `inspect_input`.

    Parameters
    ----------
    comparison : Comparison
        The comparison with ground truth.
    tolerance : float
        Depth up to which errors are hidden as boundary noise, in the unit of the prediction's geometry.
    ignore_border : bool, optional
        Whether objects at the border are left out; by default as in the comparison. Where one of these two differs
        from the comparison, the slow scores of the result are missing.
    """
    from napari_unet3d.evaluation.errors.find import find_errors  # imports scipy's trees, which is slow

    prediction, truth, difference = comparison.prediction, comparison.truth, comparison.difference
    assert truth is not None
    assert difference is not None
    border = comparison.ignore_border if ignore_border is None else ignore_border
    if (tolerance, border) != (comparison.tolerance, comparison.ignore_border):
        comparison = Comparison(prediction, truth, difference, None, tolerance, border)
        comparison = replace(comparison, scores=_score(comparison, truth, fast=True))
    how = prediction.task, prediction.geometry, tolerance, border
    for event in find_errors(prediction.labels, truth, *how):
        if isinstance(event, ErrorSet):
            yield InspectionResult(comparison, event, difference * (event.regions > 0))
        else:
            yield event
