"""The speed of a run: steps per second, time spent waiting for data, GPU memory, and a timer without pauses."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

import torch

from napari_unet3d.training.events import Throughput

_SECONDS_BETWEEN_REPORTS = 1.0


class ThroughputMeter:
    """Measures steps with the timer of the run, which does not count pauses.

    It never synchronises with the GPU: a step is known to be over when its loss is read, which training does anyway.

    Parameters
    ----------
    now : callable
        Returns the seconds that the run has taken.
    device : torch.device
        Device whose memory is reported.
    """

    def __init__(self, now: Callable[[], float], device: torch.device) -> None:
        self._now, self._device = now, device
        self._reported = now()
        self._n_steps = 0
        self._waited = self._seconds = 0.0
        self._step_began = self._step_waited = 0.0

    @contextmanager
    def waiting(self, is_idle: Callable[[], bool]) -> Iterator[None]:
        """Measure the time from the beginning of a step until its batch has arrived.

        Parameters
        ----------
        is_idle : callable
            Returns whether the device has finished all earlier steps, so that it has waited, too; called at the end.
        """
        self._step_began = self._now()
        yield
        self._step_waited = self._now() - self._step_began if is_idle() else 0.0

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Measure the rest of a step, to its end or, on a GPU, until it is queued, and count it if it succeeds."""
        yield
        self._seconds += self._now() - self._step_began
        self._waited += self._step_waited
        self._n_steps += 1

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Measure the time until the loss of a step can be read, which is part of the step."""
        began = self._now()
        yield
        self._seconds += self._now() - began

    def report(self, epoch: int) -> Throughput | None:
        """Return what was measured since the last report, or None if that is less than a second ago."""
        now, seconds = self._now(), self._seconds
        if now - self._reported < _SECONDS_BETWEEN_REPORTS or seconds <= 0:
            return None
        throughput = Throughput(epoch, self._n_steps / seconds, self._waited / seconds, gpu_memory(self._device))
        self._reported, self._n_steps, self._waited, self._seconds = now, 0, 0.0, 0.0
        return throughput


def gpu_memory(device: torch.device) -> int | None:
    """Return the GPU memory in bytes that this process has reserved; None for the CPU."""
    match device.type:
        case "cuda":
            return int(torch.cuda.memory_reserved(device))
        case "mps":
            return int(torch.mps.driver_allocated_memory())
        case _:
            return None


E = TypeVar("E")


class ActiveTimer:
    """Measures the seconds in which a generator works; while no event is requested, no time counts.

    Parameters
    ----------
    now : callable
        Returns a time in seconds that never decreases.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._earlier = 0.0
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds of work up to now."""
        return self._earlier + (0.0 if self._since is None else self._now() - self._since)

    def add(self, seconds: float) -> None:
        """Add the time of earlier sessions."""
        self._earlier += seconds

    def measure(self, events: Generator[E]) -> Generator[E]:
        """Yield the events of a generator, and measure the time that it takes to produce them."""
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
