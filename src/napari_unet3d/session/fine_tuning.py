"""Fine-tuning of a model on the corrections of its prediction, and what that improved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet3d.configs import EvaluationConfig, PredictionConfig, UneditedRegions
from napari_unet3d.configs.correction import fine_tuning_config
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.pairs import Subset, list_pairs
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.seen_content import SeenIn
from napari_unet3d.data.series import list_time_points
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.evaluation.tolerance import tolerance_for
from napari_unet3d.inference.events import LargeVolumeEvaluated, Prediction, VolumeEvaluated
from napari_unet3d.session.add_to_dataset import (
    CorrectedTestVolumes,
    CorrectionsAdded,
    DatasetAddition,
    add_corrections,
    without_missing_val_volumes,
)
from napari_unet3d.session.comparison import compare
from napari_unet3d.session.correction import CorrectionSession
from napari_unet3d.session.models_compared import ModelsCompared, ModelScore
from napari_unet3d.session.recent_runs import new_run_folder
from napari_unet3d.session.training_job import TrainingRequest, train_on


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonInput:
    """What two models are compared on.

    Attributes
    ----------
    corrections : CorrectionSession
        The corrections that the new model learned.
    sample : Sample
        The corrected volume, without labels.
    truth : GroundTruth
        What is right there: the ground truth with the corrections, or the corrected places alone.
    old, new : Path
        The models.
    dataset : Path or None
        Whose test set is predicted as well.
    tolerance : float or None
        Depth up to which errors are boundary noise, in the unit of the prediction's geometry; None for the default.
    config : EvaluationConfig
        How labels are made, what is predicted on, and whether objects at the border of the volume count.
    """

    corrections: CorrectionSession
    sample: Sample
    truth: GroundTruth
    old: Path
    new: Path
    dataset: Path | None
    tolerance: float | None
    config: EvaluationConfig

    @classmethod
    def of(
        cls,
        session: CorrectionSession,
        new: Path,
        dataset: Path | None,
        tolerance: float | None,
        config: EvaluationConfig,
    ) -> ComparisonInput:
        """Return the comparison of the model that made a prediction with the one fine-tuned on its corrections.

        Raises
        ------
        UserError
            When the old model or the image is not known.
        """
        truth, old = session.corrections.ground_truth(), require_run(session)
        return cls(session, session.image_sample(), truth, old, new, dataset, tolerance, config)


def fine_tune(
    session: CorrectionSession,
    dataset: Path,
    run_folder: Path | None = None,
    *,
    unedited_regions: UneditedRegions = UneditedRegions.IGNORE,
    tolerance: float | None = None,
    accept_test_volumes: bool = False,
) -> Iterator[Any]:
    """Add corrections to a dataset, fine-tune the model that made the prediction, and compare both models.

    Parameters
    ----------
    session : CorrectionSession
        The corrections; its origin names the run of the model.
    dataset : Path
        The dataset folder that they are added to, as a training volume.
    run_folder : Path, optional
        The new run folder; by default one named after the present time beside the dataset.
    unedited_regions : UneditedRegions
        What the prediction counts as away from the corrected places.
    tolerance : float, optional
        Depth up to which errors are boundary noise, in the unit of the prediction's geometry; by default the smallest
        side of a voxel.
    accept_test_volumes : bool
        Whether to train on corrections of test volumes, too.

    Yields
    ------
    CorrectionsAdded
        The corrections are in the dataset, unless they were before.
    PreflightEvent, TrainEvent, and the events of `compare_models`
        `ModelsCompared` is the last one.

    Raises
    ------
    UserError
        When nothing is corrected, image or model are not known, or test volumes were corrected without acceptance.
    """
    old, new = require_run(session), run_folder or new_run_folder(dataset)
    if session.is_changed:
        yield from _add(session, DatasetAddition.of(session, dataset, unedited_regions), accept_test_volumes)
    elif not session.done:
        raise UserError("There are no corrections yet. Correct an error first.")
    yield from train_with_corrections(dataset, old, new)
    yield from compare_models(ComparisonInput.of(session, new, dataset, tolerance, EvaluationConfig()))


def _add(session: CorrectionSession, addition: DatasetAddition, accept_test_volumes: bool) -> Iterator[Any]:
    (event,) = add_corrections(addition)
    if isinstance(event, CorrectedTestVolumes):
        if not accept_test_volumes:
            raise UserError(
                f"The corrected places are part of the test volume '{event.names[0]}' of {addition.dataset}: a model "
                "that trains on them cannot be tested on it any more. Pass accept_test_volumes=True to train on them "
                "anyway."
            )
        (event,) = add_corrections(addition, event)
    assert isinstance(event, CorrectionsAdded)
    session.added, session.added_corrections = event.pair, event.corrections
    yield event


def train_with_corrections(dataset: Path, model: Path, run_folder: Path) -> Iterator[Any]:
    """Fine-tune a model on a dataset with corrections; the events are those of `train_on`."""
    from napari_unet3d.model.checkpoint import load_checkpoint

    config, notices = without_missing_val_volumes(fine_tuning_config(load_checkpoint(model).config), dataset)
    yield from notices
    yield from train_on(TrainingRequest(dataset, run_folder, config, start_from=model))


def compare_models(given: ComparisonInput) -> Iterator[Any]:
    """Apply both models to the corrected volume and to the test set.

    Yields
    ------
    ModelLoaded, Notice, TilesPredicted, VolumeEvaluated
        The events of prediction and evaluation.
    ModelsCompared
        The result; always the last event.
    """
    pairs = list_time_points(list_pairs(given.dataset, Subset.TEST)) if given.dataset is not None else []
    n_test = sum(pair.is_complete for pair in pairs)
    scores, prediction = [], None
    for model in (given.old, given.new):
        prediction = yield from _predict(model, given)
        tests: list[Scores] = []
        for event in _evaluate(model, given, n_test):
            tests += [event.scores] if isinstance(event, VolumeEvaluated | LargeVolumeEvaluated) else []
            yield event
        test_dice = float(np.mean([each.dice for each in tests])) if tests else None
        scores.append(_score_model(prediction, given, test_dice))
    assert prediction is not None
    learned = tuple(each.name for each in tests if each.seen_in is SeenIn.TRAINING)  # of the new model
    seen = SeenIn.of_all(each.seen_in for each in tests)
    before, after = scores
    yield ModelsCompared(before, after, prediction, given.new, n_test, learned, seen, given.corrections)


def _predict(model: Path, given: ComparisonInput) -> Any:
    """Yield the progress of a prediction and return the prediction."""
    from napari_unet3d.inference.predict import predict

    config, prediction = PredictionConfig(**given.config.model_dump(include=set(PredictionConfig.model_fields))), None
    for event in predict(model, given.sample, config):
        if isinstance(event, Prediction):
            prediction = event
        else:
            yield event
    assert prediction is not None  # the last event of every prediction
    return prediction


def _evaluate(model: Path, given: ComparisonInput, n_test: int) -> Iterator[Any]:
    from napari_unet3d.inference.evaluate import evaluate

    if n_test and given.dataset is not None:
        yield from evaluate(model, given.dataset, config=given.config)


def _score_model(prediction: Prediction, given: ComparisonInput, test_dice: float | None) -> ModelScore:
    from napari_unet3d.evaluation.errors.find import list_errors

    tolerance = tolerance_for(prediction.geometry.spacing, given.tolerance)
    geometry, ignore = prediction.geometry, given.config.ignore_border_objects
    errors = list_errors(prediction.labels, given.truth, prediction.task, geometry, tolerance, ignore)
    scores = compare(prediction, given.truth, tolerance, fast=True, ignore_border=ignore).scores
    assert scores is not None
    return ModelScore(len(errors) + errors.n_left_out, scores.dice, test_dice)


def require_run(session: CorrectionSession) -> Path:
    """Return the run whose model made the prediction.

    Raises
    ------
    UserError
        When it is not known.
    """
    if session.origin.run is None:
        raise UserError(
            "It is not known which model made this prediction. Predict the volume in the dock Predict, and "
            "inspect that; or add the corrections and choose the model in the dock Train."
        )
    return session.origin.run
