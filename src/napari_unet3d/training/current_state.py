"""The state of a run that is going on, as its resume file holds it."""

from __future__ import annotations

from typing import Protocol

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.model.devices import TorchState
from napari_unet3d.training.optim.learner import Learner
from napari_unet3d.training.optim.state import optimizer_groups, optimizer_moments
from napari_unet3d.training.prepare import TrainingData
from napari_unet3d.training.resume_state import RunHeader, RunState, VolumeInfo
from napari_unet3d.training.run_folder import RunFolder
from napari_unet3d.training.started_epoch import StartedEpoch
from napari_unet3d.training.throughput import ActiveTimer


class CurrentRun(Protocol):
    """What the state of a run consists of; see `Trainer`."""

    config: TrainingConfig
    volumes: tuple[VolumeInfo, ...]
    folder: RunFolder
    data: TrainingData
    learner: Learner
    torch_state: TorchState
    timer: ActiveTimer


def current_state(run: CurrentRun, started_epoch: StartedEpoch | None = None) -> RunState:
    """Return all that is needed to continue a run after its finished epochs, or inside the next one.

    Parameters
    ----------
    run : CurrentRun
        The run, none of whose steps is pending.
    started_epoch : StartedEpoch, optional
        What the epoch after the finished ones has done.
    """
    learner, folder, split = run.learner, run.folder, run.data.split
    header = RunHeader(
        config=run.config,
        plan=run.data.plan,
        volumes=run.volumes,
        train_names=tuple(sample.name for sample in split.train),
        val_names=tuple(sample.name for sample in split.val),
        blocks=split.blocks,
        device_type=run.torch_state.device_type,
        n_steps_per_epoch=len(run.data.training),
        epoch=len(folder.history),
        n_steps=learner.n_steps,
        n_averaged_steps=learner.ema.n_steps if learner.ema else 0,
        history=tuple(folder.history),
        learning_rates=tuple(folder.learning_rates),
        seconds=tuple(folder.seconds),
        seconds_spent=run.timer.seconds,
        groups=optimizer_groups(learner.optimizer),
        scaler=learner.stepper.scaler.state_dict() if learner.stepper.is_scaled else {},
        started_epoch=started_epoch,
        number_type=run.torch_state.number_type,
    )
    return RunState(
        header=header,
        weights=learner.raw_weights(),
        ema=learner.ema.weights() if learner.ema else {},
        moments=optimizer_moments(learner.optimizer),
        random_state=run.torch_state.random_state,
    )
