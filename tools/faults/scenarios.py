"""What is disturbed: each command, and what docks write, on tiny volumes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_unet3d import EvaluationConfig, SyntheticConfig, TrainingConfig, evaluate, generate, predict, train
from napari_unet3d.cli.app import main as run_command
from napari_unet3d.configs import PredictionConfig, UneditedRegions
from napari_unet3d.data.dataset import Subset, list_pairs, read_pair
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.nnunet.exporting import export_dataset
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.reports.animation import write_animation
from napari_unet3d.evaluation.reports.figure import slices_figure, write_figure
from napari_unet3d.session.add_to_dataset import CorrectionsAdded, DatasetAddition, add_corrections
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.saving import save_metrics, write_picture

SHAPE = (12, 16, 20)
CPU = ("--device", "cpu")
SETTINGS = {"preset": "xsmall", "epochs": 2, "device": "cpu", "val_fraction": 0.4, "patch": (8, 8, 8)}


@dataclass(frozen=True)
class Scenario:
    """Something that is disturbed.

    Attributes
    ----------
    name : str
        What it is.
    work : callable
        Does it in a folder that `make_base` has made, and returns the exit code.
    again : callable
        What a user does after it failed, which must work.
    """

    name: str
    work: Callable[[Path], int]
    again: Callable[[Path], int]


def make_base(folder: Path) -> None:
    """Write a dataset, also for nnU-Net, a run and an evaluation, which all scenarios start from."""
    list(generate(folder / "data", volumes(0), n_train=3, n_test=1))
    list(export_dataset(folder / "data", folder / "nnUNet_raw", task="binary"))
    list(train(folder / "data", folder / "run", config()))
    list(evaluate(folder / "run", folder / "data", config=EvaluationConfig(device="cpu"), out=folder / "out"))


def volumes(seed: int) -> SyntheticConfig:
    """Return settings for tiny volumes."""
    return SyntheticConfig(objects=2, shape=SHAPE, object_shape_min=(4,) * 3, object_shape_max=(6,) * 3, seed=seed)


def config(**values: object) -> TrainingConfig:
    """Return settings for a training of a second."""
    return TrainingConfig(**{**SETTINGS, "steps_per_epoch": 2, "batch_size": 1, **values})


def _command(*words: object) -> Callable[[Path], int]:
    """Return a function that runs the command; words that begin with @ are paths in the folder."""

    def run(folder: Path) -> int:
        return run_command([str(folder / word[1:]) if str(word).startswith("@") else str(word) for word in words])

    return run


def _saying_errors(work: Callable[[Path], None]) -> Callable[[Path], int]:
    """Return a function that does what docks do, and says its error as the command does."""

    def run(folder: Path) -> int:
        try:
            work(folder)
        except UserError as error:
            print(f"napari-unet3d: {error}")  # noqa: T201
            return 1
        return 0

    return run


def _correct(folder: Path) -> None:
    """Accept the ground truth at an error, and add the correction to the dataset twice, in place of itself."""
    sample = read_pair(list_pairs(folder / "data", Subset.TRAIN)[0])
    *_, prediction = predict(folder / "run", sample, PredictionConfig(device="cpu"))
    session = InspectionSession(prediction, sample, tolerance=0.0)
    session.select(session.errors[0])
    session.accept_truth()
    addition = DatasetAddition.of(session.corrections, folder / "data", UneditedRegions.IGNORE)
    (added,) = add_corrections(addition)
    assert isinstance(added, CorrectionsAdded), "it is no test volume"
    list(add_corrections(replace(addition, earlier=added.pair)))


def _export(folder: Path) -> None:
    """Write scores, a figure, a picture and an animation."""
    *_, finished = evaluate(folder / "run", folder / "data", config=EvaluationConfig(device="cpu"))
    sample = read_pair(list_pairs(folder / "data", Subset.TEST)[0])
    out, frames = folder / "exports", [np.full((40, 50, 3), 50 * number, np.uint8) for number in range(3)]
    list(save_metrics(finished.volumes, None, out / "metrics.csv"))
    list(save_metrics(finished.volumes, None, out / "metrics.json"))
    write_figure(out / "slices.png", slices_figure(GroundTruth(sample.labels), sample.labels))
    write_picture(out / "view.png", frames[0])
    write_animation(out / "turn.gif", frames, 1.0)


_TRAIN = (
    "train",
    "@data",
    "--run",
    "@new",
    "--preset",
    "xsmall",
    "--epochs",
    2,
    "--steps-per-epoch",
    2,
    "--patch",
    8,
    "--batch-size",
    1,
)
_GENERATE = ("generate", "@data", "--train", 3, "--test", 1, "--overwrite", "--objects", 2, "--shape", *SHAPE)
_GENERATE = (*_GENERATE, "--object-shape-min", 4, 4, 4, "--object-shape-max", 6, 6, 6, "--seed", 7)
_ONE = ("--val-fraction", 0.4, *CPU)
_IMAGES = ("@data/train/images/1.tif", "@data/train/images/2.tif")
_PREDICT = ("predict", "@run", *_IMAGES, "--out", "@predictions", "--probability", *CPU)
_EVALUATE = ("evaluate", "@run", "@data", "--out", "@out", *CPU)
_TO_NNUNET = ("dataset", "export", "@data", "--to", "nnunet", "--out", "@nnUNet_raw", "--task", "binary", "--overwrite")
_FROM_NNUNET = ("dataset", "import", "@nnUNet_raw/Dataset501_data", "--from", "nnunet", "--out")
_REPORT = ("report", "@run", "--out", "@report.html")

SCENARIOS = (
    Scenario("train", _command(*_TRAIN, *_ONE), _command(*_TRAIN, *_ONE, "--resume")),
    Scenario("train again", _command(*_TRAIN, *_ONE, "--overwrite"), _command(*_TRAIN, *_ONE, "--overwrite")),
    Scenario("predict", _command(*_PREDICT), _command(*_PREDICT, "--overwrite")),
    Scenario("evaluate", _command(*_EVALUATE), _command(*_EVALUATE)),
    Scenario("generate", _command(*_GENERATE), _command(*_GENERATE)),
    Scenario("report", _command(*_REPORT), _command(*_REPORT)),
    Scenario("correct", _saying_errors(_correct), _saying_errors(_correct)),
    Scenario("dataset export", _command(*_TO_NNUNET), _command(*_TO_NNUNET)),
    Scenario("dataset import", _command(*_FROM_NNUNET, "@imported"), _command(*_FROM_NNUNET, "@imported again")),
    Scenario("export", _saying_errors(_export), _saying_errors(_export)),
)
