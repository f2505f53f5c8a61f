"""Pass the events of a training on, and record them in trackers; one that fails is left out from then on."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from napari_unet3d.configs.training_enums import Tracker
from napari_unet3d.data.events import Notice
from napari_unet3d.errors import UserError
from napari_unet3d.files import write_json
from napari_unet3d.leftovers import remove_path
from napari_unet3d.runs.history import EpochRecord
from napari_unet3d.text_files import read_json_object
from napari_unet3d.training.events import EpochFinished, RunStarted, TrainEvent, TrainingFinished
from napari_unet3d.training.tracking.tracker import Plain, RunTracker, TrackedRun, start_tracker

TRACKING_FILE = "tracking.json"
"""File of a run folder: for each tracker, what it calls the run, and how many epochs it has recorded."""
_MOST_LETTERS = 200  # of the message of an error


def track(events: Generator[TrainEvent], trackers: Sequence[Tracker], *, is_resumed: bool) -> Generator[TrainEvent]:
    """Pass the events of a training on, and record settings, losses and scores in trackers.

    Parameters
    ----------
    events : generator of TrainEvent
        The training, which is closed with this generator.
    trackers : sequence of Tracker
        Where to record it; none for nowhere.
    is_resumed : bool
        Whether the records of an earlier start are continued.

    Yields
    ------
    TrainEvent
        The events, and a `Notice` for a tracker that fails.
    """
    records = _Records(trackers, is_resumed=is_resumed)
    try:
        for event in events:
            yield from map(Notice, records.add(event))
            yield event
    finally:
        events.close()
        records.close()


class _Records:
    """The records of one run in all trackers; the methods return messages about those that have failed."""

    def __init__(self, trackers: Sequence[Tracker], *, is_resumed: bool) -> None:
        self._wanted, self._is_resumed = tuple(dict.fromkeys(trackers)), is_resumed
        self._started: dict[Tracker, RunTracker] = {}
        self._kept: dict[str, dict[str, str | int]] = {}
        self._file: Path | None = None

    def add(self, event: TrainEvent) -> list[str]:
        match event:
            case RunStarted():
                return self._start(event)
            case EpochFinished():
                return self._log(event.epoch, scalars_of(event))
            case TrainingFinished():
                return self._finish(is_complete=True)
        return []

    def close(self) -> None:
        """End the records of a run that was stopped or has failed."""
        self._finish(is_complete=False)

    def _start(self, event: RunStarted) -> list[str]:
        self._file = event.run_folder / TRACKING_FILE
        if self._is_resumed:
            with suppress(UserError):  # it was never written, or is damaged: the records begin anew
                self._kept = _read(self._file)
        else:
            remove_path(self._file)
        messages = []
        for tracker in self._wanted:
            kept = self._kept.get(tracker.value)
            earlier = None if kept is None else str(kept["id"])
            run = TrackedRun(event.run_folder, settings_of(event), earlier, len(event.history))
            messages += self._attempt(tracker, partial(self._begin, tracker, run, event.history))
        return messages

    def _begin(self, tracker: Tracker, run: TrackedRun, history: Sequence[EpochRecord]) -> None:
        self._started[tracker] = started = start_tracker(tracker, run)
        kept = self._kept.setdefault(tracker.value, {"id": started.run_id, "epochs": 0})
        for record in history[int(kept["epochs"]) :]:  # before it was tracked, or just before it was killed
            started.log(record.epoch, scalars_of(record))
        self._keep(tracker, len(history))

    def _log(self, epoch: int, scalars: dict[str, float]) -> list[str]:
        def log(tracker: Tracker, started: RunTracker) -> None:
            started.log(epoch, scalars)
            self._keep(tracker, epoch)

        return self._for_each(log)

    def _finish(self, *, is_complete: bool) -> list[str]:
        def finish(tracker: Tracker, started: RunTracker) -> None:
            del self._started[tracker]
            started.finish(is_complete=is_complete)

        return self._for_each(finish)

    def _for_each(self, action: Callable[[Tracker, RunTracker], None]) -> list[str]:
        messages = []
        for tracker, started in list(self._started.items()):
            messages += self._attempt(tracker, partial(action, tracker, started))
        return messages

    def _keep(self, tracker: Tracker, n_epochs: int) -> None:
        assert self._file is not None
        self._kept[tracker.value]["epochs"] = n_epochs
        write_json(self._file, self._kept)

    def _attempt(self, tracker: Tracker, action: Callable[[], None]) -> list[str]:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - of any library, server or disk; none of them may end the training
            self._started.pop(tracker, None)
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return [
                f"Tracking with {tracker.label} has failed: {lines[0][:_MOST_LETTERS].rstrip('.')}. The training "
                "continues without it."
            ]
        return []


def _read(file: Path) -> dict[str, dict[str, str | int]]:
    found = read_json_object(file)
    return {
        name: {"id": kept["id"], "epochs": kept["epochs"]}
        for name, kept in found.items()
        if isinstance(kept, dict) and isinstance(kept.get("id"), str) and isinstance(kept.get("epochs"), int)
    }


def scalars_of(epoch: EpochFinished | EpochRecord) -> dict[str, float]:
    """Return the numbers of an epoch by their names, without those that are not defined.

    >>> scalars_of(EpochRecord(3, 0.5, 0.25, math.nan))
    {'loss/training': 0.5, 'loss/validation': 0.25}
    """
    scalars = {
        "loss/training": epoch.train_loss,
        "loss/validation": epoch.val_loss,
        "dice/validation": epoch.val_dice,
        "f1/validation": epoch.val_f1,
    }
    if isinstance(epoch, EpochFinished):
        scalars |= {"learning_rate": epoch.learning_rate, "seconds": epoch.seconds}
    return {name: value for name, value in scalars.items() if value is not None and math.isfinite(value)}


def settings_of(run: RunStarted) -> dict[str, Plain]:
    """Return the settings of a run, what was decided for it, and its data, as text and numbers."""
    settings: dict[str, Plain] = {}
    for name, value in run.config.model_dump(mode="json", exclude={"track"}).items():
        settings[name] = _plain(value)
    return settings | {
        "plan": run.plan.description,
        "device_used": run.device,
        "n_parameters": run.n_parameters,
        "n_steps_per_epoch": run.n_steps_per_epoch,
        "n_training_volumes": len(run.train_names),
        "n_validation_volumes": len(run.val_names),
    }


def _plain(value: object) -> Plain:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return value if isinstance(value, str | int | float) else "none" if value is None else str(value)
