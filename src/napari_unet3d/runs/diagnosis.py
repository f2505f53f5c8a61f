"""Diagnosis of a run from its curves: whether it overfits, has stalled, or diverges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from napari_unet3d.runs.history import EpochRecord, best_record

_LEAST_EPOCHS = 8  # of a history, and of a trend
_LONG_FRACTION = 0.25  # of the run, without a better validation
_CLEAR_RISE, _CLEAR_FALL = 0.05, 0.05  # of a loss, relative
_NO_CHANGE = 0.02  # largest relative change of a loss that has stalled
_EXPLODED = 3.0  # times the best loss so far, and larger by at least
_LEAST_EXPLOSION = 0.3


class Diagnosis(StrEnum):
    """What is wrong with a run."""

    OVERFITS = "overfits"
    STALLS = "stalls"
    DIVERGES = "diverges"


@dataclass(frozen=True, slots=True)
class Hint:
    """What is wrong with a run, and a message on how this shows and what to do."""

    diagnosis: Diagnosis
    message: str


def diagnose(history: Sequence[EpochRecord]) -> Hint | None:
    """Return what is wrong with a run according to its losses.

    Parameters
    ----------
    history : sequence of EpochRecord
        All epochs so far, in order; losses may be NaN.

    Returns
    -------
    Hint or None
        None if nothing is wrong, or there are too few epochs to tell.

    Examples
    --------
    >>> diagnose([EpochRecord(1, 0.9), EpochRecord(2, float("nan"))]).diagnosis.value
    'diverges'
    """
    best = best_record(history)
    if best is None:
        return None
    return _diverges(history, best) or _overfits(history, best) or _stalls(history, best)


def _diverges(history: Sequence[EpochRecord], best: EpochRecord) -> Hint | None:
    newest = history[-1]
    advice = "Stop and train again with a lower learning rate or a smaller max grad norm"
    model = f"; the model of epoch {best.epoch} was saved." if best is not newest else "."
    if not math.isfinite(newest.train_loss):
        return Hint(Diagnosis.DIVERGES, f"The training loss of epoch {newest.epoch} is NaN. {advice}{model}")
    losses = [record.train_loss for record in history if math.isfinite(record.train_loss)]
    lowest = min(losses)
    recent = losses[-2:]
    if len(recent) == 2 and min(recent) > max(abs(lowest) * _EXPLODED, lowest + _LEAST_EXPLOSION):
        message = (
            f"The training loss has risen from {lowest:.3g} to {newest.train_loss:.3g}: the steps are too large. "
            f"{advice}{model}"
        )
        return Hint(Diagnosis.DIVERGES, message)
    return None


def _overfits(history: Sequence[EpochRecord], best: EpochRecord) -> Hint | None:
    validated = [record for record in history if record.val_loss is not None]
    since = [record for record in validated if record.epoch >= best.epoch]
    n_waited = history[-1].epoch - best.epoch
    if len(since) < 4 or n_waited < _long_wait(history):
        return None
    n_recent = min(3, len(since) - 1)
    val_now = _mean([record.val_loss for record in since[-n_recent:]])
    rises = val_now > best.loss * (1 + _CLEAR_RISE)
    falls = _mean([record.train_loss for record in history[-n_recent:]]) < best.train_loss * (1 - _CLEAR_FALL)
    if not (rises and falls):
        return None
    message = (
        f"Validation has not improved for {n_waited} epochs while training still does: the network starts to overfit. "
        f"Stop and use the model of epoch {best.epoch}, use stronger augmentation, or add labelled data."
    )
    return Hint(Diagnosis.OVERFITS, message)


def _stalls(history: Sequence[EpochRecord], best: EpochRecord) -> Hint | None:
    n_waited = history[-1].epoch - best.epoch
    length = _long_wait(history)
    if n_waited < length or len(history) < length + 1:
        return None
    earlier = _mean([record.train_loss for record in history[-length - 1 : -length // 2 - 1]])
    now = _mean([record.train_loss for record in history[-length // 2 :]])
    if not abs(now - earlier) <= _NO_CHANGE * abs(earlier):
        return None
    poor = best.val_dice is not None and best.val_dice < 0.5
    advice = (
        "The Dice is low: check the labels in the viewer, or try another learning rate or a larger preset."
        if poor
        else "The network may have converged: stop, or try a lower learning rate, a larger preset or more labels."
    )
    what = "Validation" if best.val_loss is not None else "The training loss"
    message = f"{what} has not improved for {n_waited} epochs, and the training loss has stalled, too. {advice}"
    return Hint(Diagnosis.STALLS, message)


def _long_wait(history: Sequence[EpochRecord]) -> int:
    """Return how many epochs without improvement are long."""
    return max(_LEAST_EPOCHS, round(len(history) * _LONG_FRACTION))


def _mean(losses: Sequence[float | None]) -> float:
    finite = [loss for loss in losses if loss is not None and math.isfinite(loss)]
    return sum(finite) / len(finite) if finite else math.nan
