"""A training in a process of its own: started from a job's thread, followed through its lines, and ended with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import IO, Any

from napari_unet3d.data.dataset import write_lossless
from napari_unet3d.errors import UserError
from napari_unet3d.files import write_json
from napari_unet3d.session.last_run import track_last_run
from napari_unet3d.session.recent_runs import free_folder
from napari_unet3d.session.training_job import TrainingRequest
from napari_unet3d.training.background import run_in_background
from napari_unet3d.training.event_json import RunFailed, load
from napari_unet3d.training.events import Busy, EpochFinished, RunStarted, TrainingFinished

# For the step that it makes when it is asked to end. Before the first epoch nothing is on disk to go on from.
_SECONDS_TO_STOP, _SECONDS_TO_STOP_AT_FIRST = 3.0, 30.0
_SECONDS_TO_END = 2.0


class SubprocessTraining:
    """One training in a process of its own. `events` is for the job's thread, the other methods are its `Control`.

    Parameters
    ----------
    order : Order
        What is to be trained; volumes that lie in memory are written into the run folder first.
    """

    def __init__(self, order: TrainingRequest) -> None:
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
            Those of `check_then_train`; None while there is nothing new.

        Raises
        ------
        UserError
            What the training raised, or how its process ended when it was not asked to.
        """
        python = find_python()
        with TemporaryDirectory(prefix="napari-unet3d-", ignore_cleanup_errors=True) as folder:
            data, written = yield from self._data()
            try:
                yield from track_last_run(self._run(python, data, Path(folder)), data)
            finally:
                if written is not None and not self._has_started:
                    rmtree(written, ignore_errors=True)
                    with suppress(OSError):
                        self._order.run_folder.rmdir()

    def _data(self) -> Generator[Busy, None, tuple[Path, Path | None]]:
        """Return the dataset folder, and once more when it was written for this run."""
        data = self._order.data
        if isinstance(data, Path):
            return data, None
        folder = free_folder(self._order.run_folder, "data")
        words = f"Writing the layers to {folder}, from where the process reads them"
        yield Busy(words)
        yield from run_in_background(partial(write_lossless, folder, data), words)
        self._order = replace(self._order, data=folder)  # the volumes need not stay in memory
        return folder, folder

    def _run(self, python: str, data: Path, folder: Path) -> Iterator[Any]:
        yield Busy("Starting a process of its own")
        errors = folder / "errors.txt"
        with errors.open("wb") as told:
            process = self._start(command_for(python, self._order, data, folder), told)
        failure, is_finished = None, False
        try:
            for line in lines_of(process):
                event = load(line) if line else None
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
            raise UserError(explain_exit(process.returncode, errors.read_text("utf-8", errors="replace")))

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


_LOOK_EVERY_SECONDS = 0.1
_SECONDS_TO_TERMINATE = 0.5
_MOST_WORDS = 300


def command_for(python: str, order: TrainingRequest, data: Path, folder: Path) -> list[str]:
    """Return the command of a training, with its settings in a file.

    Parameters
    ----------
    python : str
        The Python program.
    order : Order
        What is to be trained.
    data : Path
        The dataset folder.
    folder : Path
        Where the file with the settings is written.
    """
    words = ["train", str(data.absolute()), "--run", str(order.run_folder.absolute()), "--json-lines"]
    if order.config is not None:
        settings = folder / "settings.json"
        # Only what was chosen: the rest is that of the run that goes on, or of the model that it starts from.
        write_json(settings, order.config.model_dump(mode="json", exclude_unset=True))
        words += ["--config", str(settings)]
    if order.resume:
        words.append("--resume")
    if order.start_from is not None:
        words += ["--start-from", str(order.start_from.absolute())]
    return [python, "-P", "-m", "napari_unet3d", *words]  # -P: no file of the current folder is taken for a module


def find_python() -> str:
    """Return the Python program of this environment; in a bundled application `sys.executable` may be another one.

    Raises
    ------
    UserError
        When there is none.
    """
    if Path(sys.executable or "").name.lower().startswith("python"):
        return sys.executable
    for folder in ("bin", "Scripts", "."):
        for name in ("python3", "python", "python.exe"):
            if (program := Path(sys.prefix) / folder / name).is_file():
                return str(program)
    raise UserError(
        f"There is no Python program in {sys.prefix}, which a training in a process of its own needs. "
        "Switch that off under Run, and train in the viewer."
    )


def explain_exit(code: int, errors: str) -> str:
    """Say in a sentence or two how a process ended that nobody had asked to, and what to do.

    Parameters
    ----------
    code : int
        Its exit code; below 0 the signal that killed it.
    errors : str
        What it wrote to stderr.
    """
    if code == -getattr(signal, "SIGKILL", 9):
        return (
            "The process of the training was killed, as a system does when memory runs out. Choose a smaller batch "
            "size or preset, or close other programs; the run can be continued from its last whole epoch."
        )
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    last = f" Its last words were: {lines[-1][:_MOST_WORDS].rstrip('.')}." if lines else ""
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return f"The process of the training ended unexpectedly, {how}.{last} Train in the viewer instead, or report this."


def lines_of(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Return the lines of a process as they come, and an empty text now and then while none comes."""
    arrived: SimpleQueue[bytes | None] = SimpleQueue()
    stdout = process.stdout
    assert stdout is not None

    def read() -> None:
        with stdout:
            for line in stdout:
                arrived.put(line)
        arrived.put(None)

    threading.Thread(target=read, name="lines of the training", daemon=True).start()
    while True:
        try:
            line = arrived.get(timeout=_LOOK_EVERY_SECONDS)
        except Empty:
            yield ""
            continue
        if line is None:
            return
        yield line.decode()


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End a process and wait for its end: it is asked to, then told to, then made to.

    Parameters
    ----------
    process : Popen
        It may have ended.
    seconds : float
        How long it may take after it was asked.
    """
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()  # which means stop
    for patience, next_means in ((seconds, process.terminate), (_SECONDS_TO_TERMINATE, process.kill)):
        try:
            process.wait(patience)
            break
        except subprocess.TimeoutExpired:
            next_means()
    process.wait()
