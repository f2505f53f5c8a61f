"""The loss curves of a run: all steps and epochs, thinned out if there are very many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_unet3d.runs.history import EpochRecord, best_record

MAX_POINTS = 2000


class ThinnedSeries:
    """Points (x, y) in ascending order of x, of which at most `limit` are kept.

    When the limit is exceeded, neighbouring points are averaged. From then on, as many new points as each kept point
    represents are averaged before one is added, so that the whole range stays evenly covered.

    Parameters
    ----------
    limit : int
        Largest number of points, at least 2.
    """

    def __init__(self, limit: int = MAX_POINTS) -> None:
        self._limit = limit
        self._kept: list[tuple[float, float]] = []
        self._waiting: list[tuple[float, float]] = []
        self._per_point = 1

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, x: float, y: float) -> None:
        """Add one point."""
        self._waiting.append((x, y))
        if len(self._waiting) < self._per_point:
            return
        self._kept.append(_mean(self._waiting))
        self._waiting.clear()
        if len(self._kept) > self._limit:
            pairs = [self._kept[start : start + 2] for start in range(0, len(self._kept), 2)]
            if len(pairs[-1]) == 1:  # half a point: it waits for further points
                self._waiting = pairs.pop() * self._per_point
            self._kept = [_mean(pair) for pair in pairs]
            self._per_point *= 2

    @property
    def xy(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The kept points as two arrays of shape (n,)."""
        points = np.array(self._kept, dtype=np.float64).reshape(-1, 2)
        return points[:, 0], points[:, 1]


def _mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


class LossHistory:
    """Losses, Dice and F1 of objects of a run for plotting.

    Attributes
    ----------
    records : list of EpochRecord
        All epochs, including those that the thinned curves leave out.
    best : tuple of int and float, or None
        Number and loss of the best epoch.
    step_added : Signal(int, int, float)
        Epoch, step and loss of a step.
    epoch_added : Signal(EpochRecord)
        A finished epoch.

    Parameters
    ----------
    n_steps_per_epoch : int
        Optimizer steps per epoch; one epoch is one unit on the x axis of the plot.
    """

    step_added = Signal(int, int, float)
    epoch_added = Signal(EpochRecord)

    def __init__(self, n_steps_per_epoch: int = 1) -> None:
        self.n_steps_per_epoch = max(1, n_steps_per_epoch)
        self.steps = ThinnedSeries()
        self.train = ThinnedSeries()
        self.val = ThinnedSeries()
        self.dice = ThinnedSeries()
        self.f1 = ThinnedSeries()
        self.records: list[EpochRecord] = []
        self.best: tuple[int, float] | None = None

    def add_step(self, epoch: int, step: int, loss: float) -> None:
        """Add the loss of one step; epochs and steps count from 1."""
        self.steps.add(epoch - 1 + step / self.n_steps_per_epoch, loss)
        self.step_added.emit(epoch, step, loss)

    def add_epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        """Add the mean losses, the Dice and the F1 of objects of a finished epoch."""
        self.records.append(record)
        self.train.add(record.epoch, record.train_loss)
        if record.val_loss is not None:
            self.val.add(record.epoch, record.val_loss)
        if record.dice is not None:
            self.dice.add(record.epoch, record.dice)
        if record.val_f1 is not None:
            self.f1.add(record.epoch, record.val_f1)
        if is_best:
            self.best = (record.epoch, record.loss)
        self.epoch_added.emit(record)

    def dice_of(self, epoch: int) -> float | None:
        """Return the validation Dice of an epoch, or None."""
        return next((record.dice for record in reversed(self.records) if record.epoch == epoch), None)

    def f1_of(self, epoch: int) -> float | None:
        """Return the F1 of the objects of an epoch, or None."""
        return next((record.val_f1 for record in reversed(self.records) if record.epoch == epoch), None)


def make_loss_history(records: Sequence[EpochRecord], n_steps_per_epoch: int = 1) -> LossHistory:
    """Return the curves of finished epochs."""
    history, best = LossHistory(n_steps_per_epoch), best_record(records)
    for record in records:
        history.add_epoch(record, is_best=record is best)
    return history
