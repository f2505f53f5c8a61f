"""A training controlled by another program: events as JSON lines on stdout, commands as words on stdin."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TextIO

from napari_unet3d.cli.progress import print_status
from napari_unet3d.cli.progress_loops import as_generator
from napari_unet3d.cli.signals import SavedAndStopped
from napari_unet3d.errors import UserError
from napari_unet3d.training.event_json import RunEvent, RunFailed, dump
from napari_unet3d.training.events import EndReason, StateSaved, TrainingFinished

_STDIN, _STDOUT, _STDERR = 0, 1, 2


class FailureWritten(UserError):
    """The run failed, and the line that says so was written."""


def train_in_lines(events: Callable[[], Iterator[RunEvent]]) -> None:
    """Write the events of a run as lines of JSON, and follow the commands stop, pause and resume.

    The end of stdin means stop, so that no run continues after the program that started it has ended.

    Parameters
    ----------
    events : callable
        Returns the events of a run. The run is in a thread of its own, so that signals are handled at once, and so that
        it leaves one core to the controlling program, as a run in a viewer does.

    Raises
    ------
    FailureWritten
        If the run failed; the message was also written as a line.
    KeyboardInterrupt
        If the run was stopped.
    """
    commands = _CommandReader()
    threading.Thread(target=commands.listen, daemon=True).start()
    with _stdout_for_lines() as lines:
        run = _Run(events, commands, lines)
        run.start()
        try:
            run.wait()
        except KeyboardInterrupt:
            commands.handle("stop")
            run.wait()
            raise
    if isinstance(run.error, UserError):
        raise FailureWritten(str(run.error)) from run.error
    if run.error is not None:
        raise run.error
    if not run.is_finished:
        raise run.stop("Stopped.")


class _CommandReader:
    """Reads the commands stop, pause and resume from stdin."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_stopped = self._is_paused = False

    def listen(self) -> None:
        """Follow the commands until the end of stdin."""
        rest = b""
        # Not sys.stdin: if a thread waits for its buffer, the process ends with an error message.
        while data := _read_stdin():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.handle(line.decode("utf-8", errors="replace").strip())
        self.handle("stop")

    def handle(self, command: str) -> None:
        """Follow one command."""
        with self._changed:
            match command:
                case "stop":
                    self._is_stopped = True
                case "pause" | "resume":
                    self._is_paused = command == "pause"
                case _:
                    print_status(f"Unknown command {command[:40]!r}. Write stop, pause or resume.")
            self._changed.notify_all()

    def wait_if_paused(self) -> bool:
        """Wait while the run is paused; return whether it is to continue."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or not self._is_paused)
            return not self._is_stopped


def _read_stdin() -> bytes:
    try:
        return os.read(_STDIN, 4096)
    except OSError:  # there is no stdin
        return b""


class _Run(threading.Thread):
    """A thread that writes the events of a run until it ends or is stopped."""

    def __init__(self, events: Callable[[], Iterator[RunEvent]], commands: _CommandReader, lines: TextIO) -> None:
        super().__init__(name="training", daemon=True)
        self._events, self._commands, self._lines = events, commands, lines
        self.error: BaseException | None = None
        self.is_finished = False
        self.stop: type[KeyboardInterrupt] = KeyboardInterrupt
        self._has_ended = threading.Event()

    def run(self) -> None:
        """Train; called by `start`."""
        try:
            with closing(as_generator(self._events())) as running:
                self.is_finished = all(self._write(event) for event in running)
        except UserError as error:
            self.error = error
            self._write(RunFailed(str(error)))
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self.error = error
        finally:
            self._has_ended.set()

    def _write(self, event: RunEvent) -> bool:
        self._lines.write(f"{dump(event)}\n")
        self._lines.flush()
        if isinstance(event, StateSaved) and event.ends:
            self.stop = SavedAndStopped
            return False
        if isinstance(event, TrainingFinished) and event.reason is EndReason.REQUESTED:
            return False
        return self._commands.wait_if_paused()

    def wait(self) -> None:
        """Wait for the end; signals are handled meanwhile, on Windows within a second."""
        # Not `join` alone: interrupted by a signal, it treats the thread as ended (Python 3.11), and an interpreter
        # that exits while a thread is computing in torch aborts.
        while not self._has_ended.wait(1):
            pass
        self.join()


@contextmanager
def _stdout_for_lines() -> Iterator[TextIO]:
    """Reserve stdout for the lines; what other code prints to it goes to stderr."""
    sys.stdout.flush()
    kept = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    try:
        with os.fdopen(kept, "w", encoding="ascii", newline="\n", closefd=False) as lines:
            yield lines
    finally:
        sys.stdout.flush()
        os.dup2(kept, _STDOUT)
        os.close(kept)
