"""The memory of the last training: whether it reached its end, so that the next session can offer to go on with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.training.events import RunStarted, TrainingFinished
from napari_unet3d.training.unfinished import RunProgress, run_progress

_KEY = "last-training"


@dataclass(frozen=True, slots=True)
class UnfinishedRun:
    """A run that was stopped, failed or was killed, and can go on.

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
    """Pass on the events of a training, and note how it stands: as going on, left or finished.

    Parameters
    ----------
    events : iterator
        Of `train`.
    dataset : Path or None
        The dataset folder; None for layers.
    """
    note: dict[str, Any] = {}
    try:
        for event in events:
            if isinstance(event, RunStarted):
                folder = None if dataset is None else str(dataset)
                note = {"run_folder": str(event.run_folder), "dataset": folder, "is_finished": False}
                save_preference(_KEY, note | {"process": [os.getpid(), psutil.Process().create_time()]})
            elif isinstance(event, TrainingFinished):
                note["is_finished"] = True
            yield event
    finally:
        if (close := getattr(events, "close", None)) is not None:
            close()
        if note:
            save_preference(_KEY, note)


def unfinished_run() -> UnfinishedRun | None:
    """Return the last training when it did not reach its end, is not going on, and can be resumed."""
    note = load_preference(_KEY)
    if not isinstance(note, dict) or note.get("is_finished") or _is_alive(note.get("process")):
        return None
    folder, dataset = note.get("run_folder"), note.get("dataset")
    if not isinstance(folder, str):
        return None
    progress = run_progress(Path(folder))
    if progress is None or progress.n_done >= progress.n_epochs:
        return None
    return UnfinishedRun(Path(folder), Path(dataset) if isinstance(dataset, str) else None, progress)


def _is_alive(process: Any) -> bool:
    """Return whether the process that trains still runs; its number alone may belong to another one by now."""
    match process:
        case [int(number), float(began)]:
            with suppress(psutil.Error):
                return bool(abs(psutil.Process(number).create_time() - began) < 1)
    return False
