"""How fast a run steps, how long it waits for data, and how much memory of the GPU it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import TypeVar

import torch

from napari_unet3d.training.events import Throughput

B = TypeVar("B")
T = TypeVar("T")

_SECONDS_BETWEEN = 1.0  # two reports


class ThroughputMeter:
    """Measures steps by the clock of the run, which stands still while the run is paused.

    It never lets the GPU wait: that a step is over, its loss tells, which training reads anyhow.

    Parameters
    ----------
    now : callable
        Gives the seconds that the run has worked.
    device : torch.device
        Whose memory is looked at.
    """

    def __init__(self, now: Callable[[], float], device: torch.device) -> None:
        self._now, self._device = now, device
        self._reported = now()
        self._n_steps = 0
        self._waited = self._seconds = 0.0

    def step(self, batches: Iterator[B], learn: Callable[[B], T], is_idle: Callable[[], bool] = lambda: True) -> T:
        """Wait for the next batch, and learn from it.

        Parameters
        ----------
        batches : iterator
            Where it comes from.
        learn : callable
            What makes the step, or queues it.
        is_idle : callable
            Says, once the batch is there, whether the device had nothing else to do; then it has waited for it.

        Returns
        -------
        object
            What `learn` gives.
        """
        asked = self._now()
        batch = next(batches)
        arrived = self._now()
        was_idle = is_idle()
        made = learn(batch)
        self._waited += arrived - asked if was_idle else 0.0
        self._seconds += self._now() - asked
        self._n_steps += 1
        return made

    def read(self, read: Callable[[], float]) -> float:
        """Return what `read` gives, and count the time that it takes as work."""
        asked = self._now()
        loss = read()
        self._seconds += self._now() - asked
        return loss

    def report(self, epoch: int) -> Throughput | None:
        """Return what was measured since the last report, if that is a second ago."""
        now, seconds = self._now(), self._seconds
        if now - self._reported < _SECONDS_BETWEEN or seconds <= 0:
            return None
        pace = Throughput(epoch, self._n_steps / seconds, self._waited / seconds, gpu_memory(self._device))
        self._reported, self._n_steps, self._waited, self._seconds = now, 0, 0.0, 0.0
        return pace


def gpu_memory(device: torch.device) -> int | None:
    """Return the bytes that this process has taken of a GPU; None for the CPU."""
    match device.type:
        case "cuda":
            return int(torch.cuda.memory_reserved(device))
        case "mps":
            return int(torch.mps.driver_allocated_memory())
        case _:
            return None


E = TypeVar("E")


class ActiveTimer:
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
        """Return the events of a generator, counting while it works on the next one."""
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
