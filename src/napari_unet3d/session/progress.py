"""Progress of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_unet3d.inference.events import PredictionWritten, TilesPredicted, VolumeEvaluated


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
        case PredictionWritten(n_written=n, n_volumes=of) | VolumeEvaluated(n_evaluated=n, n_volumes=of):
            return Progress(n, of)
    return None
