"""What `train` reports while it works, with what it announces on disk already, and `preflight` before it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from napari_unet3d.data.checks import Issue, Severity
from napari_unet3d.data.events import Notice
from napari_unet3d.data.split import Block
from napari_unet3d.model.plan import Plan
from napari_unet3d.runs.history import EpochRecord


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run folder exists, volumes are read and the network is built.

    Attributes
    ----------
    run_folder : Path
        Where models, settings and history are written.
    device : str
        Device and precision in words, such as ``"NVIDIA H100, bf16"`` or ``"CPU (2 threads), fp32"``.
    train_names, val_names : tuple of str
        The split: which volumes train and which validate.
    n_epochs, n_steps_per_epoch, n_parameters : int
        Length of the run and size of the network.
    plan : Plan
        Patch and batch size, voxel size, strides and classes.
    history : tuple of EpochRecord
        The epochs of earlier sittings, when a run is resumed.
    blocks : tuple of Block
        Where a single volume was cut into a block that trains and one that validates; empty for whole volumes.
    """

    run_folder: Path
    device: str
    train_names: tuple[str, ...]
    val_names: tuple[str, ...]
    n_epochs: int
    n_steps_per_epoch: int
    n_parameters: int
    plan: Plan
    history: tuple[EpochRecord, ...] = ()
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class Busy:
    """Something that takes long still goes on; it may come at any time, so that a caller can stop there.

    Attributes
    ----------
    words : str
        What goes on, such as ``"Reading the volumes"``.
    """

    message: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """One step of the optimiser, counted from 1; `loss` is that of its batch."""

    epoch: int
    step: int
    loss: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """How the steps go, at most once a second.

    Attributes
    ----------
    epoch : int
        In which epoch.
    steps_per_second : float
        Since the last time; validation, saving and pauses do not count.
    waiting : float
        Part of that time in which the network waited for data, from 0 to 1.
    gpu_bytes : int or None
        Memory of the GPU that the process has taken; None on a CPU.
    """

    epoch: int
    steps_per_second: float
    waiting: float
    gpu_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Validating:
    """Some more parts of the validation volumes have been looked at, of `n_total` in this epoch."""

    epoch: int
    n_done: int
    n_total: int


@dataclass(frozen=True, slots=True)
class EpochFinished:
    """One pass over the training volumes, counted from 1; `last.safetensors` and the history hold it already.

    Attributes
    ----------
    train_loss : float
        Mean loss of the epoch's steps.
    val_loss, val_dice : float or None
        Mean over the validation volumes; None in epochs without validation. The Dice is not a number (NaN) when no
        validation volume has foreground.
    is_best : bool
        Whether `model.safetensors` is now this epoch's model.
    seconds_left : float
        Estimate for the rest of the run.
    """

    epoch: int
    train_loss: float
    val_loss: float | None
    val_dice: float | None
    is_best: bool
    seconds_left: float


@dataclass(frozen=True, slots=True)
class SnapshotSaved:
    """What the network answers after an epoch can be looked at: `evaluation.watched` reads it from the run folder."""

    run_folder: Path
    epoch: int
    n_volumes: int


class EndReason(StrEnum):
    """Why a run has ended by itself."""

    EPOCHS = "all epochs are done"
    STALLED = "the validation loss has not improved for long"
    TIME = "its time is over"


@dataclass(frozen=True, slots=True)
class TrainingFinished:
    """The last epoch is done; `model` is the file of the best one, `reason` says why it was the last.

    When no validation volume has foreground, the best cannot be told: the last one is kept, and its Dice is NaN.
    """

    run_folder: Path
    model: Path
    best_epoch: int
    best_val_loss: float | None
    best_val_dice: float | None
    reason: EndReason = EndReason.EPOCHS


@dataclass(frozen=True, slots=True)
class VolumeChecked:
    """One more volume has been read."""

    name: str
    n_checked: int
    n_volumes: int


@dataclass(frozen=True, slots=True)
class Preflight:
    """All that was found, in the order in which it was."""

    issues: tuple[Issue, ...]

    @property
    def can_train(self) -> bool:
        """Whether nothing makes training impossible."""
        return not self.of(Severity.ERROR)

    def of(self, severity: Severity) -> tuple[Issue, ...]:
        """Return the findings of one severity."""
        return tuple(finding for finding in self.issues if finding.severity is severity)


TrainEvent = (
    RunStarted
    | Busy
    | Notice
    | StepFinished
    | Throughput
    | Validating
    | EpochFinished
    | SnapshotSaved
    | TrainingFinished
)
PreflightEvent = Issue | Busy | VolumeChecked | Preflight
