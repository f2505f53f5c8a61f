"""Progress of jobs."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from napari_unet3d.data.checks import PairChecked
from napari_unet3d.data.events import DatasetEvent, GenerateEvent, ObjectPlaced, SlicesImaged, VolumeWritten
from napari_unet3d.evaluation.errors.types import SearchProgress
from napari_unet3d.evaluation.meshes.making import MeshMade
from napari_unet3d.evaluation.object_measuring import ObjectProgress
from napari_unet3d.inference.events import (
    BlockDone,
    LargeVolumeEvaluated,
    PredictionFailed,
    PredictionWritten,
    TilesPredicted,
    VolumeEvaluated,
)
from napari_unet3d.session.series_inspection import TimePointScored

T = TypeVar("T")
_MOST_MARKS = 200
_PLACING_FRACTION = 0.8  # of the time that a volume takes; the rest is blur and noise


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
        An estimate of the time left.
    is_estimated : bool
        Whether what reports the progress also estimates the time left, as soon as it can; else the job does.
    """

    done: float
    total: float
    seconds_left: float | None = None
    is_estimated: bool = False

    @property
    def fraction(self) -> float:
        """Part that is done, from 0 to 1."""
        return min(1.0, max(0.0, self.done / self.total)) if self.total else 0.0


class TimeEstimate:
    """Estimates the time left of a job from its speed since its first progress, as soon as that is steady.

    What came before the first progress, such as the loading of a model, does not count. The speed is steady when one
    half of the time since then brought at most twice as much as the other; or else, when that holds for the second half
    of that time, whose speed is taken then.
    """

    def __init__(self) -> None:
        self._marks: list[tuple[float, float]] = []
        self._was_steady = False

    def seconds_left(self, seconds: float, fraction: float) -> float | None:
        """Return the time left, or None before the speed is steady.

        Parameters
        ----------
        seconds : float
            When the progress was made, on a clock that stops during pauses.
        fraction : float
            Part that is done, from 0 to 1.
        """
        if fraction >= 1:
            return 0.0
        self._marks.append((seconds, fraction))
        if len(self._marks) > _MOST_MARKS:
            self._marks = [self._marks[0], *self._marks[2::2]]
        middle = self._middle(0)
        steady = [start for start in (0, middle) if self._is_steady_since(start)]
        self._was_steady = self._was_steady or bool(steady)
        speed = self._speed(steady[0] if steady else middle, -1)
        return (1 - fraction) / speed if self._was_steady and speed > 0 else None

    def _middle(self, start: int) -> int:
        """Return the mark that is nearest to the middle of the time since another one."""
        at = (self._marks[start][0] + self._marks[-1][0]) / 2
        return min(range(start, len(self._marks)), key=lambda number: abs(self._marks[number][0] - at))

    def _speed(self, start: int, end: int) -> float:
        (began, first), (ended, last) = self._marks[start], self._marks[end]
        return (last - first) / (ended - began) if ended > began else 0.0

    def _is_steady_since(self, start: int) -> bool:
        middle = self._middle(start)
        speeds = self._speed(start, middle), self._speed(middle, -1)
        return min(speeds) > 0 and max(speeds) <= 2 * min(speeds)


def progress_of(event: Any) -> Progress | None:
    """Return the progress of predictions, searches, checks and meshes; None for an event that does not carry it."""
    match event:
        case (
            SearchProgress(n_done=n, n_total=of)
            | ObjectProgress(n_done=n, n_total=of)
            | MeshMade(n_done=n, n_total=of)
            | PairChecked(n_checked=n, n_pairs=of)
        ):
            return Progress(n, of)
        case BlockDone(step=step, n_done=n, n_total=of) if step != "predicted":  # tiles tell that more finely
            return Progress(n, of)
        case TilesPredicted():
            return Progress(event.n_volumes_done, event.n_volumes)
        case PredictionWritten() | PredictionFailed():
            return Progress(event.n_done, event.n_volumes)
        case VolumeEvaluated(n_evaluated=n, n_volumes=of) | LargeVolumeEvaluated(n_evaluated=n, n_volumes=of):
            return Progress(n, of)
        case TimePointScored(n_done=n, n_times=of):
            return Progress(n, of)
    return None


class GenerationProgress:
    """Counts volumes that are generated, and what is done of the current one as a fraction of a volume.

    Parameters
    ----------
    n_volumes : int
        How many are generated.
    """

    def __init__(self, n_volumes: int) -> None:
        self._n_volumes = n_volumes
        self._n_written = 0

    def __call__(self, event: GenerateEvent | DatasetEvent) -> Progress | None:
        """Return the progress after an event; None for an event that does not change it."""
        match event:
            case ObjectPlaced(n_placed=n_placed, n_objects=n_objects):
                return Progress(self._n_written + _PLACING_FRACTION * n_placed / n_objects, self._n_volumes)
            case SlicesImaged(n_imaged=n_imaged, n_slices=n_slices):
                imaged = _PLACING_FRACTION + (1 - _PLACING_FRACTION) * n_imaged / n_slices
                return Progress(self._n_written + imaged, self._n_volumes)
            case VolumeWritten(n_written=n_written):
                self._n_written = n_written
                return Progress(n_written, self._n_volumes)
        return None
