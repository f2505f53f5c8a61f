"""A training that another program follows: its events as lines on stdout, and orders as words on stdin."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TextIO

from napari_unet3d.cli.progress import print_status
from napari_unet3d.cli.progress_loops import as_generator
from napari_unet3d.errors import UserError
from napari_unet3d.training.event_json import RunEvent, RunFailed, dump

_STDIN, _STDOUT, _STDERR = 0, 1, 2


def train_in_lines(events: Callable[[], Iterator[RunEvent]]) -> None:
    """Write the events of a run as lines, and obey the words stop, pause and resume.

    The end of the input means stop, so that no run goes on when the program that started it is gone.

    Parameters
    ----------
    events : callable
        Gives the run. It works in a thread of its own, so that a signal is answered at once, and so that it leaves a
        core to the program that follows, as a run in a viewer does.

    Raises
    ------
    UserError
        What the run raised; it was written as a line, too.
    KeyboardInterrupt
        When the run was stopped.
    """
    orders = _CommandReader()
    threading.Thread(target=orders.listen, daemon=True).start()
    with _stdout_for_lines() as lines:
        run = _Run(events, orders, lines)
        run.start()
        try:
            run.wait()
        except KeyboardInterrupt:
            orders.handle("stop")
            run.wait()
            raise
    if run.error is not None:
        raise run.error
    if not run.is_finished:
        raise KeyboardInterrupt("Stopped.")


class _CommandReader:
    """What the words on stdin ask for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_stopped = self._is_paused = False

    def listen(self) -> None:
        """Obey the words of stdin to its end."""
        left = b""
        # Not through sys.stdin: a thread that waits in its buffer would end the process with an error message.
        while part := _read_stdin():
            *lines, left = (left + part).split(b"\n")
            for line in lines:
                self.handle(line.decode("utf-8", errors="replace").strip())
        self.handle("stop")

    def handle(self, word: str) -> None:
        """Take one order."""
        with self._changed:
            match word:
                case "stop":
                    self._is_stopped = True
                case "pause" | "resume":
                    self._is_paused = word == "pause"
                case _:
                    print_status(f"The word {word[:40]!r} is no order; write stop, pause or resume.")
            self._changed.notify_all()

    def wait_if_paused(self) -> bool:
        """Wait while the run is paused, and say whether it is to go on."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or not self._is_paused)
            return not self._is_stopped


def _read_stdin() -> bytes:
    try:
        return os.read(_STDIN, 4096)
    except OSError:  # there is no stdin
        return b""


class _Run(threading.Thread):
    """Goes through the events of a run until it ends or is to stop."""

    def __init__(self, events: Callable[[], Iterator[RunEvent]], orders: _CommandReader, lines: TextIO) -> None:
        super().__init__(name="training", daemon=True)
        self._events, self._orders, self._lines = events, orders, lines
        self.error: BaseException | None = None
        self.is_finished = False
        self._has_ended = threading.Event()

    def run(self) -> None:
        """Do the work of the thread."""
        try:
            with closing(as_generator(self._events())) as running:
                self.is_finished = all(self._tell(event) for event in running)
        except UserError as error:
            self.error = error
            self._tell(RunFailed(str(error)))
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self.error = error
        finally:
            self._has_ended.set()

    def _tell(self, event: RunEvent) -> bool:
        self._lines.write(f"{dump(event)}\n")
        self._lines.flush()
        return self._orders.wait_if_paused()

    def wait(self) -> None:
        """Wait for the end; a signal is answered meanwhile, on Windows within a second."""
        # Not by `join`: interrupted by a signal, it takes the thread for ended (Python 3.11), and an interpreter that
        # ends while a thread is at work in torch aborts.
        while not self._has_ended.wait(1):
            pass
        self.join()


@contextmanager
def _stdout_for_lines() -> Iterator[TextIO]:
    """Keep stdout for the lines; what others print there goes to stderr."""
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
