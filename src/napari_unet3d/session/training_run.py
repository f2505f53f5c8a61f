"""The record of a run, which lives as long as its job: what the Train dock shows of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_unet3d.data.checks import Issue, Severity
from napari_unet3d.data.events import DatasetWritten, Notice, ObjectPlaced, VolumeWritten
from napari_unet3d.errors import UserError
from napari_unet3d.files import CONFIG_FILE, HISTORY_FILE, MODEL_FILE, read_settings
from napari_unet3d.runs.history import EpochRecord, best_record, read_history
from napari_unet3d.session.loss_history import LossHistory, history_of
from napari_unet3d.session.progress import Progress
from napari_unet3d.training.events import (
    Busy,
    EndReason,
    EpochFinished,
    Preflight,
    RunStarted,
    StepFinished,
    Throughput,
    TrainingFinished,
    VolumeChecked,
)

_MOST_NOTICES = 3


@dataclass(eq=False)
class TrainingRun:
    """What a dock shows of one run. It is kept by the run's job, so that a reopened dock shows all of it.

    Attributes
    ----------
    run_folder : Path
        Where the run is written.
    history : LossHistory
        The curves.
    started, latest, finished : event or None
        The beginning, the latest epoch and the end of the run.
    n_epochs_done : int
        Whole epochs, those of earlier sittings included.
    best_epoch : int or None
        The epoch whose model is on disk.
    status : str
        What is going on, in one line.
    notices : list of str
        What the user should know.
    start_from : Path or None
        The model that it goes on from, where the form of the dock does not say so.
    pace : Pace or None
        How the steps go.
    is_opened : bool
        Whether it was read from a run folder, see `load_run`; nothing is reported then.
    """

    run_folder: Path
    history: LossHistory = field(default_factory=LossHistory)
    started: RunStarted | None = None
    latest: EpochFinished | None = None
    finished: TrainingFinished | None = None
    n_epochs_done: int = 0
    best_epoch: int | None = None
    status: str = "Loading PyTorch …"
    notices: list[str] = field(default_factory=list)
    start_from: Path | None = None
    pace: Throughput | None = None
    is_opened: bool = False

    def add(self, event: Any) -> Progress | None:
        """Take note of an event and say how far the run is; None when the event does not tell."""
        match event:
            case Notice(message=message) | Issue(severity=Severity.WARNING, message=message):
                if message not in self.notices:  # the check and the run may say the same
                    self.notices.append(message)
            case RunStarted():
                self._begin(event)
            case StepFinished(epoch=epoch, step=step, loss=loss):
                self.history.add_step(epoch, step, loss)
                return self._progress(epoch - 1, step, self._seconds_left_after(step))
            case Throughput():
                self.pace = event
            case EpochFinished():
                return self._add_epoch(event)
            case TrainingFinished():
                self.finished = event
            case _ if self.started is None:
                self.status = _preparation_words(event) or self.status
        return None

    def _begin(self, event: RunStarted) -> None:
        self.started = event
        best = best_record(event.history)
        self.best_epoch, self.n_epochs_done = None if best is None else best.epoch, len(event.history)
        self.history = history_of(event.history, event.n_steps_per_epoch)
        self.status = f"First of {event.n_epochs} epochs …"
        if event.history:
            self.status = f"Going on after epoch {self.n_epochs_done} of {event.n_epochs} …"

    def _add_epoch(self, event: EpochFinished) -> Progress | None:
        self.latest, self.n_epochs_done = event, event.epoch
        record = EpochRecord(event.epoch, event.train_loss, event.val_loss, event.val_dice)
        self.history.add_epoch(record, is_best=event.is_best)
        if event.is_best:
            self.best_epoch = event.epoch
        self.status = _epoch_words(record, self.started.n_epochs if self.started else None)
        return self._progress(event.epoch, 0, event.seconds_left)

    def _seconds_left_after(self, step: int) -> float | None:
        """Take the steps since the latest epoch off the engine's estimate; None before there is one."""
        if self.started is None or self.latest is None or self.latest.epoch >= self.started.n_epochs:
            return None
        part_of_epoch = step / max(1, self.started.n_steps_per_epoch)
        return self.latest.seconds_left * (1 - part_of_epoch / (self.started.n_epochs - self.latest.epoch))

    def _progress(self, epochs: int, steps: int, seconds_left: float | None = None) -> Progress | None:
        if self.started is None:
            return None
        n_steps = max(1, self.started.n_steps_per_epoch)
        return Progress(epochs * n_steps + steps, self.started.n_epochs * n_steps, seconds_left)

    @property
    def setup_text(self) -> str:
        """Device, precision, what a step sees and the volumes of the run; empty before they are known."""
        if self.started is None:
            return ""
        train, val = len(self.started.train_names), len(self.started.val_names)
        volumes = f"{train} training, {val} validation volume{'' if val == 1 else 's'}"
        if self.started.blocks:
            volumes = "of the one volume a block trains (blue) and another validates (orange)"
        words = f"{self.started.device} · {self.started.plan.description} per step · {volumes}"
        return words if self.start_from is None else f"{words} · trains on from {self.start_from.name}"

    @property
    def notices_text(self) -> str:
        """The first notices, a line each, and how many more there are."""
        n_more = len(self.notices) - _MOST_NOTICES
        more = [f"… and {n_more} more; press Check to read them all."] if n_more > 0 else []
        return "\n".join([*self.notices[:_MOST_NOTICES], *more])

    @property
    def has_model(self) -> bool:
        """Whether the run folder holds a model that can predict; a run stopped in its first epoch may have one."""
        return (self.run_folder / MODEL_FILE).is_file()

    def outcome(self, *, stopped: bool, failed: bool) -> str:
        """Say in one or two sentences how the run ended and where its model is; empty after a failure without one."""
        if not self.has_model:
            return "Stopped before the first step; there is no model." if stopped and not failed else ""
        if self.best_epoch is None:
            return f"Stopped in the first epoch. The model as it was then is in {self.run_folder}"
        n = self.n_epochs_done
        how = f"Stopped after epoch {n}." if stopped else f"It broke off after epoch {n}."
        if self.finished is not None:
            all_done = self.finished.reason is EndReason.EPOCHS
            how = "Training is done." if all_done else f"Training ended after epoch {n}: {self.finished.reason}."
        is_last = self.history.records and self.history.records[-1].lacks_foreground
        which = "last model" if is_last else "best model"
        return f"{how} The {which}, of epoch {self.best_epoch}, is in {self.run_folder}"


