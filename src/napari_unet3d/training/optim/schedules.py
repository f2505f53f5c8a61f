"""Learning rate schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence

from napari_unet3d.configs import LRSchedule
from napari_unet3d.runs.history import EpochRecord

_WARM_UP = 0.3  # fraction of a one-cycle run in which the learning rate rises
_CYCLE_START, _CYCLE_END = 1 / 25, 1 / 10_000  # relative to the maximum, as in torch's OneCycleLR
_POLY_POWER = 0.9
PLATEAU_PATIENCE, PLATEAU_FACTOR = 10, 0.5


def lr_factor(schedule: LRSchedule, progress: float, n_plateaus: int = 0) -> float:
    """Return the factor of the learning rate at one point of a run.

    - constant: 1.
    - cooldown: 1, then linearly towards 0 in the last third (Hägele et al. 2024, "Scaling laws and
      compute-optimal training beyond fixed training durations").
    - cosine: half a cosine from 1 towards 0 (Loshchilov & Hutter 2017, without restarts).
    - poly: ``(1 - progress) ** 0.9`` (Isensee et al. 2021, nnU-Net).
    - one-cycle: half a cosine from 1/25 up to 1 in the first 30 %, and another one down to 1/10000 (Smith & Topin
      2018; torch's `OneCycleLR`).
    - plateau: halved whenever validation has stalled.

    Parameters
    ----------
    schedule : LRSchedule
        The schedule.
    progress : float
        Fraction of the run that is done, from 0 to below 1.
    n_plateaus : int
        How often the validation loss has stalled, see `count_plateaus`.
    """
    match schedule:
        case LRSchedule.CONSTANT:
            return 1.0
        case LRSchedule.COOLDOWN:
            return min(1.0, 3 * (1 - progress))
        case LRSchedule.COSINE:
            return (1 + math.cos(math.pi * progress)) / 2
        case LRSchedule.POLY:
            return float((1 - progress) ** _POLY_POWER)
        case LRSchedule.ONE_CYCLE:
            if progress < _WARM_UP:
                return _half_cosine(_CYCLE_START, 1.0, progress / _WARM_UP)
            return _half_cosine(1.0, _CYCLE_END, (progress - _WARM_UP) / (1 - _WARM_UP))
        case LRSchedule.PLATEAU:
            return float(PLATEAU_FACTOR**n_plateaus)


def count_plateaus(history: Sequence[EpochRecord]) -> int:
    """Count how often the validation loss has not fallen for `PLATEAU_PATIENCE` validations in a row.

    Without validation, or when it had no foreground, the training loss is used. The count depends on the history alone,
    so that a resumed run agrees.
    """
    losses = [record.val_loss for record in history if record.val_loss is not None and not record.lacks_foreground]
    lowest, n_waited, n_plateaus = math.inf, 0, 0
    for loss in losses or [record.train_loss for record in history]:
        n_waited = 0 if loss < lowest else n_waited + 1
        lowest = min(lowest, loss) if not math.isnan(loss) else lowest
        if n_waited == PLATEAU_PATIENCE:
            n_waited, n_plateaus = 0, n_plateaus + 1
    return n_plateaus


def _half_cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2
