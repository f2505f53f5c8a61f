"""When a run ends, how long it still takes, and the learning rate at each of its steps."""

from __future__ import annotations

from collections.abc import Sequence

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.runs.history import EpochRecord, best_record
from napari_unet3d.training.events import EndReason
from napari_unet3d.training.optim.schedules import count_plateaus, lr_factor
from napari_unet3d.training.throughput import ActiveTimer

_RECENT_EPOCHS = 5  # whose mean duration predicts that of the epochs to come


class RunLimits:
    """The limits of a run: number of epochs, time (`max_minutes`) and early stopping (`patience`).

    Parameters
    ----------
    config : TrainingConfig
        The settings.
    timer : ActiveTimer
        Time that the run has taken, including its earlier sessions.
    """

    def __init__(self, config: TrainingConfig, timer: ActiveTimer) -> None:
        self._config, self._timer = config, timer
        self._seconds_after_steps = 0.0
        self._is_time_up = False

    @property
    def is_time_up(self) -> bool:
        """Whether the time limit was reached at the latest `note_time`."""
        return self._is_time_up

    def note_time(self) -> None:
        """Note whether the time limit is reached now, for `is_time_up` and `end_reason`."""
        self._is_time_up = self._fraction_of_time() >= 1

    def reserve_time_after_steps(self, seconds_after_steps: float) -> None:
        """Keep time for the last validation and for saving: as long as both took after the latest epoch."""
        self._seconds_after_steps = seconds_after_steps

    def learning_rate(self, epoch: int, step: int, n_steps_per_epoch: int, history: Sequence[EpochRecord]) -> float:
        """Return the learning rate of a step.

        Its schedule follows the epochs or the time, whichever is further.

        Parameters
        ----------
        epoch, step : int
            Counted from 1.
        n_steps_per_epoch : int
            Length of an epoch.
        history : sequence of EpochRecord
            The finished epochs.
        """
        fraction_of_epochs = (epoch - 1 + (step - 1) / n_steps_per_epoch) / self._config.epochs
        progress = min(max(fraction_of_epochs, self._fraction_of_time()), 1.0)
        return self._config.learning_rate * lr_factor(self._config.lr_schedule, progress, count_plateaus(history))

    def end_reason(self, history: Sequence[EpochRecord]) -> EndReason | None:
        """Return why the run ends after the finished epochs, or None if it continues."""
        if len(history) >= self._config.epochs:
            return EndReason.EPOCHS
        if self._is_time_up:
            return EndReason.TIME
        best = best_record(history)
        # Only an epoch with validation can show that nothing has improved.
        if self._config.patience and best is not None and history[-1].val_loss is not None:
            n_without_improvement = history[-1].epoch - best.epoch
            return EndReason.STALLED if n_without_improvement >= self._config.patience else None
        return None

    def seconds_left(self, seconds_per_epoch: Sequence[float], is_steady: bool) -> float | None:
        """Estimate the rest of the run from the durations of the finished epochs.

        The first epoch may be much slower than the others, while libraries are loaded and kernels are chosen. It
        counts only as long as it is the only one, and if its steps were steady.

        Parameters
        ----------
        seconds_per_epoch : sequence of float
            The durations, at least one.
        is_steady : bool
            Whether the steps of the latest epoch took about as long at its beginning as at its end.

        Returns
        -------
        float or None
            None before the estimate is probably right within a factor of two.
        """
        n_left = self._config.epochs - len(seconds_per_epoch)
        recent = seconds_per_epoch[1:][-_RECENT_EPOCHS:]
        if not recent and n_left > 0 and not is_steady:
            return None
        recent = recent or seconds_per_epoch
        left = n_left * sum(recent) / len(recent)
        limit = self._config.max_minutes * 60
        return min(left, max(0.0, limit - self._timer.seconds)) if limit else left

    def _fraction_of_time(self) -> float:
        """Return the used fraction of the time for steps; 0 without a limit."""
        if not self._config.max_minutes:
            return 0.0
        seconds = self._config.max_minutes * 60 - self._seconds_after_steps
        return self._timer.seconds / seconds if seconds > 0 else 1.0
