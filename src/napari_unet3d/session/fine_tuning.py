"""What the correcting part of the Inspect dock does in a thread: files of corrections, and what a new model gained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet3d.configs import EvaluationConfig, PostProcessing, PredictionConfig
from napari_unet3d.configs.correction import fine_tuning_config
from napari_unet3d.data.corrections import Correction
from napari_unet3d.data.dataset import add_sample, clean_dataset
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.pairs import Pair, Subset, list_pairs, provenance_file, with_unique_name
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.shared_content import trained_content
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.inference.events import Prediction, VolumeEvaluated
from napari_unet3d.runs.run_files import read_run_files
from napari_unet3d.session.add_to_dataset import Adding, CorrectedTestVolumes
from napari_unet3d.session.training_job import TrainingRequest, train_on


@dataclass(frozen=True, slots=True)
class CorrectionsAdded:
    """Corrections are in a dataset.

    Attributes
    ----------
    pair : Pair
        Their files.
    corrections : tuple of Correction
        What they hold.
    test_volumes : tuple of str
        The test volumes of the dataset that they show.
    """

    pair: Pair
    corrections: tuple[Correction, ...]
    test_volumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelScore:
    """How good a model is.

    Attributes
    ----------
    n_errors : int or None
        Errors in the volume that was corrected.
    dice : float
        Dice there.
    test_dice : float or None
        Mean Dice of the test set, if there is one.
    """

    n_errors: int
    dice: float
    test_dice: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ModelsCompared:
    """Both models were applied to the corrected volume and to the test set.

    Attributes
    ----------
    before, after : Standing
        The model that made the errors, and the one that learnt the corrections.
    prediction : Prediction
        What the new model says.
    run : Path
        Its run folder.
    n_test : int
        Volumes of the test set.
    learnt : tuple of str
        Those of them that the new model has learnt from: what trains shows them, in whole or in part.
    """

    before: ModelScore
    after: ModelScore
    prediction: Prediction
    run: Path
    n_test: int
    learnt: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The gain in a few sentences."""
        before, after = self.before, self.after
        sentences = [
            f"'{self.prediction.name}': {before.n_errors} errors before, {after.n_errors} after training on; "
            f"Dice {before.dice:.3f}, now {after.dice:.3f}."
        ]
        if before.test_dice is not None and after.test_dice is not None:
            volumes = f"{self.n_test} test volume{'' if self.n_test == 1 else 's'}"
            change = after.test_dice - before.test_dice
            verdict = "better than" if change > 0 else "worse than" if change < 0 else "as good as"
            never = "" if self.learnt else ", which it never saw"
            sentences.append(
                f"On the {volumes}{never}: Dice {before.test_dice:.3f}, now {after.test_dice:.3f}, {verdict} before."
            )
            if self.learnt:
                sentences.append(self._too_good)
        else:
            sentences.append("There is no test set that would tell how it does on other volumes.")
        return "\n".join(sentences)

    @property
    def _too_good(self) -> str:
        names = ", ".join(f"'{name}'" for name in self.learnt)
        which, them = ("is", "it") if len(self.learnt) == 1 else ("are", "them")
        return (
            f"That gain is optimistic: {names} {which} among the volumes scored, and the new model learnt from {them}, "
            "by corrections or copies in the training part."
        )


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonInput:
    """By what two models are compared.

    Attributes
    ----------
    sample : Sample
        The corrected volume, without labels.
    truth : Truth
        What is right there: the truth with the corrections, or the corrected places alone.
    old, new : Path
        The models.
    dataset : Path or None
        Whose test set is predicted as well.
    tolerance_um : float
        Depth in µm up to which errors are boundary noise.
    settings : PostProcessing
        How labels are made.
    """

    sample: Sample
    truth: GroundTruth
    old: Path
    new: Path
    dataset: Path | None
    tolerance_um: float
    settings: PostProcessing


def add_corrections(
    adding: Adding, accepted: CorrectedTestVolumes | None = None
) -> Iterator[CorrectionsAdded | CorrectedTestVolumes]:
    """Write corrections into the training part of a dataset, in the place of earlier ones of the same prediction.

    Parameters
    ----------
    adding : Adding
        The corrections.
    accepted : CorrectedTestVolumes, optional
        What was said about test volumes and is wanted all the same.

    Yields
    ------
    CorrectedTestVolumes
        Instead of the other, with nothing written, when they show test volumes and that was not accepted.
    CorrectionsAdded
        When they are written.

    Raises
    ------
    UserError
        If a test volume cannot be read, or the files cannot be written.
    """
    test_volumes = adding.find_test_volumes() if accepted is None else accepted.names
    if test_volumes and accepted is None:
        yield CorrectedTestVolumes(adding, test_volumes)
        return
    if adding.earlier is not None:
        _delete(adding.earlier)
    dataset, sample = adding.dataset, adding.sample_of_part(test_volumes)
    names = [pair.name for pair in list_pairs(dataset)] if _is_dataset(dataset) else []
    pair = add_sample(dataset, with_unique_name(sample, names), Subset.TRAIN)
    yield CorrectionsAdded(pair, adding.corrections, test_volumes)


