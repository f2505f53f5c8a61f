"""What the curves of a run are drawn from: every step and every epoch, thinned where there are very many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.runs.history import EpochRecord, best_record

MOST_POINTS = 2000


class ThinnedSeries:
    """Points (x, y) in the order of x, of which never more than `limit` are kept.

    When the limit is passed, neighbours are joined to their mean, and from then on as many points as one kept
    point stands for are averaged before one is added; so the whole range stays evenly covered.

    Parameters
    ----------
    limit : int
        Most points to keep, at least 2.
    """

    def __init__(self, limit: int = MOST_POINTS) -> None:
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
            if len(pairs[-1]) == 1:  # half a point: it waits for the points that complete it
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
    """What the plot shows of one run; it belongs to the run's job, so that a reopened dock shows all of it.

    Attributes
    ----------
    records : list of EpochRecord
        All epochs, those that the thinned curves leave out, too.

    Parameters
    ----------
    n_steps_per_epoch : int
        Optimiser steps of one epoch, which make one unit of the plot's x axis.
    """

    def __init__(self, n_steps_per_epoch: int = 1) -> None:
        self.n_steps_per_epoch = max(1, n_steps_per_epoch)
        self.steps = ThinnedSeries()
        self.train = ThinnedSeries()
        self.val = ThinnedSeries()
        self.dice = ThinnedSeries()
        self.records: list[EpochRecord] = []
        self.best: tuple[int, float] | None = None

    def add_step(self, epoch: int, step: int, loss: float) -> None:
        """Record the loss of one step; epochs and steps count from 1."""
        self.steps.add(epoch - 1 + step / self.n_steps_per_epoch, loss)

    def add_epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        """Record the mean losses and the Dice at the end of an epoch."""
        self.records.append(record)
        self.train.add(record.epoch, record.train_loss)
        if record.val_loss is not None:
            self.val.add(record.epoch, record.val_loss)
        if record.dice is not None:
            self.dice.add(record.epoch, record.dice)
        if is_best:
            self.best = (record.epoch, record.loss)

    def dice_of(self, epoch: int) -> float | None:
        """Return the validation Dice of an epoch; None where there is none."""
        return next((record.dice for record in reversed(self.records) if record.epoch == epoch), None)


def history_of(records: Sequence[EpochRecord], n_steps_per_epoch: int = 1) -> LossHistory:
    """Make the curves of epochs that are over."""
    history, best = LossHistory(n_steps_per_epoch), best_record(records)
    for record in records:
        history.add_epoch(record, is_best=record is best)
    return history
