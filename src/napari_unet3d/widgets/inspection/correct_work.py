"""What the correcting part of the Inspect dock does in a thread: files of corrections, and what a new model gained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet3d.configs import EvaluationConfig, PostProcessing, PredictionConfig
from napari_unet3d.configs.fine_tuning import fine_tuning
from napari_unet3d.data.annotation import Truth
from napari_unet3d.data.corrections import Correction
from napari_unet3d.data.dataset import add_sample, clean_dataset
from napari_unet3d.data.free_names import renamed
from napari_unet3d.data.pairs import Pair, Part, list_pairs, provenance_file
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics import ScoringRules, score
from napari_unet3d.evaluation.run_files import read_run_files
from napari_unet3d.prediction.events import Prediction, VolumeEvaluated
from napari_unet3d.widgets.training.train_work import Order, train_on
from napari_unet3d.widgets.view.origins import Origin, without_part


@dataclass(frozen=True, slots=True)
class CorrectionsAdded:
    """Corrections are in a dataset."""

    pair: Pair
    corrections: tuple[Correction, ...]


@dataclass(frozen=True, slots=True)
class Standing:
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
class GainFound:
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
    """

    before: Standing
    after: Standing
    prediction: Prediction
    run: Path
    n_test: int

    @property
    def words(self) -> str:
        """The gain in two or three sentences."""
        before, after = self.before, self.after
        sentences = [
            f"'{self.prediction.name}': {before.n_errors} errors before, {after.n_errors} after training on; "
            f"Dice {before.dice:.3f}, now {after.dice:.3f}."
        ]
        if before.test_dice is not None and after.test_dice is not None:
            volumes = f"{self.n_test} test volume{'' if self.n_test == 1 else 's'}"
            change = after.test_dice - before.test_dice
            verdict = "better" if change > 0 else "worse" if change < 0 else "as good"
            sentences.append(
                f"On the {volumes}, which it never saw: Dice {before.test_dice:.3f}, now {after.test_dice:.3f}, "
                f"{verdict} than before."
            )
        else:
            sentences.append("There is no test set that would tell how it does on other volumes.")
        return "\n".join(sentences)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
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
    truth: Truth
    old: Path
    new: Path
    dataset: Path | None
    tolerance_um: float
    settings: PostProcessing


def add_corrections(
    dataset: Path, sample: Sample, corrections: tuple[Correction, ...], earlier: Pair | None
) -> Iterator[CorrectionsAdded]:
    """Write corrections into the training part of a dataset, in the place of earlier ones of the same prediction."""
    if earlier is not None:
        _delete(earlier)
    names = [pair.name for pair in list_pairs(dataset)] if _is_dataset(dataset) else []
    yield CorrectionsAdded(add_sample(dataset, renamed(sample, names), Part.TRAIN), corrections)


def remove_corrections(pair: Pair) -> Iterator[Pair]:
    """Delete exactly the files that `add_corrections` wrote."""
    _delete(pair)
    yield pair


def correct_and_train(
    adding: Callable[[], Iterator[CorrectionsAdded]] | None, dataset: Path, model: Path, run_folder: Path
) -> Iterator[Any]:
    """Add what is not in the dataset yet, then train the model on with settings for it.

    Yields
    ------
    CorrectionsAdded
        When there was something to add.
    Finding, VolumeExamined, Preflight, TrainEvent
        As `train_on`.
    """
    if adding is not None:
        yield from adding()
    from napari_unet3d.model.checkpoint import load_checkpoint

    config = fine_tuning(load_checkpoint(model).config)
    yield from train_on(Order(dataset, run_folder, config, start_from=model))


def find_gain(judged: Judged) -> Iterator[Any]:
    """Apply both models to the corrected volume and to the test set.

    Yields
    ------
    ModelLoaded, Notice, TilesPredicted, VolumeEvaluated
        As prediction and evaluation give them.
    GainFound
        The result; always the last event.
    """
    from napari_unet3d.prediction.predict import predict
    from napari_unet3d.prediction.test_set import evaluate

    pairs = list_pairs(judged.dataset, Part.TEST) if judged.dataset is not None else []
    n_test = sum(pair.is_whole for pair in pairs)
    standings, prediction = [], None
    values = judged.settings.model_dump()
    for model in (judged.old, judged.new):
        for event in predict(model, judged.sample, PredictionConfig(**values)):
            if isinstance(event, Prediction):
                prediction = event
            else:
                yield event
        assert prediction is not None  # the last event of every prediction
        n_errors, dice = _stand(prediction, judged)
        test_dices = []
        if n_test and judged.dataset is not None:
            for each in evaluate(model, judged.dataset, config=EvaluationConfig(**values)):
                if isinstance(each, VolumeEvaluated):
                    test_dices.append(each.scores.dice)
                yield each
        standings.append(Standing(n_errors, dice, float(np.mean(test_dices)) if test_dices else None))
    assert prediction is not None
    yield GainFound(standings[0], standings[1], prediction, judged.new, n_test)


def _stand(prediction: Prediction, judged: Judged) -> tuple[int, float]:
    from napari_unet3d.evaluation.error_objects import find_error_objects

    plan = prediction.plan
    rules = ScoringRules(prediction.task, {each.value: each.name for each in plan.classes} if plan else {}, 1.0, True)
    errors = find_error_objects(
        prediction.labels, judged.truth, prediction.task, prediction.voxel_size_um, judged.tolerance_um
    )
    scores = score(prediction.labels, judged.truth, prediction.name, prediction.voxel_size_um, rules)
    return len(errors.objects) + errors.n_left_out, scores.dice


def part_of(dataset: Path, origin: Origin) -> str:
    """Find out which part of a dataset a volume belongs to, if by nothing else by its name; empty when it is none.

    When both parts have one of that name and the layer does not say which, it counts as one of the test set.
    """
    name, part = without_part(origin.name)
    if part := origin.part or part:
        return part.value
    if not _is_dataset(dataset):
        return ""
    parts = {pair.part for pair in list_pairs(dataset) if pair.name.casefold() == name.casefold()}
    return Part.TEST.value if Part.TEST in parts else Part.TRAIN.value if parts else ""


def dataset_of_run(run: Path | None) -> Path | None:
    """Give the dataset folder that a run was trained on, if it was one and is still there."""
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
    files = [path for path in (pair.image, pair.labels, pair.annotated) if path is not None]
    if pair.annotated is not None:
        files.append(provenance_file(pair.annotated))
    there = [path for path in files if path.exists()]
    clean_dataset(dataset, there)
    if pair.annotated is not None:
        with suppress(OSError):  # it holds other masks
            pair.annotated.parent.rmdir()
