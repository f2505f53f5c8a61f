"""Work that cannot be cut into pieces, such as reading a file, under a generator that still answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

from napari_unet3d.training.events import Busy

T = TypeVar("T")

_EVERY_SECONDS = 0.5
_here = threading.local()


class _Cancelled(Exception):
    """Nobody waits for the work of this thread any more."""


def run_in_background(work: Callable[[], T], words: str) -> Generator[Busy, None, T]:
    """Do some work in a thread, and give an event twice a second for as long as it lasts.

    When the generator is closed meanwhile, the work is abandoned: it ends at its next `raise_if_cancelled`, or by itself,
    and what comes of it is dropped. So it may read and compute, but must not change what others see.

    Parameters
    ----------
    work : callable
        Called once, without arguments.
    words : str
        What goes on.

    Returns
    -------
    T
        What the work gave; what it raised is raised.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    done, wanted = threading.Event(), threading.Event()
    wanted.set()

    def run() -> None:
        _here.wanted = wanted
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the work is waited for
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name=words, daemon=True).start()
    try:
        while not done.wait(_EVERY_SECONDS):
            yield Busy(words)
    finally:
        wanted.clear()
    if errors:
        # Without the name, the frame would hold the error and the error the frame, and with them volumes.
        raise errors.pop()
    return results.pop()


def iterate_in_background(items: Iterator[T], words: str) -> Generator[Busy, None, list[T]]:
    """Go through an iterator whose steps take long, with events as those of `beating`, and list what it gives."""
    nothing = object()
    found: list[T] = []
    while (item := (yield from run_in_background(lambda: next(items, nothing), words))) is not nothing:
        found.append(item)  # type: ignore[arg-type]
    return found


def raise_if_cancelled() -> None:
    """End the work of `beating` here when it was abandoned; elsewhere it does nothing."""
    wanted = getattr(_here, "wanted", None)
    if wanted is not None and not wanted.is_set():
        raise _Cancelled
