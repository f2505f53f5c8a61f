"""A training in a process of its own: started from a job's thread, followed through its lines, and ended with it."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import IO, Any

from napari_unet3d.data.handing_over import write_exactly
from napari_unet3d.errors import UserError
from napari_unet3d.training.event_lines import RunFailed, event_of
from napari_unet3d.training.events import EpochFinished, RunStarted, TrainingFinished, Working
from napari_unet3d.training.heartbeat import beating
from napari_unet3d.widgets.kit.runs import free_folder
from napari_unet3d.widgets.training.child_process import command_for, end, find_python, how_it_ended, lines_of
from napari_unet3d.widgets.training.train_work import Order
from napari_unet3d.widgets.training.unfinished import noted

# For the step that it makes when it is asked to end. Before the first epoch nothing is on disk to go on from.
_SECONDS_TO_STOP, _SECONDS_TO_STOP_AT_FIRST = 3.0, 30.0
_SECONDS_TO_END = 2.0


class ChildTraining:
    """One training in a process of its own. `events` is for the job's thread, the other methods are its `Control`.

    Parameters
    ----------
    order : Order
        What is to be trained; volumes that lie in memory are written into the run folder first.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._lock = threading.Lock()
        self._is_paused = False
        self._stopped_at: float | None = None
        self._has_started = self._has_epoch = False
        self.process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """Ask the training to end, at the end of its step or after a moment of grace."""
        with self._lock:
            self._stopped_at = self._stopped_at or time.monotonic()
            self._say("stop")

    def pause(self) -> None:
        """Ask the training to stand still at the end of its step."""
        with self._lock:
            self._is_paused = True
            self._say("pause")

    def resume(self) -> None:
        """Let a paused training go on."""
        with self._lock:
            self._is_paused = False
            self._say("resume")

    def events(self) -> Iterator[Any]:
        """Train; the process is gone when the generator has ended or is closed.

        Yields
        ------
        PreflightEvent, TrainEvent or None
            Those of `train_checked`; None while there is nothing new.

        Raises
        ------
        UserError
            What the training raised, or how its process ended when it was not asked to.
        """
        python = find_python()
        with TemporaryDirectory(prefix="napari-unet3d-", ignore_cleanup_errors=True) as folder:
            data, written = yield from self._data()
            try:
                yield from noted(self._run(python, data, Path(folder)), data)
            finally:
                if written is not None and not self._has_started:
                    rmtree(written, ignore_errors=True)
                    with suppress(OSError):
                        self._order.run_folder.rmdir()

    def _data(self) -> Generator[Working, None, tuple[Path, Path | None]]:
        """Give the dataset folder, and once more when it was written for this run."""
        data = self._order.data
        if isinstance(data, Path):
            return data, None
        folder = free_folder(self._order.run_folder, "data")
        words = f"Writing the layers to {folder}, from where the process reads them"
        yield Working(words)
        yield from beating(partial(write_exactly, folder, data), words)
        self._order = replace(self._order, data=folder)  # the volumes need not stay in memory
        return folder, folder

    def _run(self, python: str, data: Path, folder: Path) -> Iterator[Any]:
        yield Working("Starting a process of its own")
        errors = folder / "errors.txt"
        with errors.open("wb") as told:
            process = self._start(command_for(python, self._order, data, folder), told)
        failure, is_finished = None, False
        try:
            for line in lines_of(process):
                event = event_of(line) if line else None
                if isinstance(event, RunFailed):
                    failure = event.message
                    continue
                self._has_started |= isinstance(event, RunStarted)
                self._has_epoch |= isinstance(event, EpochFinished) or (
                    isinstance(event, RunStarted) and bool(event.history)
                )
                is_finished |= isinstance(event, TrainingFinished)
                yield event
                if self._is_overdue():
                    break
        finally:
            with self._lock:
                self.process = None
            end(process, 0.0 if self._is_overdue() else _SECONDS_TO_END)
        if failure is not None:
            raise UserError(failure)
        if not is_finished and self._stopped_at is None:
            raise UserError(how_it_ended(process.returncode, errors.read_text("utf-8", errors="replace")))

    def _start(self, command: Sequence[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        no_window = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # of Windows
        with self._lock:
            self.process = subprocess.Popen(
                command,
                stdin=pipe,
                stdout=pipe,
                stderr=errors,
                env=os.environ | {"PYTHONUTF8": "1"},
                creationflags=no_window,
            )
            for word, is_asked in (("pause", self._is_paused), ("stop", self._stopped_at is not None)):
                if is_asked:
                    self._say(word)
            return self.process

    def _say(self, word: str) -> None:
        if self.process is not None and self.process.stdin is not None:
            with suppress(OSError):  # it may have ended by itself
                self.process.stdin.write(f"{word}\n".encode())
                self.process.stdin.flush()

    def _is_overdue(self) -> bool:
        grace = _SECONDS_TO_STOP if self._has_epoch else _SECONDS_TO_STOP_AT_FIRST
        return self._stopped_at is not None and time.monotonic() > self._stopped_at + grace
