"""Losses and Dice of the epochs of a run, as in `history.csv`, in model files and in loss curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from napari_unet3d.errors import UserError
from napari_unet3d.text_files import read_csv

Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number of epochs or steps in a file."""
_MAX_DIGITS = 9  # of the number of an epoch


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """Losses of one epoch, counted from 1; `val_loss` and `val_dice` are None in epochs without validation.

    `val_dice` is NaN if no validation volume has foreground, where it is not defined, and None if nearly everything is
    foreground, where it means nothing. `val_f1` is the F1 of the objects, for single objects only. `best_by` is
    ``"loss"`` or ``"f1"``, by which epochs are compared.
    """

    epoch: Count
    train_loss: float
    val_loss: float | None = None
    val_dice: float | None = None
    val_f1: float | None = None
    best_by: str = "loss"

    @property
    def loss(self) -> float:
        """The loss by which epochs are compared: that of validation, or of training in an epoch without validation."""
        return self.train_loss if self.val_loss is None else self.val_loss

    @property
    def dice(self) -> float | None:
        """The validation Dice; None without validation or where it is not defined."""
        return None if self.lacks_foreground else self.val_dice

    @property
    def lacks_foreground(self) -> bool:
        """Whether validation had no foreground, so that it cannot be used to compare epochs."""
        return self.val_dice is not None and math.isnan(self.val_dice)


def best_record(history: Sequence[EpochRecord]) -> EpochRecord | None:
    """Return the epoch with the lowest validation loss, or the lowest training loss if none was validated.

    Of equal losses the first is the best, and NaN is the worst. If epochs are compared by the F1 of objects, the first
    one with the highest F1 is the best. If validation had no foreground, epochs cannot be compared, and the last one is
    returned; None if the history is empty.

    Examples
    --------
    >>> best_record([EpochRecord(1, 0.9, 0.8), EpochRecord(2, 0.5, 0.6), EpochRecord(3, 0.4, 0.7)]).epoch
    2
    """
    if any(record.lacks_foreground for record in history):
        return history[-1]
    by_f1 = [(record.val_f1, record) for record in history if record.best_by == "f1" and record.val_f1 is not None]
    if by_f1:
        return max(by_f1, key=lambda pair: pair[0])[1]
    validated = [record for record in history if record.val_loss is not None]
    return min(validated or history, key=_loss, default=None)


def _loss(record: EpochRecord) -> float:
    return math.inf if math.isnan(record.loss) else record.loss


def read_history(file: Path) -> tuple[EpochRecord, ...]:
    """Read the epochs of a run from its `history.csv`.

    Raises
    ------
    UserError
        If the file is missing or is not the history of a run.
    """
    rows = read_csv(file)
    try:
        return records_in(rows)
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{file} is not the history of a run. Choose the folder of a run.") from None


def records_in(rows: Iterable[Mapping[str, str]]) -> tuple[EpochRecord, ...]:
    """Return the epochs in the rows of a `history.csv`; an invalid row raises KeyError, TypeError or ValueError."""
    rows = list(rows)
    if not all(row["epoch"].isdecimal() and len(row["epoch"]) <= _MAX_DIGITS for row in rows):
        raise ValueError("the number of an epoch is wrong")
    return tuple(
        EpochRecord(
            int(row["epoch"]),
            float(row["train_loss"]),
            _number(row["val_loss"]),
            _number(row["val_dice"]),
            _number(row.get("val_f1", "")),
            row.get("best_by", "loss"),
        )
        for row in rows
    )


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
