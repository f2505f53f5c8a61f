"""A training in a separate process, which a job starts, follows through JSON lines, and ends."""

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
from tempfile import TemporaryDirectory, gettempdir
from typing import IO, Any, ClassVar

from napari_unet3d.data.dataset import write_lossless
from napari_unet3d.errors import UserError
from napari_unet3d.files import write_json
from napari_unet3d.leftovers import remove_leftovers, temporary_name
from napari_unet3d.session.recent_runs import free_folder, track_last_run
from napari_unet3d.session.training_job import TrainingRequest
from napari_unet3d.training.background import run_in_background
from napari_unet3d.training.event_json import RunFailed, load
from napari_unet3d.training.events import Busy, EpochFinished, RunStarted, TrainingFinished

# Time to finish the current step after a stop. Before the first epoch, nothing is on disk to resume from.
_SECONDS_TO_STOP, _SECONDS_TO_STOP_AT_FIRST = 3.0, 30.0
_SECONDS_TO_END = 2.0


class SubprocessTraining:
    """A training in a separate process. `events` is for the job's thread, the other methods are its `JobControl`.

    Parameters
    ----------
    request : TrainingRequest
        What to train; volumes in memory are first written to the run folder.
    """

    can_pause: ClassVar[bool] = True
    outlives_viewer: ClassVar[bool] = False

    def __init__(self, request: TrainingRequest) -> None:
        self._request = request
        self._lock = threading.Lock()
        self._is_paused = False
        self._stopped_at: float | None = None
        self._has_started = self._has_epoch = False
        self.process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """Stop the training at the end of its step, or kill it if that takes too long."""
        with self._lock:
            self._stopped_at = self._stopped_at or time.monotonic()
            self._send("stop")

    def pause(self) -> None:
        """Pause the training at the end of its step."""
        with self._lock:
            self._is_paused = True
            self._send("pause")

    def resume(self) -> None:
        """Resume a paused training."""
        with self._lock:
            self._is_paused = False
            self._send("resume")

    def events(self) -> Iterator[Any]:
        """Train; the process has ended when the generator has ended or is closed.

        Yields
        ------
        PreflightEvent, TrainEvent or None
            Those of `check_then_train`; None if there is no news.

        Raises
        ------
        UserError
            The error of the training, or how its process ended unexpectedly.
        """
        python = find_python()
        temporary = Path(gettempdir())
        remove_leftovers(temporary)
        prefix = f"{temporary_name('napari-unet3d')}."
        with TemporaryDirectory(prefix=prefix, dir=temporary, ignore_cleanup_errors=True) as folder:
            data, written = yield from self._data()
            try:
                yield from track_last_run(self._run(python, data, Path(folder)), data)
            finally:
                if written is not None and not self._has_started:
                    rmtree(written, ignore_errors=True)
                    with suppress(OSError):
                        self._request.run_folder.rmdir()

    def _data(self) -> Generator[Busy, None, tuple[Path, Path | None]]:
        """Return the dataset folder, and a second time if it was written for this run."""
        data = self._request.data
        if isinstance(data, Path):
            return data, None
        folder = free_folder(self._request.run_folder, "data")
        message = f"Writing the layers to {folder} for the training process"
        yield Busy(message)
        yield from run_in_background(partial(write_lossless, folder, data), message)
        self._request = replace(self._request, data=folder)  # the volumes need not stay in memory
        return folder, folder

    def _run(self, python: str, data: Path, folder: Path) -> Iterator[Any]:
        yield Busy("Starting a separate process")
        errors = folder / "errors.txt"
        with errors.open("wb") as stderr:
            process = self._start(command_for(python, self._request, data, folder), stderr)
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

    def _start(self, command: Sequence[str], stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        no_window = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # of Windows
        with self._lock:
            self.process = subprocess.Popen(
                command,
                stdin=pipe,
                stdout=pipe,
                stderr=stderr,
                env=os.environ | {"PYTHONUTF8": "1"},
                creationflags=no_window,
            )
            for name, is_requested in (("pause", self._is_paused), ("stop", self._stopped_at is not None)):
                if is_requested:
                    self._send(name)
            return self.process

    def _send(self, command: str) -> None:
        if self.process is not None and self.process.stdin is not None:
            with suppress(OSError):  # the process may have ended
                self.process.stdin.write(f"{command}\n".encode())
                self.process.stdin.flush()

    def _is_overdue(self) -> bool:
        grace = _SECONDS_TO_STOP if self._has_epoch else _SECONDS_TO_STOP_AT_FIRST
        return self._stopped_at is not None and time.monotonic() > self._stopped_at + grace


_POLL_SECONDS = 0.1
_SECONDS_TO_TERMINATE = 0.5
_MAX_MESSAGE = 300


def command_for(python: str, request: TrainingRequest, data: Path, folder: Path) -> list[str]:
    """Return the command line of a training, and write its settings to a file.

    Parameters
    ----------
    python : str
        The Python interpreter.
    request : TrainingRequest
        What to train.
    data : Path
        The dataset folder.
    folder : Path
        Where the settings file is written.
    """
    arguments = ["train", str(data.absolute()), "--run", str(request.run_folder.absolute()), "--json-lines"]
    if request.config is not None:
        settings = folder / "settings.json"
        # Only what was set explicitly: the rest comes from the resumed run, or the model that the run starts from.
        write_json(settings, request.config.model_dump(mode="json", exclude_unset=True))
        arguments += ["--config", str(settings)]
    if request.resume:
        arguments.append("--resume")
    if request.start_from is not None:
        arguments += ["--start-from", str(request.start_from.absolute())]
    return [python, "-P", "-m", "napari_unet3d", *arguments]  # -P: do not import modules from the current folder


def find_python() -> str:
    """Return the Python interpreter of this environment; in a bundled application it may differ from `sys.executable`.

    Raises
    ------
    UserError
        If there is none.
    """
    if Path(sys.executable or "").name.lower().startswith("python"):
        return sys.executable
    for folder in ("bin", "Scripts", "."):
        for name in ("python3", "python", "python.exe"):
            if (program := Path(sys.prefix) / folder / name).is_file():
                return str(program)
    raise UserError(
        f"There is no Python interpreter in {sys.prefix}, which a training in a separate process needs. "
        "Switch this option off under Run, and train in the viewer."
    )


def explain_exit(code: int, errors: str) -> str:
    """Return in a sentence or two how a process ended unexpectedly, and what to do.

    Parameters
    ----------
    code : int
        Its exit code; a negative one is the signal that killed it.
    errors : str
        What it wrote to stderr.
    """
    if code == -getattr(signal, "SIGKILL", 9):
        return (
            "The training process was killed, as the system does when memory runs out. Choose a smaller batch size or "
            "preset, or close other programs. The run can be resumed after its last complete epoch."
        )
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    last = f" Last error message: {lines[-1][:_MAX_MESSAGE].rstrip('.')}." if lines else ""
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return f"The training process ended unexpectedly, {how}.{last} Train in the viewer instead, or report this."


def lines_of(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yield the lines of a process as they arrive, and an empty string now and then while there is none."""
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
            line = arrived.get(timeout=_POLL_SECONDS)
        except Empty:
            yield ""
            continue
        if line is None:
            return
        yield line.decode()


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End a process and wait for it: close its stdin, then terminate it, then kill it.

    Parameters
    ----------
    process : Popen
        The process, which may have ended.
    seconds : float
        How long to wait after stdin was closed.
    """
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()  # which means stop
    for timeout, next_step in ((seconds, process.terminate), (_SECONDS_TO_TERMINATE, process.kill)):
        try:
            process.wait(timeout)
            break
        except subprocess.TimeoutExpired:
            next_step()
    process.wait()
