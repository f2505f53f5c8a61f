"""What is known of each epoch of a run: the rows of `history.csv`, of a model file and of the loss curves."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_unet3d.errors import UserError, explain_os_errors


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """Losses of one epoch, counted from 1; `val_loss` and `val_dice` are None in epochs without validation.

    `val_dice` is not a number (NaN) where no validation volume has foreground: it has no meaning there.
    """

    epoch: int
    train_loss: float
    val_loss: float | None = None
    val_dice: float | None = None

    @property
    def loss(self) -> float:
        """The loss that tells how good the epoch is: that of validation, or of training in an epoch without."""
        return self.train_loss if self.val_loss is None else self.val_loss

    @property
    def dice(self) -> float | None:
        """The validation Dice, None where there is none or it has no meaning."""
        return None if self.lacks_foreground else self.val_dice

    @property
    def lacks_foreground(self) -> bool:
        """Whether validation had no foreground, so that it cannot tell how good the epoch is."""
        return self.val_dice is not None and math.isnan(self.val_dice)


def best_record(history: Sequence[EpochRecord]) -> EpochRecord | None:
    """Find the epoch with the lowest validation loss, or the lowest training loss when none was validated.

    The first of several equal ones counts, one that is not a number comes last; None when the history is empty. Where
    validation had no foreground, the best cannot be told, and the last epoch counts.
    """
    if any(record.lacks_foreground for record in history):
        return history[-1]
    validated = [record for record in history if record.val_loss is not None]
    return min(validated or history, key=_loss, default=None)


def _loss(record: EpochRecord) -> float:
    return math.inf if math.isnan(record.loss) else record.loss


def read_history(file: Path) -> tuple[EpochRecord, ...]:
    """Read the epochs of a run from its `history.csv`.

    Raises
    ------
    UserError
        If there is no such file, or it is none of ours.
    """
    with explain_os_errors(file, "read"), file.open(newline="", encoding="utf-8", errors="replace") as lines:
        rows = list(csv.DictReader(lines))
    try:
        return records_in(rows)
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{file} is no history of a run. Choose the folder of a run.") from None


def records_in(rows: Iterable[Mapping[str, str]]) -> tuple[EpochRecord, ...]:
    """Read the epochs in the rows of a `history.csv`; a row that is none raises KeyError, TypeError or ValueError."""
    return tuple(
        EpochRecord(int(row["epoch"]), float(row["train_loss"]), _number(row["val_loss"]), _number(row["val_dice"]))
        for row in rows
    )


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
