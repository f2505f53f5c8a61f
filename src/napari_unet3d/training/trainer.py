"""One sitting of a run: its epochs, from where it stands to its end or until nobody asks any more."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.errors import OutOfMemory, UserError
from napari_unet3d.files import RESUME_FILE
from napari_unet3d.model.devices import PREFETCH_STEPS, TorchState
from napari_unet3d.runs.history import EpochRecord
from napari_unet3d.training.events import (
    Busy,
    EndReason,
    EpochFinished,
    SnapshotSaved,
    StepFinished,
    TrainEvent,
    TrainingFinished,
    Validating,
)
from napari_unet3d.training.loading.batches import Batch
from napari_unet3d.training.optim.learner import Learner
from napari_unet3d.training.optim.schedules import count_plateaus, lr_factor
from napari_unet3d.training.optim.step import PendingStep
from napari_unet3d.training.pace import ActiveTimer, ThroughputMeter
from napari_unet3d.training.prepare import TrainingData
from napari_unet3d.training.resume_state import (
    RunHeader,
    RunState,
    VolumeInfo,
    optimizer_groups,
    optimizer_moments,
    save_run_state,
)
from napari_unet3d.training.run_folder import LAST_FILE, RunFolder
from napari_unet3d.training.snapshot_writer import SnapshotWriter
from napari_unet3d.training.validate import Scores, validate


@dataclass(eq=False)
class Trainer:
    """What is at work.

    Attributes
    ----------
    config : TrainingConfig
        The settings.
    volumes : tuple of VolumeInfo
        The data, by which a resumed run tells other data apart.
    run : RunFolder
        Where results are written, and what the run has reached.
    work : TrainingData
        The volumes; memory may make its plan smaller.
    learner : Learner
        Network and optimiser.
    settings : TorchState
        Threads and random numbers of the run.
    clock : Clock
        Time that the run has taken, over all its sittings.
    watch : Watch or None
        Keeps what validation has seen; None when nobody wants to watch, or there is no validation.
    """

    config: TrainingConfig
    volumes: tuple[VolumeInfo, ...]
    run: RunFolder
    data: TrainingData
    learner: Learner
    torch_state: TorchState
    timer: ActiveTimer
    snapshots: SnapshotWriter | None = None
    _seconds_after_steps: float = 0.0  # of the latest epoch: validation and saving
    _is_time_over: bool = False

    def __post_init__(self) -> None:
        self._pace = ThroughputMeter(lambda: self.timer.seconds, self.learner.device)

    def events(self) -> Iterator[TrainEvent]:
        """Train epoch after epoch; the last event says why it ended."""
        self._is_time_over = bool(self.run.history) and self._fraction_of_time() >= 1
        yield from self._prepare_snapshots()
        if self.snapshots is not None and self.snapshots.left_out:
            names = ", ".join(self.snapshots.left_out)
            yield Notice(f"Too large to be watched: {names}. Validation judges by it all the same.")
        try:
            while (reason := self._reason_to_end()) is None:
                yield from self._epoch(len(self.run.history) + 1)
        finally:
            if self.learner.n_steps > 0 and not self.run.has_model:
                self.run.save_started_epoch(self.learner.weights())
        best = self.run.best
        yield TrainingFinished(self.run.path, self.run.model, best.epoch, best.val_loss, best.val_dice, reason)

    def _epoch(self, epoch: int) -> Iterator[TrainEvent]:
        began = self.timer.seconds
        first_rate = self._learning_rate(epoch, 1)
        losses: list[float] = []
        yield from self._steps(epoch, losses)
        steps_ended = self.timer.seconds
        val_loss, val_dice = yield from self._validate(epoch)
        record = EpochRecord(epoch, _mean_finite(losses), val_loss, val_dice)
        is_best = self.run.save_epoch(
            record, self.learner.weights(), learning_rate=first_rate, seconds=self.timer.seconds - began
        )
        # Last of all files: a process that is killed before goes on from the epoch before and writes the others
        # again. Written earlier, the state would count an epoch whose model may be missing.
        save_run_state(self.run.path / RESUME_FILE, self._state())
        yield EpochFinished(epoch, record.train_loss, val_loss, val_dice, is_best, self._seconds_left())
        if val_loss is not None:
            yield from self._save_snapshots(
                lambda watch: watch.save(epoch, self.run.best.epoch, self.run.path / LAST_FILE, self.data.plan)
            )
            if self.snapshots is not None:
                yield SnapshotSaved(self.run.path, epoch, self.snapshots.n_volumes)
        self._seconds_after_steps = self.timer.seconds - steps_ended

    def _steps(self, epoch: int, losses: list[float]) -> Iterator[TrainEvent]:
        """Make the steps of an epoch, or those that there is time for; one at least.

        A GPU is given the next step before the last one is heard of, so that it has always something to do.
        """
        batches = self.data.training.epoch(epoch)
        queued: deque[tuple[int, PendingStep]] = deque()
        most_queued = PREFETCH_STEPS.get(self.learner.device.type, 0)
        for step in range(1, len(self.data.training) + 1):
            self.learner.learning_rate = self._learning_rate(epoch, step)
            made = None
            while made is None:
                try:
                    made = self._make_step(batches, queued)
                except OutOfMemory:
                    yield from self._retry_with_less()
                    batches = self.data.training.epoch(epoch, first_step=step)
            queued.append((step, made))
            if len(queued) > most_queued:
                yield from self._report(epoch, *queued.popleft(), losses)
            self._is_time_over = self._fraction_of_time() >= 1
            if self._is_time_over:
                break
        while queued:
            yield from self._report(epoch, *queued.popleft(), losses)

    def _make_step(self, batches: Iterator[Batch], queued: Sequence[tuple[int, PendingStep]]) -> PendingStep:
        with self.torch_state.applied():
            return self._pace.step(
                batches, lambda batch: self.learner.step(*batch), lambda: all(made.is_over for _, made in queued)
            )

    def _report(self, epoch: int, step: int, made: PendingStep, losses: list[float]) -> Iterator[TrainEvent]:
        """Wait until a step is made, and say how it went."""
        losses.append(self._pace.read(lambda: self.learner.wait(made)))
        yield StepFinished(epoch, step, losses[-1])
        if pace := self._pace.report(epoch):
            yield pace
        if notice := self.learner.skip_notice(epoch, step):
            yield notice

    def _validate(self, epoch: int) -> Generator[Validating | Busy | Notice, None, Scores]:
        is_last = epoch == self.config.epochs or self._is_time_over
        if not self.data.split.val or not (is_last or epoch % self.config.validate_every == 0):
            return None, None
        while True:
            with suppress(OutOfMemory):
                scores = yield from validate(
                    epoch, self.learner, self.data.validation, self.torch_state, self.snapshots
                )
                return scores if self.data.split.tells_best else (scores[0], math.nan)
            yield from self._retry_with_less()

    def _prepare_snapshots(self) -> Iterator[Busy | Notice]:
        return self._save_snapshots(lambda watch: watch.prepare(self.data, len(self.run.history)))

    def _save_snapshots(self, do: Callable[[SnapshotWriter], Iterator[Busy] | None]) -> Iterator[Busy | Notice]:
        """Do something for those who watch; when it fails, the run goes on without."""
        if self.snapshots is None:
            return
        try:
            yield from do(self.snapshots) or ()
        except UserError as error:
            self.snapshots = None
            yield Notice(f"{error} The training goes on, but cannot be watched from here on.")

    def _retry_with_less(self) -> Iterator[Busy | Notice]:
        before, self.data = self.data, self.data.with_less_memory()
        self.run.plan = self.data.plan
        self.learner.set_plan(self.data.plan)
        is_same = self.data.plan == before.plan
        words = (
            "the volumes now lie in the machine's own"
            if is_same
            else f"each step now sees {self.data.plan.description}"
        )
        yield Notice(f"Memory ran out; {words}.")
        yield from self._prepare_snapshots()  # volumes may be of another shape now

    def _learning_rate(self, epoch: int, step: int) -> float:
        part_of_epochs = (epoch - 1 + (step - 1) / len(self.data.training)) / self.config.epochs
        progress = min(max(part_of_epochs, self._fraction_of_time()), 1.0)
        n_plateaus = count_plateaus(self.run.history)
        return self.config.learning_rate * lr_factor(self.config.lr_schedule, progress, n_plateaus)

    def _fraction_of_time(self) -> float:
        """Part of the time for steps that is over; the rest of the limit is for the last validation and saving."""
        if not self.config.max_minutes:
            return 0.0
        seconds = self.config.max_minutes * 60 - self._seconds_after_steps
        return self.timer.seconds / seconds if seconds > 0 else 1.0

    def _reason_to_end(self) -> EndReason | None:
        history = self.run.history
        if len(history) >= self.config.epochs:
            return EndReason.EPOCHS
        if self._is_time_over:
            return EndReason.TIME
        # Only a validation can tell that nothing has improved.
        if self.config.patience and history and history[-1].val_loss is not None:
            waited = history[-1].epoch - self.run.best.epoch
            return EndReason.STALLED if waited >= self.config.patience else None
        return None

    def _seconds_left(self) -> float:
        recent = self.run.seconds[-5:]
        left = (self.config.epochs - len(self.run.history)) * sum(recent) / len(recent)
        limit = self.config.max_minutes * 60
        return min(left, max(0.0, limit - self.timer.seconds)) if limit else left

    def _state(self) -> RunState:
        learner, run, split = self.learner, self.run, self.data.split
        card = RunHeader(
            config=self.config,
            plan=self.data.plan,
            volumes=self.volumes,
            train_names=tuple(sample.name for sample in split.train),
            val_names=tuple(sample.name for sample in split.val),
            blocks=split.blocks,
            device_type=self.torch_state.device_type,
            n_steps_per_epoch=len(self.data.training),
            epoch=len(run.history),
            n_steps=learner.n_steps,
            n_averaged_steps=learner.ema.n_steps if learner.ema else 0,
            history=tuple(run.history),
            learning_rates=tuple(run.learning_rates),
            seconds=tuple(run.seconds),
            seconds_spent=self.timer.seconds,
            groups=optimizer_groups(learner.optimizer),
            scaler=learner.stepper.scaler.state_dict() if learner.stepper.is_scaled else {},
        )
        return RunState(
            header=card,
            weights=learner.own_weights(),
            ema=learner.ema.weights() if learner.ema else {},
            moments=optimizer_moments(learner.optimizer),
            random_state=self.torch_state.random_state,
        )


def _mean_finite(losses: Sequence[float]) -> float:
    finite = [loss for loss in losses if math.isfinite(loss)]
    return sum(finite) / len(finite) if finite else math.nan
