"""Writes what a training is doing to its run folder, for `napari-unet3d status` and for docks on other computers."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

from napari_unet3d.errors import UserError
from napari_unet3d.files import write_text
from napari_unet3d.runs.lock_file import Holder
from napari_unet3d.runs.status import STATUS_FILE, RunPhase, StatusFile, now
from napari_unet3d.training.event_json import fields_of
from napari_unet3d.training.events import (
    EndReason,
    EpochFinished,
    RunStarted,
    StateSaved,
    StepFinished,
    TrainEvent,
    TrainingFinished,
)
from napari_unet3d.training.run_folder import RunFolder

_SECONDS_BETWEEN_WRITES = 5.0
_MAX_MESSAGE = 500


class StatusWriter:
    """Writes the status of a run at its start, at most every five seconds, and at its end.

    It is no more than information: a status that cannot be written ends no training.

    Parameters
    ----------
    folder : RunFolder
        The folder of the run, whose lock is held.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        started = now()
        self._status = StatusFile(phase=RunPhase.RUNNING, holder=Holder.this(), started=started, updated=started)
        self._is_save_to_end = False
        self._written_at = 0.0

    def following(self, events: Generator[TrainEvent]) -> Iterator[TrainEvent]:
        """Yield the events of a training, and write its status."""
        try:
            with closing(events):
                for event in events:
                    self._note(event)
                    yield event
            self._end(RunPhase.FINISHED)
        except (GeneratorExit, KeyboardInterrupt):
            self._end(RunPhase.STOPPED)
            raise
        except UserError as error:
            self._end(RunPhase.FAILED, str(error))
            raise
        except BaseException as error:
            self._end(RunPhase.FAILED, f"{type(error).__name__}: {error}")
            raise

    def _note(self, event: TrainEvent) -> None:
        match event:
            case RunStarted():
                self._set(
                    epoch=len(event.history),
                    n_epochs=event.n_epochs,
                    step=event.n_steps_done,
                    n_steps_per_epoch=event.n_steps_per_epoch,
                    start=fields_of(replace(event, history=())),
                )
                self._write()
            case StepFinished(epoch=epoch, step=step, loss=loss):
                self._set(epoch=epoch - 1, step=step, loss=loss)
                self._write_now_and_then()
            case EpochFinished(epoch=epoch, seconds_left=seconds_left):
                self._set(epoch=epoch, step=0, seconds_left=seconds_left)
                self._write_now_and_then()
            case StateSaved():
                self._is_save_to_end = event.ends
            case TrainingFinished(reason=reason):
                self._end(RunPhase.STOPPED if reason is EndReason.REQUESTED else RunPhase.FINISHED, str(reason))

    def _set(self, **values: Any) -> None:
        self._status = self._status.model_copy(update=values)

    def _write_now_and_then(self) -> None:
        if time.monotonic() - self._written_at >= _SECONDS_BETWEEN_WRITES:
            self._write()

    def _end(self, phase: RunPhase, message: str = "") -> None:
        """Write how the run has ended; only the first end counts."""
        if self._status.phase is RunPhase.RUNNING:
            if phase is RunPhase.STOPPED and self._is_save_to_end:
                message = "its state was saved on the signal USR1"
            self._set(phase=phase, message=message[:_MAX_MESSAGE])
            self._write()

    def _write(self) -> None:
        self._written_at = time.monotonic()
        self._set(updated=now())
        with suppress(UserError, OSError):
            if self._folder.is_in_place():
                write_text(self._folder.path / STATUS_FILE, self._status.model_dump_json(indent=2) + "\n")
