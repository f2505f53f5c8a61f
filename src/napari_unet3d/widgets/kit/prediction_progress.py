"""How far a job is that predicts volumes, compared with their labels or not."""

from __future__ import annotations

from typing import Any

from napari_unet3d.prediction.events import PredictionWritten, TilesPredicted, VolumeEvaluated
from napari_unet3d.widgets.work.progress import Progress


def prediction_progress(event: Any) -> Progress | None:
    """Say how far predictions have come; None for an event that does not tell."""
    match event:
        case TilesPredicted():
            return Progress(event.n_volumes_done, event.n_volumes)
        case PredictionWritten(n_written=n, n_volumes=of) | VolumeEvaluated(n_evaluated=n, n_volumes=of):
            return Progress(n, of)
    return None
