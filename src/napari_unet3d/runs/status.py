"""What a training is doing, by the files of its run folder: running, since when and how far, or how it has ended."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from napari_unet3d.errors import UserError
from napari_unet3d.files import CONFIG_FILE, HISTORY_FILE
from napari_unet3d.paths import exists
from napari_unet3d.runs.history import Count, EpochRecord, best_record, read_history
from napari_unet3d.runs.lock_file import LOCK_FILE, SECONDS_UNTIL_STALE, Holder, holder_of, seconds_since_beat
from napari_unet3d.text_files import parse_json, read_json_object, read_limited

STATUS_FILE = "status.json"
_MAX_BYTES = 2**20
_MAX_TEXT = 2000


class RunPhase(StrEnum):
    """What a training is doing, or how it has ended."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    KILLED = "killed"
    """It ended without saying so, as a killed process does."""
    SILENT = "silent"
    """It runs on another computer, and has given no sign of life for ten minutes."""


class StatusFile(BaseModel):
    """What a training writes about itself to `STATUS_FILE`, at its start, now and then, and at its end.

    Attributes
    ----------
    phase : RunPhase
        Running, finished, stopped or failed.
    message : str
        Why it has ended.
    holder : Holder
        The process.
    started, updated : datetime
        When the process began to train, and when this was written.
    epoch, n_epochs : int
        Finished epochs, and all that the run is meant to have.
    step, n_steps_per_epoch : int
        Steps of the epoch after the finished ones, and the length of an epoch.
    loss : float or None
        The loss of that step.
    seconds_left : float or None
        Estimate for the rest of the run.
    start : dict
        The event `RunStarted` without its history, as `napari_unet3d.training.event_json` writes it.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    phase: RunPhase
    message: Annotated[str, Field(max_length=_MAX_TEXT)] = ""
    holder: Holder
    started: AwareDatetime
    updated: AwareDatetime
    epoch: Count = 0
    n_epochs: Count = 0
    step: Count = 0
    n_steps_per_epoch: Count = 0
    loss: float | None = None
    seconds_left: Annotated[float | None, Field(ge=0)] = None
    start: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class RunStatus:
    """What is known of a training from outside.

    Attributes
    ----------
    folder : Path
        The run folder.
    phase : RunPhase
        What it is doing, or how it has ended.
    message : str
        Why it has ended; empty while it is running.
    holder : Holder or None
        The process that trains, or that trained last.
    started, updated : datetime or None
        When that process began to train, and when it last wrote its status.
    seconds_since_beat : float or None
        While it is running: when it last gave a sign of life, which is twice a minute.
    records : tuple of EpochRecord
        The finished epochs.
    n_epochs, step, n_steps_per_epoch : int
        As in `StatusFile`; 0 if not known.
    written : StatusFile or None
        What the process has written about itself; None while it has not begun to train.
    """

    folder: Path
    phase: RunPhase
    message: str = ""
    holder: Holder | None = None
    started: datetime | None = None
    updated: datetime | None = None
    seconds_since_beat: float | None = None
    records: tuple[EpochRecord, ...] = ()
    n_epochs: int = 0
    step: int = 0
    n_steps_per_epoch: int = 0
    written: StatusFile | None = None

    @property
    def is_running(self) -> bool:
        """Whether a process may still write to the folder."""
        return self.phase in (RunPhase.RUNNING, RunPhase.SILENT)

    @property
    def best(self) -> EpochRecord | None:
        """The epoch whose weights are the model."""
        return best_record(self.records)

    def as_json(self) -> dict[str, Any]:
        """Return it for other programs; scores that are not defined are None."""
        best = self.best
        return {
            "run": str(self.folder),
            "state": self.phase.value,
            "message": self.message,
            "host": self.holder and self.holder.host,
            "process": self.holder and self.holder.process,
            "job": self.holder.job.partition("@")[0] or None if self.holder else None,
            "started": self.started and self.started.isoformat(timespec="seconds"),
            "updated": self.updated and self.updated.isoformat(timespec="seconds"),
            "seconds_since_active": self.seconds_since_beat and round(self.seconds_since_beat, 1),
            "epoch": len(self.records),
            "n_epochs": self.n_epochs or None,
            "step": self.step if self.is_running else None,
            "n_steps_per_epoch": self.n_steps_per_epoch or None,
            "best_epoch": best and best.epoch,
            "best_val_loss": best and _finite(best.val_loss),
            "best_val_dice": best and _finite(best.dice),
            "best_val_f1": best and _finite(best.val_f1),
        }


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def read_status_file(run_folder: Path) -> StatusFile | None:
    """Read what a training has written about itself; None if it is missing or damaged."""
    try:
        content = read_limited(run_folder / STATUS_FILE, _MAX_BYTES)
        return StatusFile.model_validate(parse_json(content, allow_nan=True))
    except (UserError, ValidationError, ValueError):
        return None


def read_status(run_folder: Path) -> RunStatus:
    """Find out what the training of a run folder is doing, or how it has ended.

    Nothing is written or locked. A process of this computer is looked up; of another one, the time counts at which it
    has last renewed its lock.

    Parameters
    ----------
    run_folder : Path
        The run folder, which another computer may be writing to.

    Raises
    ------
    UserError
        If it holds no run and nothing trains in it.
    """
    status = _read(run_folder)
    # Its files were not read at one moment: it may just have begun or ended.
    return _read(run_folder) if status.phase is RunPhase.KILLED else status


def _read(run_folder: Path) -> RunStatus:
    holder, written = holder_of(run_folder), read_status_file(run_folder)
    if holder is None and not any(exists(run_folder / name) for name in (STATUS_FILE, CONFIG_FILE, HISTORY_FILE)):
        raise UserError(f"{run_folder} holds no run, and no training is running in it. Choose the folder of a run.")
    records, n_epochs = _records(run_folder), _planned_epochs(run_folder)
    if written is None:
        phase = RunPhase.FINISHED if n_epochs and len(records) >= n_epochs else RunPhase.STOPPED
        ended = RunStatus(run_folder, phase, "", records=records, n_epochs=n_epochs)
    else:
        ended = RunStatus(
            run_folder,
            *(written.phase, written.message, written.holder, written.started, written.updated),
            records=records,
            n_epochs=written.n_epochs or n_epochs,
            step=written.step if written.epoch == len(records) else 0,
            n_steps_per_epoch=written.n_steps_per_epoch,
            written=written,
        )
    return _with_holder(ended, holder)


def _with_holder(status: RunStatus, holder: Holder | None) -> RunStatus:
    """Return a status that the files of a run give, as far as it goes with who holds the lock now."""
    if holder is not None and not (holder.is_here and not holder.is_alive):
        seconds = seconds_since_beat(status.folder / LOCK_FILE)
        is_silent = not holder.is_here and seconds > SECONDS_UNTIL_STALE
        is_its = status.holder == holder and status.phase is RunPhase.RUNNING
        return replace(
            status if is_its else replace(status, started=None, updated=None, written=None, step=0, message=""),
            phase=RunPhase.SILENT if is_silent else RunPhase.RUNNING,
            holder=holder,
            seconds_since_beat=seconds,
        )
    if holder is not None or status.phase is RunPhase.RUNNING:  # it has left its lock, or has lost its folder
        return replace(status, phase=RunPhase.KILLED, holder=holder or status.holder)
    return status


def _records(run_folder: Path) -> tuple[EpochRecord, ...]:
    try:
        return read_history(run_folder / HISTORY_FILE)
    except UserError:
        return ()


def _planned_epochs(run_folder: Path) -> int:
    try:
        n_epochs = read_json_object(run_folder / CONFIG_FILE).get("epochs")
    except UserError:
        return 0
    return n_epochs if isinstance(n_epochs, int) and not isinstance(n_epochs, bool) and n_epochs > 0 else 0


def now() -> datetime:
    """Return the time, to the second."""
    return datetime.now(UTC).replace(microsecond=0)
