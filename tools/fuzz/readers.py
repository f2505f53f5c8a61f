"""What is done with a mutant: each reader takes a folder and does with the files in it what docks and commands do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from seeds import IMAGE, SHAPE, samples, training_config


@cache
def _model() -> Any:
    """Return a tiny model, untrained."""
    import torch

    from napari_unet3d.configs import TrainingConfig
    from napari_unet3d.model.checkpoint import Checkpoint
    from napari_unet3d.model.network import build_network

    torch.manual_seed(0)
    config = TrainingConfig(preset="xxsmall", device="cpu")
    return Checkpoint(config, build_network(config).state_dict(), epoch=1)


def _volume(folder: Path) -> Path:
    """Return the volume in a folder, which may have been renamed or removed."""
    found = sorted(path for path in folder.iterdir() if path.name.startswith(IMAGE))
    order = (".nhdr", ".mhd", "")
    return min(found, key=lambda path: order.index(path.suffix) if path.suffix in order else 1, default=folder / IMAGE)


def _sample() -> Any:
    return samples("a")[0]


def predict_volume(folder: Path) -> None:
    """List the volumes of a file, survey its voxel size, and predict it as the command does."""
    from napari_unet3d.data.reading import volume_paths
    from napari_unet3d.data.voxel_size_survey import survey_files
    from napari_unet3d.inference.predict import predict_files

    volume = _volume(folder)
    volume_paths(volume)
    list(survey_files([volume]))
    for _ in predict_files(_model(), [volume], folder / "out"):
        pass


def read_labels(folder: Path) -> None:
    """Read a file as labels of an image of another file, and as a mask."""
    from napari_unet3d.data.volumes import read_sample, write_volume

    write_volume(folder / "image.npy", _sample().image)
    read_sample(folder / "image.npy", _volume(folder))


def check_dataset(folder: Path) -> None:
    """Check a dataset as the dock does, and read its training volumes and its trash."""
    from napari_unet3d.data.checks import check_events
    from napari_unet3d.data.dataset import read_samples
    from napari_unet3d.data.trash import list_trash

    list(check_events(folder))
    list_trash(folder)
    read_samples(folder)


def use_model(folder: Path) -> None:
    """Predict with a model, as from a run folder."""
    from napari_unet3d.inference.predict import predict
    from napari_unet3d.model.checkpoint import load_checkpoint
    from napari_unet3d.session.recent_runs import run_progress

    run_progress(folder)
    model = load_checkpoint(next(iter(sorted(folder.iterdir())), folder))
    for _ in predict(model, _sample()):
        pass


def resume_run(folder: Path) -> None:
    """Resume a training until the first step is done."""
    from napari_unet3d import train
    from napari_unet3d.session.recent_runs import run_progress
    from napari_unet3d.training.events import StepFinished, TrainingFinished

    run_progress(folder)
    events = train(samples("ab"), folder, training_config().model_copy(update={"epochs": 3}), resume=True)
    next((event for event in events if isinstance(event, StepFinished | TrainingFinished)), None)
    events.close()


def write_report(folder: Path) -> None:
    """Write the report of a run, and look whether folders hold an evaluation."""
    from napari_unet3d.evaluation.reports.report import write_report as write
    from napari_unet3d.runs.history import read_history
    from napari_unet3d.runs.run_files import is_evaluation, names_of_evaluation

    is_evaluation(folder / "evaluation")
    names_of_evaluation(folder / "evaluation")
    write(folder, folder / "out" / "report.html")
    read_history(folder / "history.csv")


def read_snapshots(folder: Path) -> None:
    """Read all snapshots of a run."""
    from napari_unet3d.runs.snapshots import open_snapshots

    run = open_snapshots(folder)
    for number in range(len(run.manifest.volumes) if run else 0):
        assert run is not None
        volume = run.volume(number)
        for epoch in run.epochs():
            run.prediction(epoch, number).mask_truth(volume.truth)


def read_settings(folder: Path) -> None:
    """Read a file of settings as the option ``--config`` does, and positions."""
    from napari_unet3d import configs
    from napari_unet3d.cli.settings_file import merge, read_positions

    for file in folder.iterdir():
        kind = getattr(configs, file.name.split(".")[0], None)
        if kind is not None:
            merge(kind(), file)
        else:
            read_positions(file)


def read_notes(folder: Path) -> None:
    """Read review notes and match them with errors."""
    from napari_unet3d.data.ground_truth import GroundTruth
    from napari_unet3d.evaluation.errors.find import list_errors
    from napari_unet3d.evaluation.errors.review import match_notes
    from napari_unet3d.evaluation.errors.review import read_notes as read

    notes = read(folder / "notes.json", SHAPE)
    sample = _sample()
    match_notes(list_errors(np.zeros(SHAPE, np.uint8), GroundTruth(sample.labels), sample.geometry), notes)


def read_preferences(folder: Path) -> None:
    """Read the preferences of a user as docks do when they are opened."""
    os.environ["XDG_CONFIG_HOME"] = str(folder / "home")
    from napari_unet3d.configs import TrainingConfig
    from napari_unet3d.errors import UserError
    from napari_unet3d.session.preferences import load_evaluation_config, load_preference, preferences_folder
    from napari_unet3d.session.recent_runs import recent_runs, unfinished_run

    preferences_folder().parent.mkdir(parents=True, exist_ok=True)
    (folder / "home" / "napari-unet3d").symlink_to(folder)
    recent_runs()
    unfinished_run()
    load_evaluation_config()
    values = load_preference("train")
    try:
        TrainingConfig(**values) if isinstance(values, dict) else None
    except UserError:
        return


def read_annotation(folder: Path) -> None:
    """Find and read a saved annotation."""
    os.environ["XDG_DATA_HOME"] = str(folder / "home")
    from napari_unet3d.session import annotation_store

    place = annotation_store.annotations_folder() / "a-key"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(folder)
    saved = annotation_store.saved_annotation("key")
    if saved is not None:
        annotation_store.read_annotation(saved, SHAPE)


def score_predictions(folder: Path) -> None:
    """Score predictions of another tool."""
    from napari_unet3d.inference.evaluate_predictions import evaluate_predictions

    list(evaluate_predictions(folder / "predictions", folder, out=folder / "out"))


READERS: dict[str, Callable[[Path], None]] = {
    "predict": predict_volume,
    "labels": read_labels,
    "check": check_dataset,
    "model": use_model,
    "pth": use_model,
    "resume": resume_run,
    "report": write_report,
    "snapshots": read_snapshots,
    "settings": read_settings,
    "notes": read_notes,
    "preferences": read_preferences,
    "annotation": read_annotation,
    "evaluate_predictions": score_predictions,
}


def texts_of(error: BaseException) -> Iterator[str]:
    """Yield what is wrong with a message: it should be short, and without control characters."""
    message = str(error)
    if not message or len(message) > 3000:
        yield f"a message of {len(message)} characters"
    if any(ord(letter) < 32 and letter != "\n" for letter in message):
        yield f"control characters in {json.dumps(message)[:200]}"
