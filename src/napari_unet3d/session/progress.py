"""Progress of jobs."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from napari_unet3d.inference.events import PredictionFailed, PredictionWritten, TilesPredicted, VolumeEvaluated

T = TypeVar("T")


def last_event(events: Iterable[Any], kind: type[T]) -> T:
    """Run a generator to its end and return its last event; the others are not kept in memory.

    Parameters
    ----------
    events : iterable
        The events.
    kind : type
        What the last one is.

    Raises
    ------
    TypeError
        If it is something else.
    """
    event = None
    try:
        for event in events:  # noqa: B007 - the last one is used after the loop
            pass
    finally:
        if isinstance(events, Generator):
            events.close()
    if not isinstance(event, kind):
        raise TypeError(f"The last event is {event!r}, not of the type {kind.__name__}.")
    return event


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a job.

    Attributes
    ----------
    done, total : float
        Work done and to do, in any unit.
    seconds_left : float or None
        An estimate; without it the job makes one from the elapsed time.
    """

    done: float
    total: float
    seconds_left: float | None = None

    @property
    def fraction(self) -> float:
        """Part that is done, from 0 to 1."""
        return min(1.0, max(0.0, self.done / self.total)) if self.total else 0.0


def prediction_progress(event: Any) -> Progress | None:
    """Return the progress of predictions; None for an event that does not carry it."""
    match event:
        case TilesPredicted():
            return Progress(event.n_volumes_done, event.n_volumes)
        case PredictionWritten() | PredictionFailed():
            return Progress(event.n_done, event.n_volumes)
        case VolumeEvaluated(n_evaluated=n, n_volumes=of):
            return Progress(n, of)
    return None
