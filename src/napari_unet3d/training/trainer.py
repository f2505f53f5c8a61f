"""The training loop: what happens in an epoch, from the first step to the saved model."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.errors import OutOfMemory, UserError
from napari_unet3d.files import RESUME_FILE
from napari_unet3d.model.devices import MAX_QUEUED_STEPS, TorchState
from napari_unet3d.runs.history import EpochRecord
from napari_unet3d.training.current_state import current_state
from napari_unet3d.training.events import (
    Busy,
    EndReason,
    EpochFinished,
    StateSaved,
    StepFinished,
    TrainEvent,
    TrainingFinished,
    Validating,
)
from napari_unet3d.training.limits import RunLimits
from napari_unet3d.training.loading.batches import Batch
from napari_unet3d.training.optim.learner import Learner
from napari_unet3d.training.optim.step import PendingStep
from napari_unet3d.training.prepare import TrainingData
from napari_unet3d.training.processes import Processes, Step
from napari_unet3d.training.resume_state import VolumeInfo, save_run_state
from napari_unet3d.training.run_folder import RunFolder
from napari_unet3d.training.save_schedule import SaveRequests, SaveSchedule, StopWatcher
from napari_unet3d.training.snapshot_writer import SnapshotWriter
from napari_unet3d.training.started_epoch import EpochInProgress, StartedEpoch
from napari_unet3d.training.throughput import ActiveTimer, ThroughputMeter
from napari_unet3d.training.validate import ValidationScores, validate


@dataclass(eq=False)
class Trainer:
    """Trains a network, from the epoch that its run has reached to the end of the run.

    `train` is a generator of events. The caller requests the next event to continue, or closes the generator to stop.
    The methods below it are generators, too: ``yield from`` passes on the events of a method and returns its result.

    Attributes
    ----------
    config : TrainingConfig
        The settings.
    volumes : tuple of VolumeInfo
        Names and shapes of all volumes; a resumed run must be given the same ones.
    folder : RunFolder
        Where results are written, and the history of the epochs.
    data : TrainingData
        Batches for training and validation, and their plan (patch size, batch size). It is replaced by one with
        smaller patches or batches when memory runs out.
    learner : Learner
        Network, loss, optimizer and moving average of the weights (EMA).
    torch_state : TorchState
        Torch's threads and random state. It is applied during computation only, because other code, such as
        napari, may share the process.
    timer : ActiveTimer
        Time that the run has taken, including its earlier sessions, without pauses.
    snapshots : SnapshotWriter or None
        Saves the predictions on validation volumes after each validated epoch; None if this is not wanted.
    save_requests : SaveRequests or None
        Requests to save the state inside an epoch; None if there can be none.
    started_epoch : StartedEpoch or None
        What the first epoch has done before, if the run is resumed inside it.
    processes : Processes or None
        The processes that train together, of which this is the first; None if it trains alone.
    """

    config: TrainingConfig
    volumes: tuple[VolumeInfo, ...]
    folder: RunFolder
    data: TrainingData
    learner: Learner
    torch_state: TorchState
    timer: ActiveTimer
    snapshots: SnapshotWriter | None = None
    save_requests: SaveRequests | None = None
    started_epoch: StartedEpoch | None = None
    processes: Processes | None = None

    def __post_init__(self) -> None:
        self._limits = RunLimits(self.config, self.timer)
        self._saves = SaveSchedule(self.config.checkpoint_minutes, self.timer, self.save_requests)
        self._throughput = ThroughputMeter(lambda: self.timer.seconds, self.learner.device)
        self._n_steps = len(self.data.training)  # per epoch; it stays the same when memory runs out
        self._stop = StopWatcher(self.folder.path)

    def train(self) -> Iterator[TrainEvent]:
        """Train epoch by epoch; the last event says why the run has ended."""
        if self.folder.history:  # a resumed run may have no time left; a new one makes at least one step, for a model
            self._limits.note_time()
        yield from self._prepare_snapshots()
        yield from self._complete_snapshots()
        try:
            # `save_epoch` appends each finished epoch to the history, from which the reason to end follows.
            while (reason := self._end_reason()) is None:
                yield from self._run_epoch(len(self.folder.history) + 1)
        except (GeneratorExit, KeyboardInterrupt):
            # The run was stopped. After an error nothing is saved: the weights may be useless, or not even readable,
            # and a second error would hide the first one.
            if self.learner.n_steps > 0 and not self.folder.has_model:  # within the first epoch
                self.folder.save_started_epoch(self.learner.model_weights())
            raise
        self.folder.check_in_place(self.learner.model_weights)
        yield self._finished(reason)

    def _end_reason(self) -> EndReason | None:
        """Return why the run ends here, between two epochs or where it was stopped inside one; None if it continues."""
        if reason := self._limits.end_reason(self.folder.history):
            return reason
        # A new run makes at least one step, for a model.
        return EndReason.REQUESTED if self.learner.n_steps > 0 and self._stop.look() else None

    def _finished(self, reason: EndReason) -> TrainingFinished:
        if not self.folder.history:  # stopped on request in the first epoch
            if not self.folder.has_model:
                self.folder.save_started_epoch(self.learner.model_weights())
            return TrainingFinished(self.folder.path, self.folder.model, 0, None, None, reason)
        best = self.folder.best
        scores = best.epoch, best.val_loss, best.val_dice
        return TrainingFinished(self.folder.path, self.folder.model, *scores, reason, best.val_f1)

    def _run_epoch(self, number: int) -> Iterator[TrainEvent]:
        """Train, validate and save; epochs count from 1."""
        epoch = self._begin_epoch(number)
        yield from self._train_epoch(epoch)
        if self._stop.is_requested:
            return
        steps_ended = self.timer.seconds
        scores = yield from self._validate(number)
        record = EpochRecord(number, epoch.mean_loss, *scores, best_by=self.config.best_metric.value)
        is_best = self.folder.save_epoch(
            record,
            self.learner.model_weights(),
            learning_rate=epoch.learning_rate,
            seconds=self.timer.seconds - epoch.began,
        )
        # The resume file is written after the models and the history: a process that is killed in between repeats the
        # epoch. If it came first, it would count an epoch whose model may be missing.
        with self.folder.in_place(self.learner.model_weights):
            save_run_state(self.folder.path / RESUME_FILE, current_state(self))
        self._saves.note_saved()
        seconds_left = self._limits.seconds_left(self.folder.seconds, epoch.is_steady(steps_ended))
        loss, dice, f1 = scores
        rest = seconds_left, f1, epoch.learning_rate, self.folder.seconds[-1]
        yield EpochFinished(number, record.train_loss, loss, dice, is_best, *rest)
        if self.snapshots is not None and loss is not None:
            self.folder.check_in_place(self.learner.model_weights)
            yield from self.snapshots.save(number, self.folder.best.epoch, self.data.plan)
        self._limits.reserve_time_after_steps(self.timer.seconds - steps_ended)
        is_last = self._limits.end_reason(self.folder.history) is not None
        if self._saves.requests.is_pending and not is_last:  # requested since the last step
            yield StateSaved(number + 1, 0, self._saves.requests.take())

    def _begin_epoch(self, number: int) -> EpochInProgress:
        """Return an epoch at its beginning, or where it was when the state was saved inside it."""
        started, self.started_epoch = self.started_epoch, None
        if started is None:
            return EpochInProgress(number, self._learning_rate(number, step=1), self.timer.seconds)
        return EpochInProgress(
            number, started.learning_rate, self.timer.seconds - started.seconds, list(started.losses)
        )

    def _train_epoch(self, epoch: EpochInProgress) -> Iterator[TrainEvent]:
        """Make the optimizer steps of an epoch, at least one of a new epoch and none after the time limit.

        On a GPU a step is pending until its loss is read. The next step is queued before that, so that the GPU never
        has to wait.
        """
        pending: deque[tuple[int, PendingStep]] = deque()
        max_pending = MAX_QUEUED_STEPS.get(self.learner.device.type, 0)
        first_step = len(epoch.losses) + 1
        batches = self.data.training.epoch(epoch.number, first_step)
        for step in range(first_step, self._n_steps + 1):
            while (queued := self._try_step(epoch.number, step, batches, pending)) is None:
                batches = iter(())  # so that nothing holds the old volumes while the new ones are prepared
                yield from self._use_less_memory()
                batches = self.data.training.epoch(epoch.number, first_step=step)
            pending.append((step, queued))
            is_save_due = self._saves.is_due or self._stop.look()
            while len(pending) > (0 if is_save_due else max_pending):
                yield from self._finish_step(epoch, *pending.popleft())
            if is_save_due:
                yield self._save_inside(epoch)
            self._limits.note_time()
            if self._limits.is_time_up or self._stop.is_requested:
                break
        while pending:
            yield from self._finish_step(epoch, *pending.popleft())

    def _save_inside(self, epoch: EpochInProgress) -> StateSaved | Notice:
        """Save the state inside an epoch, none of whose steps is pending; a full disk does not end the training."""
        self._saves.note_saved()
        ends = self._saves.requests.take()
        state = current_state(self, epoch.saved_at(self.timer.seconds))
        self.folder.check_in_place(self.learner.model_weights)
        try:
            save_run_state(self.folder.path / RESUME_FILE, state)
        except UserError as error:
            self.folder.check_in_place(self.learner.model_weights)
            how = "ends without this epoch" if self._stop.is_requested else "continues"
            return Notice(f"{error} The state of the run was not saved; the training {how}.")
        return StateSaved(epoch.number, len(epoch.losses), ends)

    def _try_step(
        self, epoch: int, step: int, batches: Iterator[Batch], pending: Sequence[tuple[int, PendingStep]]
    ) -> PendingStep | None:
        """Make an optimizer step with the next batch, or only queue it on a GPU; return None if memory runs out.

        The error is dropped here: its traceback would keep the memory of the failed step allocated.
        """
        self.learner.learning_rate = self._learning_rate(epoch, step)
        if self.processes is not None:
            self.processes.announce(Step(epoch, step, self.learner.learning_rate))
        try:
            with self.torch_state.applied():
                with self._throughput.waiting(lambda: all(earlier.is_over for _, earlier in pending)):
                    images, targets = next(batches)
                with self._throughput.computing():
                    return self.learner.step(images, targets)
        except OutOfMemory:
            return None

    def _finish_step(self, epoch: EpochInProgress, step: int, pending: PendingStep) -> Iterator[TrainEvent]:
        """Wait for the end of a step and report it."""
        with self._throughput.reading():
            loss = self.learner.wait(pending)
        epoch.add_loss(loss, self._n_steps, self.timer.seconds)
        yield StepFinished(epoch.number, step, loss)
        if throughput := self._throughput.report(epoch.number):
            yield throughput
        if notice := self.learner.notice_of_skipped_steps(epoch.number, step):
            yield notice

    def _validate(self, epoch: int) -> Generator[Validating | Busy | Notice, None, ValidationScores]:
        """Return the scores of the validation volumes; none in epochs without validation.

        Dice is NaN if no validation volume has foreground, so that it cannot rank the epochs.
        """
        is_last = epoch == self.config.epochs or self._limits.is_time_up
        if not self.data.split.val or not (is_last or epoch % self.config.validate_every == 0):
            return ValidationScores()
        while (scores := (yield from self._try_validation(epoch))) is None:
            yield from self._use_less_memory()
        if not (self.data.split.tells_best and self.data.validation.has_foreground):
            return ValidationScores(scores.loss, math.nan)
        return scores._replace(dice=None) if self.data.validation.lacks_background else scores

    def _try_validation(self, epoch: int) -> Generator[Validating, None, ValidationScores | None]:
        """Validate, or return None if memory runs out; a restart discards the snapshots of the failed attempt."""
        try:
            return (yield from validate(epoch, self.learner, self.data.validation, self.torch_state, self.snapshots))
        except OutOfMemory:
            return None

    def _use_less_memory(self) -> Iterator[Busy | Notice]:
        """Continue with volumes off the GPU, or else with smaller patches or batches.

        The number of steps per epoch stays. Retrying comes to an end, since at some point nothing can be made smaller.

        Raises
        ------
        OutOfMemory
            If nothing can be made smaller.
        """
        if self.processes is not None:
            raise OutOfMemory(
                "Memory ran out, and several processes cannot continue with smaller patches. Set a smaller --patch or "
                "--batch-size, or start more processes."
            )
        before, self.data = self.data.plan, self.data.with_less_memory()
        plan = self.folder.plan = self.data.plan
        self.learner.set_plan(plan)
        change = "the volumes are now in main memory" if plan == before else f"each step now sees {plan.description}"
        yield Notice(f"Memory ran out: {change}.")
        yield from self._prepare_snapshots()  # the padded shape of the volumes may have changed

    def _prepare_snapshots(self) -> Iterator[Busy | Notice]:
        if self.snapshots is not None:
            yield from self.snapshots.prepare(self.data, len(self.folder.history))

    def _complete_snapshots(self) -> Iterator[TrainEvent]:
        """Save the snapshot of the last epoch, if the run was killed after its state was saved and before that."""
        history = self.folder.history
        if self.snapshots is None or self.started_epoch is not None or not self.snapshots.lacks(history):
            return
        while (yield from self._try_validation(history[-1].epoch)) is None:
            yield from self._use_less_memory()
        yield from self.snapshots.save(history[-1].epoch, self.folder.best.epoch, self.data.plan)

    def _learning_rate(self, epoch: int, step: int) -> float:
        return self._limits.learning_rate(epoch, step, self._n_steps, self.folder.history)