def remove_corrections(pair: Pair) -> Iterator[Pair]:
    """Delete exactly the files that `add_corrections` wrote."""
    _delete(pair)
    yield pair


def train_with_corrections(dataset: Path, model: Path, run_folder: Path) -> Iterator[Any]:
    """Train a model on with the corrections in a dataset and with settings for them; gives events as `fine_tune`."""
    from napari_unet3d.model.checkpoint import load_checkpoint

    config = fine_tuning_config(load_checkpoint(model).config)
    yield from train_on(TrainingRequest(dataset, run_folder, config, start_from=model))


def compare_models(judged: ComparisonInput) -> Iterator[Any]:
    """Apply both models to the corrected volume and to the test set.

    Yields
    ------
    ModelLoaded, Notice, TilesPredicted, VolumeEvaluated
        As prediction and evaluation give them.
    ModelsCompared
        The result; always the last event.
    """
    from napari_unet3d.inference.evaluate import evaluate
    from napari_unet3d.inference.predict import predict

    pairs = list_pairs(judged.dataset, Subset.TEST) if judged.dataset is not None else []
    n_test = sum(pair.is_complete for pair in pairs)
    trained = trained_content(judged.dataset) if n_test and judged.dataset is not None else None
    learnt: list[str] = []
    standings, prediction = [], None
    values = judged.settings.model_dump()
    for model in (judged.old, judged.new):
        for event in predict(model, judged.sample, PredictionConfig(**values)):
            if isinstance(event, Prediction):
                prediction = event
            else:
                yield event
        assert prediction is not None  # the last event of every prediction
        n_errors, dice = _score_model(prediction, judged)
        test_dices = []
        if n_test and judged.dataset is not None:
            for each in evaluate(model, judged.dataset, config=EvaluationConfig(**values)):
                if isinstance(each, VolumeEvaluated):
                    test_dices.append(each.scores.dice)
                    if model is judged.new and trained is not None and trained.shows(each.image):
                        learnt.append(each.scores.name)
                yield each
        standings.append(ModelScore(n_errors, dice, float(np.mean(test_dices)) if test_dices else None))
    assert prediction is not None
    yield ModelsCompared(standings[0], standings[1], prediction, judged.new, n_test, tuple(learnt))


def _score_model(prediction: Prediction, judged: ComparisonInput) -> tuple[int, float]:
    from napari_unet3d.evaluation.errors.find import list_errors

    plan = prediction.plan
    rules = MetricOptions(prediction.task, {each.value: each.name for each in plan.classes} if plan else {}, 1.0, True)
    errors = list_errors(
        prediction.labels, judged.truth, prediction.task, prediction.voxel_size_um, judged.tolerance_um
    )
    scores = score(prediction.labels, judged.truth, prediction.name, prediction.voxel_size_um, rules)
    return len(errors.errors) + errors.n_left_out, scores.dice


def dataset_of_run(run: Path | None) -> Path | None:
    """Return the dataset folder that a run was trained on, if it was one and is still there."""
    if run is None:
        return None
    try:
        dataset = read_run_files(run if run.is_dir() else run.parent).dataset
    except UserError:  # a model file that lies alone
        return None
    return dataset if dataset is not None and _is_dataset(dataset) else None


def _is_dataset(folder: Path) -> bool:
    try:
        list_pairs(folder)
    except UserError:
        return False
    return True


def _delete(pair: Pair) -> None:
    dataset = pair.image.parents[2] if pair.image is not None else None
    assert dataset is not None  # written by us
    files = [path for path in (pair.image, pair.labels, pair.label_mask) if path is not None]
    if pair.label_mask is not None:
        files.append(provenance_file(pair.label_mask))
    there = [path for path in files if path.exists()]
    clean_dataset(dataset, there)
    if pair.label_mask is not None:
        with suppress(OSError):  # it holds other masks
            pair.label_mask.parent.rmdir()
