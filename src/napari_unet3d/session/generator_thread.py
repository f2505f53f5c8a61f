"""A thread that runs a generator of events, can be stopped and paused, and ends with the process."""

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
from typing import Any, ClassVar, Protocol

from napari_unet3d.errors import NO_MEMORY, OutOfMemory, UserError, is_out_of_memory

logger = logging.getLogger(__name__)

_MAX_WAITING = 5000
_MAX_SECONDS_TO_END = 3.0  # that a step may still take when the process ends
_running: set[GeneratorThread] = set()


@dataclass(frozen=True, slots=True)
class Failed:
    """The last item in the queue of a generator that raised."""

    error: Exception


@dataclass(frozen=True, slots=True)
class PauseChanged:
    """The generator is paused from here on, or continues."""

    is_paused: bool


class JobControl(Protocol):
    """Controls work that is done elsewhere, such as in another process; each method returns at once.

    After `stop` the generator of events ends by itself, with the events that are still to come.

    Attributes
    ----------
    can_pause : bool
        Whether the work can be paused.
    outlives_viewer : bool
        Whether the work goes on when the generator is closed, as it is with the viewer.
    """

    can_pause: ClassVar[bool]
    outlives_viewer: ClassVar[bool]

    def stop(self) -> None:
        """Ask the work to end."""

    def pause(self) -> None:
        """Ask the work to pause."""

    def resume(self) -> None:
        """Ask the work to continue."""


class GeneratorThread(threading.Thread):
    """Runs a generator, and puts its events and its failure into a queue.

    The thread does not keep the process alive: closing the viewer does not wait for the end of a long step.
    An event that is None is not passed on; it only gives an opportunity to stop.

    Parameters
    ----------
    events : callable
        Returns the generator.
    queue : deque
        The queue; a generator that is much faster than its reader has to wait.
    control : JobControl, optional
        Is also told to stop, pause and resume, when the work is done elsewhere.
    """

    def __init__(self, events: Callable[[], Iterator[Any]], queue: deque[Any], control: JobControl | None) -> None:
        super().__init__(name="napari-unet3d", daemon=True)
        self._events, self._queue, self._control = events, queue, control
        self._changed = threading.Condition()
        self._is_paused = self._is_stopped = self._is_cancelled = False
        self.has_ended = threading.Event()

    def send(self, order: str) -> None:
        """Ask the generator to ``stop``, ``pause`` or ``resume``; it does so at its next event."""
        with self._changed:
            if order == "stop":
                self._is_stopped = True
            else:
                self._is_paused = order == "pause"
            self._changed.notify_all()
        if self._control is not None:
            {"stop": self._control.stop, "pause": self._control.pause, "resume": self._control.resume}[order]()

    def cancel(self) -> None:
        """Ask the generator to end as soon as it can; its events are no longer needed."""
        with self._changed:
            self._is_cancelled = True
            self._changed.notify_all()

    def run(self) -> None:
        """Run the generator to its end."""
        _running.add(self)
        try:
            with closing(_as_generator(self._events)) as running:
                while self._may_continue() and (event := next(running, self)) is not self:
                    if event is not None:
                        self._queue.append(event)
        except UserError as error:
            self._queue.append(Failed(error))
        except Exception as error:
            if is_out_of_memory(error):  # which is no bug
                self._queue.append(Failed(OutOfMemory(NO_MEMORY)))
            else:
                logger.exception("A job failed unexpectedly")
                self._queue.append(Failed(error))
        finally:
            del self._events  # and with it volumes
            _running.discard(self)
            self.has_ended.set()

    def _may_continue(self) -> bool:
        while len(self._queue) > _MAX_WAITING and not self._should_end():  # the dock is slower
            time.sleep(0.01)
        with self._changed:
            if self._is_paused and not self._should_end():
                self._queue.append(PauseChanged(True))
                self._changed.wait_for(lambda: self._should_end() or not self._is_paused)
                self._queue.append(PauseChanged(False))
            ends_by_itself = self._control is not None and not self._is_cancelled
            return ends_by_itself or not self._should_end()

    def _should_end(self) -> bool:
        return self._is_stopped or self._is_cancelled


def beginning_with(first: Any, events: Callable[[], Iterator[Any]]) -> Callable[[], Iterator[Any]]:
    """Return the events of a job with another one before them, such as what the job works on."""

    def all_events() -> Iterator[Any]:
        yield first
        yield from events()

    return all_events


def _as_generator(events: Callable[[], Iterator[Any]]) -> Generator[Any, None, None]:
    yield from events()


@atexit.register
def _end_threads() -> None:
    """Wait a moment for running generators when the process ends, and end it in any case.

    What a generator has announced is on disk. An interpreter that ends while a thread is computing in torch aborts with
    a crash report; so when a thread does not end, the process is ended at once.
    """
    threads, latest = list(_running), time.monotonic() + _MAX_SECONDS_TO_END
    for thread in threads:
        thread.cancel()
    if all(thread.has_ended.wait(max(0.0, latest - time.monotonic())) for thread in threads):
        return
    logging.shutdown()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    os._exit(0)
