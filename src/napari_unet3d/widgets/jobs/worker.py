"""What a job does in its threads: one runs an engine's generator, a worker of napari waits for it."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from napari.qt.threading import GeneratorWorker

from napari_unet3d.errors import UserError

logger = logging.getLogger(__name__)

_MOST_WAITING = 5000
_LOOK_EVERY_SECONDS = 0.05
_SECONDS_TO_END = 3.0  # which a step may still take when the process ends


@dataclass(frozen=True, slots=True)
class Failed:
    """The last thing in the queue of an engine that raised."""

    error: Exception


@dataclass(frozen=True, slots=True)
class PauseChanged:
    """The engine stands still from here on, or goes on again."""

    is_paused: bool


class JobControl(Protocol):
    """Orders to an engine that works elsewhere, such as in another process; each returns at once.

    After `stop` the engine's generator ends by itself, with what there is still to tell.
    """

    def stop(self) -> None:
        """Ask the work to end."""

    def pause(self) -> None:
        """Ask the work to stand still."""

    def resume(self) -> None:
        """Let it go on."""


class GeneratorThread(threading.Thread):
    """Runs an engine's generator, and puts its events and its failure into a queue.

    The thread does not keep the process alive: whoever closes the viewer need not wait for the end of a long step.
    An event that is None is not passed on; it is a moment to stop.

    Parameters
    ----------
    events : callable
        Gives the engine's generator.
    arrived : deque
        The queue; an engine that is much faster than its reader has to wait.
    control : Control, optional
        Where orders go, too, when the engine works elsewhere.
    """

    def __init__(self, events: Callable[[], Iterator[Any]], arrived: deque[Any], control: JobControl | None) -> None:
        super().__init__(name="napari-unet3d", daemon=True)
        self._events, self._arrived, self._control = events, arrived, control
        self._changed = threading.Condition()
        self._is_paused = self._is_stopped = self._is_abandoned = False
        self.has_ended = threading.Event()

    def send(self, word: str) -> None:
        """Ask the engine to ``stop``, ``pause`` or ``resume``; it does at its next event."""
        with self._changed:
            if word == "stop":
                self._is_stopped = True
            else:
                self._is_paused = word == "pause"
            self._changed.notify_all()
        if self._control is not None:
            {"stop": self._control.stop, "pause": self._control.pause, "resume": self._control.resume}[word]()

    def cancel(self) -> None:
        """Ask the engine to end as soon as it can, with nobody who listens any more."""
        with self._changed:
            self._is_abandoned = True
            self._changed.notify_all()

    def run(self) -> None:
        """Do the work of the thread."""
        _at_work.add(self)
        try:
            with closing(_as_generator(self._events)) as running:
                while self._may_go_on() and (event := next(running, self)) is not self:
                    if event is not None:
                        self._arrived.append(event)
        except UserError as error:
            self._arrived.append(Failed(error))
        except Exception as error:
            logger.exception("A job failed unexpectedly")
            self._arrived.append(Failed(error))
        finally:
            del self._events  # and with it volumes
            _at_work.discard(self)
            self.has_ended.set()

    def _may_go_on(self) -> bool:
        while len(self._arrived) > _MOST_WAITING and not self._is_wanted_to_end():  # the dock is slower
            time.sleep(0.01)
        with self._changed:
            if self._is_paused and not self._is_wanted_to_end():
                self._arrived.append(PauseChanged(True))
                self._changed.wait_for(lambda: self._is_wanted_to_end() or not self._is_paused)
                self._arrived.append(PauseChanged(False))
            ends_by_itself = self._control is not None and not self._is_abandoned
            return ends_by_itself or not self._is_wanted_to_end()

    def _is_wanted_to_end(self) -> bool:
        return self._is_stopped or self._is_abandoned


class ClosingWorker(GeneratorWorker):  # type: ignore[misc]
    """Closes its generator in the worker's thread; napari's own leaves it suspended after `quit`."""

    def work(self) -> Any:
        """Run the generator to its end, to a stop, or to an error."""
        try:
            return super().work()
        finally:
            self._gen.close()


class TitledCall(partial[Any]):
    """A call that shows as its title in napari's question about running tasks when the window is closed."""

    title = ""

    def __repr__(self) -> str:
        return self.title


def run_to_end(engine: GeneratorThread) -> Generator[None, None, None]:
    """Run an engine until it has ended; when the worker is told to quit before, the engine is abandoned.

    Yields
    ------
    None
        Often, where napari looks whether the window was closed.
    """
    engine.start()
    try:
        while not engine.has_ended.wait(_LOOK_EVERY_SECONDS):
            yield
    finally:
        engine.cancel()


def _as_generator(events: Callable[[], Iterator[Any]]) -> Generator[Any, None, None]:
    yield from events()


_at_work: set[GeneratorThread] = set()


@atexit.register
def _let_engines_end() -> None:
    """Return engines a moment to end in order when the process ends, and end it all the same.

    What an engine has announced is on disk. An interpreter that ends while a thread is at work in torch aborts, with a
    report of a crash; so when there is one that does not end, the process is ended without more ado.
    """
    engines, latest = list(_at_work), time.monotonic() + _SECONDS_TO_END
    for engine in engines:
        engine.cancel()
    if all(engine.has_ended.wait(max(0.0, latest - time.monotonic())) for engine in engines):
        return
    logging.shutdown()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    os._exit(0)
