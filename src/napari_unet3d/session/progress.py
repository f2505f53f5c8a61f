"""How far long work is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_unet3d.inference.events import PredictionWritten, TilesPredicted, VolumeEvaluated


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Attributes
    ----------
    done, total : float
        Work done and to do, in any unit.
    seconds_left : float or None
        The engine's estimate; without it the job makes one from the time that passed.
    """

    done: float
    total: float
    seconds_left: float | None = None

    @property
    def fraction(self) -> float:
        """Part that is done, from 0 to 1."""
        return min(1.0, max(0.0, self.done / self.total)) if self.total else 0.0


def prediction_progress(event: Any) -> Progress | None:
    """Say how far predictions have come; None for an event that does not tell."""
    match event:
        case TilesPredicted():
            return Progress(event.n_volumes_done, event.n_volumes)
        case PredictionWritten(n_written=n, n_volumes=of) | VolumeEvaluated(n_evaluated=n, n_volumes=of):
            return Progress(n, of)
    return None
