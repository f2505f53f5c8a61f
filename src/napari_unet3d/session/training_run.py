"""The record of a training run: an evented model that collects the events of `train`, for docks and notebooks."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from psygnal import SignalGroupDescriptor

from napari_unet3d.data.events import DatasetWritten, Notice, ObjectPlaced, VolumeWritten
from napari_unet3d.data.issues import Issue, Severity
from napari_unet3d.errors import UserError
from napari_unet3d.files import CONFIG_FILE, HISTORY_FILE, MODEL_FILE, read_settings
from napari_unet3d.formatting import format_count
from napari_unet3d.runs.history import EpochRecord, best_record, read_history
from napari_unet3d.session.loss_history import LossHistory, make_loss_history
from napari_unet3d.session.progress import Progress
from napari_unet3d.training.events import (
    Busy,
    EndReason,
    EpochFinished,
    Preflight,
    RunStarted,
    SnapshotSaved,
    StepFinished,
    Throughput,
    TrainingFinished,
    VolumeChecked,
)

_MAX_NOTICES = 3


@dataclass(eq=False)
class TrainingRun:
    """What is known of a training run while it trains and after its end.

    `add` takes the events of `train` or `check_then_train`. Each attribute has a signal of its name in `events`, which
    carries the new value::

        run = TrainingRun(Path("run"))
        run.events.status.connect(print)
        for event in train("dataset", run.run_folder):
            run.add(event)

    The loss curves are in `history`, which has signals for new steps and epochs.

    Attributes
    ----------
    run_folder : Path
        Where the run is written.
    history : LossHistory
        Losses of the steps and epochs; replaced when the run starts.
    started : RunStarted or None
        Device, split, plan and settings of the run.
    latest_epoch : EpochFinished or None
        The last epoch that was finished since the run was started or resumed.
    latest_snapshot : SnapshotSaved or None
        The last snapshot that was saved.
    finished : TrainingFinished or None
        The end of the run, if it was not interrupted.
    n_epochs_done : int
        Finished epochs, including those before the run was resumed.
    best_epoch : int or None
        The epoch whose model is on disk.
    status : str
        What the run is doing, in one line.
    notices : tuple of str
        What the user should know.
    start_from : Path or None
        The model that the run starts from, if the dock does not show it elsewhere.
    throughput : Throughput or None
        The speed of the steps.
    progress : Progress or None
        Finished part of the run, and an estimate of the time left; None before the run starts.
    is_loaded : bool
        Whether it was read from a run folder by `load_run`; then no events are added.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    run_folder: Path
    history: LossHistory = field(default_factory=LossHistory)
    started: RunStarted | None = None
    latest_epoch: EpochFinished | None = None
    latest_snapshot: SnapshotSaved | None = None
    finished: TrainingFinished | None = None
    n_epochs_done: int = 0
    best_epoch: int | None = None
    status: str = "Loading PyTorch …"
    notices: tuple[str, ...] = ()
    start_from: Path | None = None
    throughput: Throughput | None = None
    progress: Progress | None = None
    is_loaded: bool = False

    def add(self, event: Any) -> None:
        """Update the record by an event of the training, or of the generation of sample data before it."""
        match event:
            case Notice(message=message) | Issue(severity=Severity.WARNING, message=message):
                if message not in self.notices:  # check and training may report the same
                    self.notices = (*self.notices, message)
            case RunStarted():
                self._start(event)
            case StepFinished(epoch=epoch, step=step, loss=loss):
                self.history.add_step(epoch, step, loss)
                self.progress = self._progress_at(epoch - 1, step, self._seconds_left_after(step))
            case Throughput():
                self.throughput = event
            case EpochFinished():
                self._add_epoch(event)
            case SnapshotSaved():
                self.latest_snapshot = event
            case TrainingFinished():
                self.finished = event
            case _ if self.started is None:
                self.status = _describe_preparation(event) or self.status

    def end(self) -> None:
        """Clear the status if the run has ended before it started, by an error or a stop."""
        if self.started is None:
            self.status = ""

    def _start(self, event: RunStarted) -> None:
        best = best_record(event.history)
        self.best_epoch, self.n_epochs_done = None if best is None else best.epoch, len(event.history)
        self.history = make_loss_history(event.history, event.n_steps_per_epoch)
        self.status = f"First of {event.n_epochs} epochs …"
        if event.history:
            self.status = f"Resuming after epoch {self.n_epochs_done} of {event.n_epochs} …"
        if event.n_steps_done:
            self.status = f"Resuming in epoch {self.n_epochs_done + 1} after step {event.n_steps_done} …"
        self.started = event  # last, so that its listeners see a complete record

    def _add_epoch(self, event: EpochFinished) -> None:
        record = EpochRecord(event.epoch, event.train_loss, event.val_loss, event.val_dice, event.val_f1)
        self.history.add_epoch(record, is_best=event.is_best)
        self.n_epochs_done = event.epoch
        if event.is_best:
            self.best_epoch = event.epoch
        self.status = _describe_epoch(record, self.started.n_epochs if self.started else None)
        self.progress = self._progress_at(event.epoch, 0, event.seconds_left)
        self.latest_epoch = event  # last, as above

    def _seconds_left_after(self, step: int) -> float | None:
        """Return the engine's estimate minus the steps since the last epoch; None before there is one."""
        if self.started is None or self.latest_epoch is None or self.latest_epoch.epoch >= self.started.n_epochs:
            return None
        fraction_of_epoch = step / max(1, self.started.n_steps_per_epoch)
        n_epochs_left, left = self.started.n_epochs - self.latest_epoch.epoch, self.latest_epoch.seconds_left
        return None if left is None else left * (1 - fraction_of_epoch / n_epochs_left)

    def _progress_at(self, n_epochs: int, n_steps: int, seconds_left: float | None) -> Progress | None:
        if self.started is None:
            return None
        per_epoch = max(1, self.started.n_steps_per_epoch)
        total = self.started.n_epochs * per_epoch
        return Progress(n_epochs * per_epoch + n_steps, total, seconds_left, is_estimated=True)

    @property
    def setup_text(self) -> str:
        """Device, precision, step and volumes of the run; empty before they are known."""
        if self.started is None:
            return ""
        n_train, n_val = len(self.started.train_names), len(self.started.val_names)
        volumes = f"{n_train} training, {format_count(n_val, 'validation volume')}"
        if self.started.blocks:
            volumes = "one volume with a training block (grey frame) and a validation block (turquoise frame)"
        text = f"{self.started.device} · {self.started.plan.description} per step · {volumes}"
        return text if self.start_from is None else f"{text} · started from {self.start_from.name}"

    @property
    def notices_text(self) -> str:
        """The first notices, one per line, and the number of further ones."""
        n_more = len(self.notices) - _MAX_NOTICES
        more = [f"… and {n_more} more; press Check to see all."] if n_more > 0 else []
        return "\n".join([*self.notices[:_MAX_NOTICES], *more])

    @property
    def has_model(self) -> bool:
        """Whether the run folder holds a model; a run that was stopped in its first epoch may have one."""
        return os.path.isfile(self.run_folder / MODEL_FILE)

    @property
    def was_stopped_elsewhere(self) -> bool:
        """Whether it ended by a request in its folder, such as of ``napari-unet3d stop``."""
        return self.finished is not None and self.finished.reason is EndReason.REQUESTED

    def describe_end(self, *, stopped: bool, failed: bool) -> str:
        """Return in one or two sentences how the run ended, and where its model is; empty if it failed without one."""
        if not self.has_model:
            return "Stopped before the first step; there is no model." if stopped and not failed else ""
        if self.best_epoch is None:
            return f"Stopped in the first epoch. The model at that moment is in {self.run_folder}"
        n = self.n_epochs_done
        stopped = stopped or self.was_stopped_elsewhere
        how = f"Stopped after epoch {n}." if stopped else f"The training failed after epoch {n}."
        if self.finished is not None and not self.was_stopped_elsewhere:
            all_done = self.finished.reason is EndReason.EPOCHS
            how = "Training is finished." if all_done else f"Training ended after epoch {n}: {self.finished.reason}."
        is_last = self.history.records and self.history.records[-1].lacks_foreground
        which = "last model" if is_last else "best model"
        return f"{how} The {which}, of epoch {self.best_epoch}, is in {self.run_folder}"


