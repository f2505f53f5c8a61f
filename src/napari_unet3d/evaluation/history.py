"""What is known of each epoch of a run: the rows of `history.csv`, of a model file and of the loss curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """Losses of one epoch, counted from 1; `val_loss` and `val_dice` are None in epochs without validation."""

    epoch: int
    train_loss: float
    val_loss: float | None = None
    val_dice: float | None = None


def best_record(history: Sequence[EpochRecord]) -> EpochRecord | None:
    """Find the epoch with the lowest validation loss, or the lowest training loss when none was validated.

    The first of several equal ones counts, one that is not a number comes last; None when the history is empty.
    """
    validated = [record for record in history if record.val_loss is not None]
    return min(validated or history, key=_loss, default=None)


def _loss(record: EpochRecord) -> float:
    loss = record.train_loss if record.val_loss is None else record.val_loss
    return math.inf if math.isnan(loss) else loss
