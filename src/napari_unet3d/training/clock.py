"""The time that a run takes, without the time in which nobody asks it to go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import TypeVar

E = TypeVar("E")


class Clock:
    """Counts the seconds in which a generator works; a run that is paused by not being asked takes none.

    Parameters
    ----------
    now : callable
        Gives a time in seconds that only rises.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._earlier = 0.0
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """How long it has worked, up to this moment."""
        return self._earlier + (0.0 if self._since is None else self._now() - self._since)

    def add(self, seconds: float) -> None:
        """Count the time of an earlier sitting, too."""
        self._earlier += seconds

    def measure(self, events: Generator[E]) -> Iterator[E]:
        """Give the events of a generator, counting while it works on the next one."""
        with closing(events):
            while True:
                self._since = self._now()
                try:
                    event = next(events)
                except StopIteration:
                    return
                finally:
                    self._earlier, self._since = self.seconds, None
                yield event