def load_run(run_folder: Path) -> TrainingRun:
    """Read the record of a run from its folder; it may still be training in another process.

    Raises
    ------
    UserError
        If the folder holds no run.
    """
    if not os.path.isfile(run_folder / HISTORY_FILE):
        raise UserError(f"{run_folder} holds no run with a finished epoch. Choose a folder with a {HISTORY_FILE}.")
    records = read_history(run_folder / HISTORY_FILE)
    run = TrainingRun(run_folder, make_loss_history(records), n_epochs_done=len(records), is_loaded=True)
    best = best_record(records)
    run.best_epoch = None if best is None else best.epoch
    n_epochs = None
    with suppress(UserError):
        n_epochs = read_settings(run_folder / CONFIG_FILE).get("epochs")
    run.status = f"'{run_folder.name}'"
    if records:
        run.status += f" · {_describe_epoch(records[-1], n_epochs)}"
    return run


def _describe_epoch(record: EpochRecord, n_epochs: int | None) -> str:
    text = f"training loss {record.train_loss:.3f}"
    if record.val_loss is not None:
        text += f", validation loss {record.val_loss:.3f}"
    if record.dice is not None:
        text += f", Dice {record.dice:.3f}"
    if record.val_f1 is not None:
        text += f", object F1 {record.val_f1:.3f}"
    return f"Epoch {record.epoch}{'' if n_epochs is None else f' of {n_epochs}'}: {text}"


def _describe_preparation(event: Any) -> str:
    """Return what happens before the run starts; empty for other events."""
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
        case Busy(message=message):
            return f"{message} …"
    return ""


def describe_throughput(throughput: Throughput) -> str:
    """Return the speed of the steps, such as ``2.4 steps/s · waits for data 3% of the time · GPU 3.1 GiB``."""
    text = f"{throughput.steps_per_second:.3g} steps/s · waits for data {throughput.waiting:.0%} of the time"
    return text if throughput.gpu_bytes is None else f"{text} · GPU {throughput.gpu_bytes / 2**30:.1f} GiB"
