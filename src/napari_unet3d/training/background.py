"""Run an operation that cannot be divided, such as reading a file, in a thread, and stay responsive meanwhile."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

from napari_unet3d.training.events import Busy

T = TypeVar("T")

_SECONDS_BETWEEN_EVENTS = 0.5
_SECONDS_AT_EXIT = 5.0
_thread = threading.local()
_running: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


@atexit.register
def _wait_for_cancelled() -> None:
    """Wait for work that was cancelled: Python aborts when a thread computes in C++ while the interpreter ends."""
    ends_at = time.monotonic() + _SECONDS_AT_EXIT
    for thread in list(_running):
        thread.join(max(0.0, ends_at - time.monotonic()))


class _Cancelled(Exception):
    """The result of this thread is no longer wanted."""


def run_in_background(work: Callable[[], T], message: str) -> Generator[Busy, None, T]:
    """Run a function in a thread, and yield an event twice a second until it returns.

    When the generator is closed meanwhile, the work is cancelled: it ends at its next `raise_if_cancelled`, or runs to
    its end, and its result is dropped. So it may read and compute, but must not change what others see.

    Parameters
    ----------
    work : callable
        Called once, without arguments.
    message : str
        What the events say.

    Returns
    -------
    T
        The result of `work`; its exceptions are raised here.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    done, cancelled = threading.Event(), threading.Event()

    def run() -> None:
        _thread.cancelled = cancelled
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, name=message, daemon=True)
    _running.add(thread)
    thread.start()
    try:
        while not done.wait(_SECONDS_BETWEEN_EVENTS):
            yield Busy(message)
    finally:
        cancelled.set()
    if errors:
        # No local variable holds the error: its traceback holds this frame, and the cycle would keep volumes in memory.
        raise errors.pop()
    return results.pop()


def iterate_in_background(items: Iterator[T], message: str) -> Generator[Busy, None, list[T]]:
    """Exhaust a slow iterator in a thread, with events as those of `run_in_background`, and return a list."""
    end = object()
    found: list[T] = []
    while (item := (yield from run_in_background(lambda: next(items, end), message))) is not end:
        found.append(item)  # type: ignore[arg-type]
    return found


def raise_if_cancelled() -> None:
    """End the work of `run_in_background` here if it was cancelled; elsewhere, do nothing."""
    cancelled = getattr(_thread, "cancelled", None)
    if cancelled is not None and cancelled.is_set():
        raise _Cancelled
