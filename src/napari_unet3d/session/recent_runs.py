"""Runs that are remembered: the recent ones, and the last one when it was not finished."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import safetensors
from platformdirs import user_data_path

from napari_unet3d.files import MODEL_FILE, RESUME_FILE
from napari_unet3d.model.bioimageio.package import DESCRIPTIONS
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.session.shared_preferences import shared_preferences
from napari_unet3d.text_files import parse_json
from napari_unet3d.training.events import EndReason, RunStarted, TrainingFinished

_MOST_RECENT = 10
_KEY = "recent-runs"
_LAST_KEY = "last-training"
_DETACHED_KEY, _MOST_DETACHED = "detached-runs", 20


def recent_runs() -> list[Path]:
    """Return the run folders, packages and model files used or made last, newest first, as far as they still exist."""
    known = load_preference(_KEY)
    paths = [Path(path) for path in known if isinstance(path, str)] if isinstance(known, list) else []
    inside = (MODEL_FILE, *DESCRIPTIONS)
    return [path for path in paths if os.path.isfile(path) or any(os.path.isfile(path / name) for name in inside)]


def remember_run(run: Path) -> None:
    """Record a run folder or model file as the most recent one."""
    others = [path for path in recent_runs() if path != run]
    save_preference(_KEY, [str(path) for path in [run, *others][:_MOST_RECENT]])


def new_run_folder(dataset: Path | None) -> Path:
    """Return a run folder that does not exist yet: ``runs/DATE_TIME`` next to a dataset folder.

    Parameters
    ----------
    dataset : Path, optional
        The dataset folder; without one, runs are placed in the plugin's folder among the user's data. If the
        preferences name a folder for runs, they are placed in that one.
    """
    beside = (plugin_data_folder() if dataset is None else dataset.parent) / "runs"
    runs = shared_preferences().runs_folder or beside
    return free_folder(runs, datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))


def free_folder(parent: Path, name: str) -> Path:
    """Return a folder that does not exist yet: of that name, or else with ``_2``, ``_3``, … after it."""
    names = (f"{name}{'' if n == 1 else f'_{n}'}" for n in range(1, 1_000_000))
    return next(parent / name for name in names if not os.path.exists(parent / name))


def plugin_data_folder() -> Path:
    """Return the plugin's folder among the user's data, for sample datasets and runs without a dataset folder."""
    return user_data_path("napari-unet3d", appauthor=False)


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
    if not os.path.isfile(state):
        return None
    try:
        with safetensors.safe_open(state, framework="np") as file:
            header = parse_json((file.metadata() or {})["header"], allow_nan=True)
        progress = RunProgress(int(header["epoch"]), int(header["config"]["epochs"]))
    except (OSError, MemoryError, safetensors.SafetensorError, ValueError, KeyError, TypeError, OverflowError):
        return None
    has_model = os.path.isfile(run_folder / MODEL_FILE)
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
                save_preference(_LAST_KEY, entry | {"process": [os.getpid(), psutil.Process().create_time()]})
            elif isinstance(event, TrainingFinished):
                entry["is_finished"] = event.reason is not EndReason.REQUESTED
            yield event
    finally:
        if (close := getattr(events, "close", None)) is not None:
            close()
        if entry:
            save_preference(_LAST_KEY, entry)


def unfinished_run() -> UnfinishedRun | None:
    """Return the last training if it is unfinished, not running, and can be resumed."""
    entry = load_preference(_LAST_KEY)
    if not isinstance(entry, dict) or entry.get("is_finished") or _is_alive(entry.get("process")):
        return None
    folder, dataset = entry.get("run_folder"), entry.get("dataset")
    if not isinstance(folder, str) or Path(folder) in detached_runs():  # it may be running, and is shown by itself
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


def detached_runs() -> list[Path]:
    """Return the run folders of trainings that do not end with the viewer and whose end no dock has shown yet.

    The newest is first.
    """
    known = load_preference(_DETACHED_KEY)
    folders = [Path(each) for each in known if isinstance(each, str)] if isinstance(known, list) else []
    return [folder for folder in folders if os.path.isdir(folder)]


def remember_detached(folder: Path) -> None:
    """Add a run folder to `detached_runs`."""
    others = [each for each in detached_runs() if each != folder.absolute()]
    save_preference(_DETACHED_KEY, [str(each) for each in [folder.absolute(), *others][:_MOST_DETACHED]])


def forget_detached(folder: Path) -> None:
    """Remove a run folder from `detached_runs`."""
    save_preference(_DETACHED_KEY, [str(each) for each in detached_runs() if each != folder.absolute()])
