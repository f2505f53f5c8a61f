"""The last training and whether it has finished, so that the next session can offer to resume it; loads no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import safetensors

from napari_unet3d.files import MODEL_FILE, RESUME_FILE
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.training.events import RunStarted, TrainingFinished

_KEY = "last-training"


@dataclass(frozen=True, slots=True)
class RunProgress:
    """The number of finished epochs of a run, and of all that it was meant to have."""

    n_done: int
    n_epochs: int


def run_progress(run_folder: Path) -> RunProgress | None:
    """Read how far a run has come.

    Parameters
    ----------
    run_folder : Path
        The folder of a run.

    Returns
    -------
    RunProgress or None
        None if there is nothing that `train` could resume. Whether the tensors are intact is checked on resuming.
    """
    state = run_folder / RESUME_FILE
    if not state.is_file():
        return None
    try:
        with safetensors.safe_open(state, framework="np") as file:
            header = json.loads((file.metadata() or {})["header"])
        progress = RunProgress(int(header["epoch"]), int(header["config"]["epochs"]))
    except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError):
        return None
    has_model = (run_folder / MODEL_FILE).is_file()
    return progress if has_model or progress.n_done == 0 else None  # saved inside its first epoch


@dataclass(frozen=True, slots=True)
class UnfinishedRun:
    """A run that was stopped, failed or was killed, and can be resumed.

    Attributes
    ----------
    folder : Path
        The run folder.
    dataset : Path or None
        The dataset folder that it was trained on; None for layers.
    progress : RunProgress
        How far it came.
    """

    folder: Path
    dataset: Path | None
    progress: RunProgress


def track_last_run(events: Iterator[Any], dataset: Path | None) -> Iterator[Any]:
    """Yield the events of a training, and store in the preferences whether it is running, interrupted or finished.

    Parameters
    ----------
    events : iterator
        Events of `train`.
    dataset : Path or None
        The dataset folder; None for layers.
    """
    entry: dict[str, Any] = {}
    try:
        for event in events:
            if isinstance(event, RunStarted):
                folder = None if dataset is None else str(dataset)
                entry = {"run_folder": str(event.run_folder), "dataset": folder, "is_finished": False}
                save_preference(_KEY, entry | {"process": [os.getpid(), psutil.Process().create_time()]})
            elif isinstance(event, TrainingFinished):
                entry["is_finished"] = True
            yield event
    finally:
        if (close := getattr(events, "close", None)) is not None:
            close()
        if entry:
            save_preference(_KEY, entry)


def unfinished_run() -> UnfinishedRun | None:
    """Return the last training if it is unfinished, not running, and can be resumed."""
    entry = load_preference(_KEY)
    if not isinstance(entry, dict) or entry.get("is_finished") or _is_alive(entry.get("process")):
        return None
    folder, dataset = entry.get("run_folder"), entry.get("dataset")
    if not isinstance(folder, str):
        return None
    progress = run_progress(Path(folder))
    if progress is None or progress.n_done >= progress.n_epochs:
        return None
    return UnfinishedRun(Path(folder), Path(dataset) if isinstance(dataset, str) else None, progress)


def _is_alive(process: Any) -> bool:
    """Return whether the training process is running; its start is compared, since process ids are reused."""
    match process:
        case [int(number), float(started)]:
            with suppress(psutil.Error):
                return bool(abs(psutil.Process(number).create_time() - started) < 1)
    return False