def load_run(run_folder: Path) -> TrainingRun:
    """Read what is known of a run that this viewer has not made, or not in this session; it may still be going on.

    Raises
    ------
    UserError
        If the folder holds no run.
    """
    if not (run_folder / HISTORY_FILE).is_file():
        raise UserError(f"{run_folder} holds no run with an epoch. Choose a folder with a {HISTORY_FILE}.")
    records = read_history(run_folder / HISTORY_FILE)
    record = TrainingRun(run_folder, history_of(records), n_epochs_done=len(records), is_opened=True)
    best = best_record(records)
    record.best_epoch = None if best is None else best.epoch
    n_epochs = None
    with suppress(UserError):
        n_epochs = read_settings(run_folder / CONFIG_FILE).get("epochs")
    record.status = f"'{run_folder.name}'"
    if records:
        record.status += f" · {_epoch_words(records[-1], n_epochs)}"
    return record


def _epoch_words(record: EpochRecord, n_epochs: int | None) -> str:
    words = f"training loss {record.train_loss:.3f}"
    if record.val_loss is not None:
        words += f", validation {record.val_loss:.3f}"
    if record.dice is not None:
        words += f", Dice {record.dice:.3f}"
    return f"Epoch {record.epoch}{'' if n_epochs is None else f' of {n_epochs}'}: {words}"


def _preparation_words(event: Any) -> str:
    """Say what goes on before the run begins; empty for events that do not tell."""
    match event:
        case ObjectPlaced(n_placed=n, n_objects=of):
            return f"Generating sample data: object {n} of {of} …"
        case VolumeWritten(n_written=n, n_volumes=of):
            return f"Generated sample volume {n} of {of}."
        case DatasetWritten():
            return "Loading PyTorch …"
        case VolumeChecked(n_checked=n, n_volumes=of):
            return f"Checking volume {n} of {of} …"
        case Preflight():
            return "Preparing the volumes …"
        case Busy(message=words):
            return f"{words} …"
    return ""
