"""Follows a training that runs elsewhere by the files of its run folder, as events of `train`."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from napari_unet3d.data.events import Notice
from napari_unet3d.errors import UserError
from napari_unet3d.files import MODEL_FILE
from napari_unet3d.formatting import format_duration
from napari_unet3d.runs.history import best_record
from napari_unet3d.runs.snapshots import open_snapshots
from napari_unet3d.runs.status import RunPhase, RunStatus, read_status
from napari_unet3d.session.launch_record import LOG_FILE, LaunchPlace, LaunchRecord, describe_wait, last_words
from napari_unet3d.training.event_json import event_of
from napari_unet3d.training.events import (
    Busy,
    EndReason,
    EpochFinished,
    RunStarted,
    SnapshotSaved,
    StepFinished,
    TrainingFinished,
)

_SECONDS_BETWEEN_LOOKS, _SECONDS_BETWEEN_EVENTS = 2.0, 0.1
_SECONDS_BETWEEN_QUESTIONS = 10.0  # to a scheduler, which many ask


class RunFollower:
    """Follows a training by its run folder, which may be on a disk that several computers share.

    Parameters
    ----------
    run_folder : Path
        The run folder.
    launch : LaunchRecord, optional
        How the training was started; without it, only a training that has begun can be followed.

    Attributes
    ----------
    has_started : bool
        Whether it was seen to train.
    is_stopped : bool
        Set it when the training was asked to stop: its end is then no failure, and it is not waited for again.
    """

    def __init__(self, run_folder: Path, launch: LaunchRecord | None = None) -> None:
        self._folder, self._launch = run_folder, launch
        self._session: datetime | None = None  # the start of the process that is followed
        self._n_epochs = 0
        self._step = (0, 0)
        self._n_snapshots = 0
        self._said: set[str] = set()
        self._wait: tuple[float, str | None] = (-math.inf, None)
        self.has_started = self.is_stopped = False

    def events(self) -> Iterator[Any]:
        """Yield the events of the training until it has ended.

        Yields
        ------
        RunStarted, StepFinished, EpochFinished, SnapshotSaved, TrainingFinished, Busy, Notice or None
            As `train`, but only the latest step at each look, which is every two seconds; None if there is no news.

        Raises
        ------
        UserError
            If the training has failed, was killed, or could not be started.
        """
        while True:
            status = self._read()
            yield from self._news(status)
            if status is None or not status.is_running:
                waiting = self._describe_wait()
                if waiting is None:
                    waiting = "" if status or self.is_stopped or self._launch is None else "Waiting for the training"
                if not waiting or self._is_over(status):
                    yield from self._end(self._read())  # it may have begun and ended since the last look
                    return
                yield from self._describe(waiting)
            for _ in range(round(_SECONDS_BETWEEN_LOOKS / _SECONDS_BETWEEN_EVENTS)):
                time.sleep(_SECONDS_BETWEEN_EVENTS)
                yield None

    def _read(self) -> RunStatus | None:
        """Return the status of the training that was started; None while the folder tells of an earlier one only."""
        try:
            status = read_status(self._folder)
        except UserError:
            return None
        is_earlier = self._launch is not None and status.updated in (None, self._launch.earlier)
        return None if is_earlier and not status.is_running else status

    def _news(self, status: RunStatus | None) -> Iterator[Any]:
        if status is None or not status.started:
            if status is not None:
                yield Busy("Preparing the volumes")
            return
        if status.started != self._session:
            yield from self._begin(status)
        yield from self._new_epochs(status)
        if status.is_running:
            yield from self._new_step(status)
        yield from self._new_snapshots()
        if status.phase is RunPhase.SILENT:
            seconds = format_duration(status.seconds_since_beat or 0.0)
            where = "" if status.holder is None else f" on {status.holder.host}"
            text = f"The training{where} has given no sign of life for {seconds}; it has probably crashed."
            yield from self._once("silent", text)

    def _once(self, kind: str, text: str) -> Iterator[Notice]:
        if kind not in self._said:
            self._said.add(kind)
            yield Notice(text)

    def _describe_wait(self) -> str | None:
        """Return what the training waits for, see `describe_wait`; a scheduler is not asked at each look."""
        if self._launch is None:
            return None
        asked_at, answer = self._wait
        seconds = _SECONDS_BETWEEN_QUESTIONS if self._launch.place is LaunchPlace.SLURM else 0.0
        if time.monotonic() - asked_at >= seconds:
            answer = describe_wait(self._launch)
            self._wait = time.monotonic(), answer
        return answer

    def _describe(self, waiting: str) -> Iterator[Busy | Notice]:
        yield Busy(waiting)
        if self.has_started and waiting.startswith("Waiting"):
            yield from self._once(
                str(self._session), f"The training was interrupted, and continues by itself. {waiting}."
            )

    def _begin(self, status: RunStatus) -> Iterator[RunStarted]:
        try:
            started = event_of({} if status.written is None else status.written.start)
        except ValueError:
            return  # written by another version
        if isinstance(started, RunStarted):
            self._session, self.has_started, self._n_epochs = status.started, True, len(status.records)
            yield replace(started, run_folder=self._folder, history=status.records)

    def _new_epochs(self, status: RunStatus) -> Iterator[EpochFinished]:
        records, written = status.records, status.written
        for number in range(self._n_epochs, len(records)):
            record, is_last = records[number], number == len(records) - 1
            is_best = best_record(records[: number + 1]) is record
            seconds_left = written.seconds_left if written is not None and is_last else None
            scores = record.val_loss, record.val_dice, is_best, seconds_left, record.val_f1
            yield EpochFinished(record.epoch, record.train_loss, *scores)
        self._n_epochs = len(records)

    def _new_step(self, status: RunStatus) -> Iterator[StepFinished]:
        written = status.written
        if written is None or written.loss is None or written.epoch != self._n_epochs or not written.step:
            return
        if (step := (written.epoch + 1, written.step)) != self._step:
            self._step = step
            yield StepFinished(*step, written.loss)

    def _new_snapshots(self) -> Iterator[SnapshotSaved]:
        try:
            found = open_snapshots(self._folder)
        except UserError:  # the panel that shows them says so
            return
        epochs = () if found is None else found.epochs()
        if found is not None and len(epochs) != self._n_snapshots and epochs:
            self._n_snapshots = len(epochs)
            yield SnapshotSaved(self._folder, epochs[-1], len(found.manifest.volumes))

    def _is_over(self, status: RunStatus | None) -> bool:
        """Return whether a training is not waited for, whatever its scheduler says."""
        return status is not None and (status.phase is RunPhase.FINISHED or self.is_stopped)

    def _end(self, status: RunStatus | None) -> Iterator[Any]:
        """Yield what is left of a training that has ended; raise an error if it has failed."""
        if status is None:
            if not self.is_stopped:
                raise UserError(self._explain_no_start())
            return
        yield from self._news(status)
        if status.phase is RunPhase.FAILED:
            raise UserError(status.message or "The training failed.")
        if status.phase is RunPhase.KILLED:
            raise UserError(
                "The training has ended without saying why, as a process does that is killed, for example when memory "
                "runs out. The run can be resumed after its last complete epoch."
            )
        yield self._finished(status)

    def _explain_no_start(self) -> str:
        last = last_words(self._folder)
        said = f" Its last message: {last.rstrip('.')}." if last else ""
        return f"The training has ended before it began.{said} What it has written is in {self._folder / LOG_FILE}"

    def _finished(self, status: RunStatus) -> TrainingFinished:
        reason = EndReason.REQUESTED if status.phase is RunPhase.STOPPED else EndReason.EPOCHS
        if status.phase is RunPhase.FINISHED and status.message in tuple(EndReason):
            reason = EndReason(status.message)
        best = best_record(status.records)
        scores = (0, None, None) if best is None else (best.epoch, best.val_loss, best.val_dice)
        return TrainingFinished(
            self._folder, self._folder / MODEL_FILE, *scores, reason, None if best is None else best.val_f1
        )
