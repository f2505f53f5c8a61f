"""Events of `train`, which reports them as it works, and of `preflight`, which checks data and settings before it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.issues import Issue, Severity
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.data.split import Block
from napari_unet3d.model.plan import Plan
from napari_unet3d.runs.history import EpochRecord


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The volumes are read, the network is built, and the run folder holds the settings.

    Attributes
    ----------
    run_folder : Path
        Where models, settings and history are written.
    device : str
        Device and precision, such as ``"NVIDIA H100, bf16"`` or ``"CPU (2 threads), fp32"``.
    train_names, val_names : tuple of str
        Names of the training and the validation volumes.
    n_epochs, n_steps_per_epoch, n_parameters : int
        Length of the run and size of the network.
    plan : Plan
        Patch and batch size, voxel size, strides and classes.
    config : TrainingConfig
        All settings, with those of a resumed run or of the model that the run starts from.
    volume_shape_zyx : tuple of int
        Shape (z, y, x) of the first volume; without patches, a step sees volumes of this size.
    history : tuple of EpochRecord
        The epochs that were finished before a resumed run continues.
    blocks : tuple of Block
        Training and validation block of a single volume; empty if whole volumes are used.
    n_steps_done : int
        Steps of the epoch after `history` that were made before a resumed run continues.
    """

    run_folder: Path
    device: str
    train_names: tuple[str, ...]
    val_names: tuple[str, ...]
    n_epochs: int
    n_steps_per_epoch: int
    n_parameters: int
    plan: Plan
    config: TrainingConfig
    volume_shape_zyx: Shape3D
    history: tuple[EpochRecord, ...] = ()
    blocks: tuple[Block, ...] = ()
    n_steps_done: int = 0


@dataclass(frozen=True, slots=True)
class Busy:
    """A long operation continues; it may come at any time, so that a caller can stop in the middle of it.

    Attributes
    ----------
    message : str
        The operation, such as ``"Reading the volumes"``.
    """

    message: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """One optimizer step is finished, counted from 1; `loss` is that of its batch."""

    epoch: int
    step: int
    loss: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """The speed of training, at most once a second.

    Attributes
    ----------
    epoch : int
        The current epoch.
    steps_per_second : float
        Mean since the last report; validation, saving and pauses do not count.
    waiting : float
        Fraction of that time in which the network waited for data, from 0 to 1.
    gpu_bytes : int or None
        GPU memory that the process has reserved; None on a CPU.
    """

    epoch: int
    steps_per_second: float
    waiting: float
    gpu_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Validating:
    """`n_done` of the `n_total` validation batches of this epoch are finished."""

    epoch: int
    n_done: int
    n_total: int


@dataclass(frozen=True, slots=True)
class EpochFinished:
    """One epoch is finished, counted from 1; its weights are in `last.safetensors`, its losses in the history.

    Attributes
    ----------
    train_loss : float
        Mean loss of the epoch's steps.
    val_loss, val_dice : float or None
        Mean over the validation volumes; None in epochs without validation. The Dice is NaN when no validation volume
        has foreground, and None when nearly everything is foreground, where it means nothing.
    val_f1 : float or None
        Mean F1 of the objects at IoU 0.5, for single objects.
    is_best : bool
        Whether `model.safetensors` is now this epoch's model.
    seconds_left : float or None
        Estimate for the rest of the run; None before it is probably right within a factor of two.
    learning_rate : float or None
        Learning rate at the beginning of the epoch.
    seconds : float or None
        Duration of the epoch, without pauses.
    """

    epoch: int
    train_loss: float
    val_loss: float | None
    val_dice: float | None
    is_best: bool
    seconds_left: float | None
    val_f1: float | None = None
    learning_rate: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class SnapshotSaved:
    """The predictions after an epoch are in the run folder; `runs.snapshots.open_snapshots` reads them."""

    run_folder: Path
    epoch: int
    n_volumes: int


@dataclass(frozen=True, slots=True)
class StateSaved:
    """The state of the run is on disk, from which it can be resumed at this step.

    Attributes
    ----------
    epoch, step : int
        The epoch, and its steps so far, both counted from 1; 0 steps if it is the first one after a finished epoch.
    ends : bool
        Whether the run was requested to end here; the caller closes the generator.
    """

    epoch: int
    step: int
    ends: bool = False


class EndReason(StrEnum):
    """Why a run has ended by itself."""

    EPOCHS = "all epochs are done"
    STALLED = "the validation loss has stopped improving"
    TIME = "the time limit is reached"
    REQUESTED = "a stop was requested"


@dataclass(frozen=True, slots=True)
class TrainingFinished:
    """The run has ended for a `reason`; `model` is the file of its best epoch.

    When no validation volume has foreground, the best epoch is unknown: the last one is kept, and its Dice is NaN. Of a
    run that was stopped on request in its first epoch, the best epoch is 0.
    """

    run_folder: Path
    model: Path
    best_epoch: int
    best_val_loss: float | None
    best_val_dice: float | None
    reason: EndReason = EndReason.EPOCHS
    best_val_f1: float | None = None


@dataclass(frozen=True, slots=True)
class VolumeChecked:
    """`n_checked` of `n_volumes` volumes have been read and checked, the latest one is `name`."""

    name: str
    n_checked: int
    n_volumes: int


@dataclass(frozen=True, slots=True)
class Preflight:
    """The result of the checks: all issues, in the order in which they were found."""

    issues: tuple[Issue, ...]

    @property
    def can_train(self) -> bool:
        """Whether no issue prevents training."""
        return not self.of(Severity.ERROR)

    def of(self, severity: Severity) -> tuple[Issue, ...]:
        """Return the issues of one severity."""
        return tuple(issue for issue in self.issues if issue.severity is severity)


TrainEvent = (
    RunStarted
    | Busy
    | Notice
    | StepFinished
    | Throughput
    | Validating
    | EpochFinished
    | SnapshotSaved
    | StateSaved
    | TrainingFinished
)
PreflightEvent = Issue | Busy | VolumeChecked | Preflight
