"""The work behind the Predict dock, in its job's thread, and how its results come into the viewer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_unet3d.configs import EvaluationConfig, PredictionConfig, Task, ZeroIs
from napari_unet3d.data.annotation import Truth, read_truth
from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import read_sample, read_volume, write_volume
from napari_unet3d.evaluation.differences import difference_labels
from napari_unet3d.evaluation.metrics import ScoringRules, score
from napari_unet3d.evaluation.scores import Scores
from napari_unet3d.prediction.events import EvaluateEvent, PredictFilesEvent, Prediction, VolumeEvaluated
from napari_unet3d.widgets.layers import (
    Place,
    bring_out,
    hide_own_layers,
    show_difference,
    show_image,
    show_labels,
    show_sample,
)

DEFAULT_TOLERANCE_UM = EvaluationConfig().tolerance_um


@dataclass(frozen=True, slots=True)
class Outcome:
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
    truth: Truth | None = None
    difference: NDArray[np.uint8] | None = None
    scores: Scores | None = None
    tolerance_um: float = DEFAULT_TOLERANCE_UM

    @property
    def is_measured(self) -> bool:
        """Whether the scores that take long are there too, or there is no truth to measure against."""
        return self.scores is None or self.scores.nsd is not None

    def at_threshold(self, threshold: float) -> Outcome:
        """Draw the foreground again from the probability, with another threshold from 0 to 1.

        Of the scores only those that are ready at once are there, unless nothing changes; see `measure`.
        """
        old = self.prediction
        labels = (old.probability >= threshold).astype(np.uint8)
        if _task(old) is not Task.FOREGROUND or np.array_equal(labels, old.labels):
            return self
        return compare(replace(old, labels=labels), self.truth, self.tolerance_um, only_voxels=True)


def read_painted(labels: NDArray[Any] | None, prediction: Prediction) -> Truth | None:
    """Read labels, if there are any, with the meaning that they had for the model of a prediction."""
    if labels is None:
        return None
    zero_is = prediction.plan.zero_is if prediction.plan else ZeroIs.BACKGROUND
    return read_truth(labels, _task(prediction), zero_is)


def compare(
    prediction: Prediction,
    truth: Truth | None,
    tolerance_um: float = DEFAULT_TOLERANCE_UM,
    *,
    only_voxels: bool = False,
) -> Outcome:
    """Compare a prediction with the truth, if there is one; `only_voxels` leaves out the scores that take long."""
    if truth is None:
        return Outcome(prediction)
    task, classes = _task(prediction), prediction.plan.classes if prediction.plan else ()
    rules = ScoringRules(task, {each.value: each.name for each in classes}, tolerance_um, only_voxels)
    difference = difference_labels(prediction.labels, truth, task)
    scores = score(prediction.labels, truth, prediction.name, prediction.voxel_size_um, rules)
    return Outcome(prediction, truth, difference, scores, tolerance_um)


def from_evaluation(event: VolumeEvaluated, tolerance_um: float) -> Outcome:
    """Give the outcome of a volume of a test set, whose scores are there already."""
    difference = difference_labels(event.prediction.labels, event.truth, _task(event.prediction))
    return Outcome(event.prediction, event.truth, difference, event.scores, tolerance_um)


def measure(outcome: Outcome) -> Iterator[Outcome]:
    """Give the outcome with all of its scores."""
    yield compare(outcome.prediction, outcome.truth, outcome.tolerance_um)


def _task(prediction: Prediction) -> Task:
    return prediction.plan.task if prediction.plan else Task.FOREGROUND


@dataclass(frozen=True, slots=True)
class FileOpened:
    """A predicted file was read again to be shown."""

    sample: Sample
    labels: NDArray[Any]


def predict_sample(model: Path, sample: Sample, config: PredictionConfig, out: Path | None) -> Iterator[Any]:
    """Predict one volume and compare it with its labels; write the result if there is a folder for it.

    Yields
    ------
    ModelLoaded, Notice, TilesPredicted
        As `predict` does.
    Outcome
        The result; always the last event.
    """
    from napari_unet3d.prediction.predict import predict

    for event in predict(model, sample, config):
        if not isinstance(event, Prediction):
            yield event
            continue
        outcome = compare(event, read_painted(sample.labels, event))
        if out is not None:
            _write(outcome, out)
        yield outcome


def predict_paths(
    model: Path, files: Sequence[Path], out: Path, config: PredictionConfig, probability: bool
) -> Iterator[PredictFilesEvent]:
    """Give the events of `predict_files`; torch is imported in the thread that asks for the first one."""
    from napari_unet3d.prediction.predict import predict_files

    yield from predict_files(model, files, out, config, probability=probability)


def evaluate_dataset(model: Path, dataset: Path, out: Path | None, config: EvaluationConfig) -> Iterator[EvaluateEvent]:
    """Give the events of `evaluate`; torch is imported in the thread that asks for the first one."""
    from napari_unet3d.prediction.test_set import evaluate

    yield from evaluate(model, dataset, out=out, config=config)


def open_file(source: Path, result: Path) -> Iterator[FileOpened]:
    """Read a volume and its predicted labels."""
    yield FileOpened(read_sample(source), read_volume(result).array)


def show_outcome(viewer: Any, outcome: Outcome, like: Place, truth_layer: Labels | None) -> None:
    """Show a prediction in the place of its image, so that mistakes are what is seen first.

    Without a truth the predicted labels are in view. With one, the difference is: prediction and truth would
    cover it in 3D, so they are hidden. Probability and uncertainty are added to the image when the user asks for them.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it.
    outcome : Outcome
        The prediction.
    like : Layer or tuple of float
        The layer of the image, or its voxel size (z, y, x) in µm.
    truth_layer : Labels, optional
        The layer with the truth, which is hidden.
    """
    name, prediction = outcome.prediction.name, outcome.prediction
    show_image(
        viewer,
        f"{name} probability",
        prediction.probability,
        like,
        colormap="magma",
        contrast_limits=(0, 1),
        blending="additive",
        visible=False,
    )
    if prediction.uncertainty is not None:
        show_image(
            viewer,
            f"{name} uncertainty",
            prediction.uncertainty,
            like,
            colormap="inferno",
            contrast_limits=(0, 1),
            blending="additive",
            visible=False,
        )
    labels = show_labels(viewer, f"{name} prediction", prediction.labels, like, opacity=0.5)
    if outcome.difference is None:
        bring_out(viewer, labels)
        return
    difference = show_difference(viewer, f"{name} difference", outcome.difference, like)
    bring_out(viewer, difference, instead_of=[labels] if truth_layer is None else [labels, truth_layer])


def update_outcome(viewer: Any, outcome: Outcome, like: Place) -> None:
    """Show other labels for the same probability; what is in view stays in view."""
    name = outcome.prediction.name
    show_labels(viewer, f"{name} prediction", outcome.prediction.labels, like)
    if outcome.difference is not None:
        show_difference(viewer, f"{name} difference", outcome.difference, like)


def show_volume(viewer: Any, sample: Sample, outcome: Outcome) -> Place:
    """Show a volume that is not in the viewer yet, with its truth and its prediction, and say where it lies."""
    hide_own_layers(viewer)
    image, truth = show_sample(viewer, sample)
    bring_out(viewer, image)
    show_outcome(viewer, outcome, image, truth)
    return image


def show_file(viewer: Any, opened: FileOpened) -> None:
    """Show a volume from a file and its predicted labels."""
    hide_own_layers(viewer)
    image, _ = show_sample(viewer, opened.sample)
    bring_out(viewer, image)
    labels = show_labels(viewer, f"{opened.sample.name} prediction", opened.labels, image, opacity=0.5)
    bring_out(viewer, labels)


def _write(outcome: Outcome, folder: Path) -> None:
    prediction, voxel_size_um = outcome.prediction, outcome.prediction.voxel_size_um
    name = file_name(prediction.name)
    write_volume(folder / f"{name}_labels.tif", prediction.labels, voxel_size_um)
    write_volume(folder / f"{name}_probability.tif", prediction.probability, voxel_size_um)
    if prediction.uncertainty is not None:
        write_volume(folder / f"{name}_uncertainty.tif", prediction.uncertainty, voxel_size_um)
    if outcome.difference is not None:
        write_volume(folder / f"{name}_difference.tif", outcome.difference, voxel_size_um)
