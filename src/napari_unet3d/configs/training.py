"""Settings of a training run: labels, patches, network, optimisation, hardware."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, model_validator

from napari_unet3d.configs.base import as_tuple, setting
from napari_unet3d.configs.training_checks import NETWORK_SETTINGS, check_together
from napari_unet3d.configs.training_enums import BestMetric, LRSchedule, Optimizer, Precision, Tracker
from napari_unet3d.configs.training_loading import LoadingSettings
from napari_unet3d.configs.training_main import MainSettings
from napari_unet3d.configs.training_network import NetworkSettings

__all__ = ["NETWORK_SETTINGS", "TrainingConfig"]

_OPTIMISATION, _LENGTH, _HARDWARE, _TRACKING = "Optimisation", "Length of the run", "Hardware", "Tracking"
_FOR_OBJECTS = {"task": ("instance",)}


class TrainingConfig(LoadingSettings, NetworkSettings, MainSettings):  # the fields of the last class come first
    """Settings of a training run; the defaults are those of the qim3d tutorial.

    >>> TrainingConfig(patch=32, spacing="median").patch
    (32, 32, 32)
    """

    optimizer: Optimizer = setting(Optimizer.ADAM, "Optimiser.", group=_OPTIMISATION)
    lr_schedule: LRSchedule = setting(
        LRSchedule.COOLDOWN,
        "How the learning rate changes: constant, decreasing in the last third of the run (cooldown), cosine, "
        "polynomial (poly), increasing then decreasing (one-cycle), or reduced when the validation loss stops "
        "improving (plateau).",
        label="learning rate schedule",
        group=_OPTIMISATION,
    )
    weight_decay: float = setting(
        1e-3, "Weight decay (L2 penalty).", minimum=0, maximum=1, step=1e-6, group=_OPTIMISATION
    )
    momentum: float = setting(
        0.0,
        "Momentum; Adam and AdamW have their own.",
        minimum=0,
        maximum=0.9999,
        step=1e-4,
        group=_OPTIMISATION,
        visible_if={"optimizer": ("sgd", "rmsprop")},
    )
    max_grad_norm: float = setting(
        12.0,
        "Maximum norm of the gradient; larger gradients are scaled down to it (gradient clipping). 0 turns it off.",
        minimum=0,
        maximum=1e6,
        step=0.1,
        zero_text="off",
        group=_OPTIMISATION,
    )
    ema_decay: float = setting(
        0.0,
        "Decay of the exponential moving average of the weights, which is validated and saved as the model; 0.99 "
        "averages over about 100 steps, 0 turns it off.",
        minimum=0,
        maximum=0.9999,
        step=1e-4,
        zero_text="off",
        label="EMA decay",
        group=_OPTIMISATION,
    )

    validate_every: int = setting(1, "Number of epochs between validations.", minimum=1, maximum=100_000, group=_LENGTH)
    save_snapshots: bool = setting(
        True,
        "Save the predictions for the validation volumes and the model after each validation, to follow training and "
        "to return to any epoch; takes up to 1 GiB in the run folder.",
        group=_LENGTH,
    )
    best_metric: BestMetric = setting(
        BestMetric.LOSS,
        "What decides which epoch is the best and is saved as the model: the lowest validation loss, or the highest F1 "
        "of the objects, matched at IoU 0.5.",
        group=_LENGTH,
        visible_if=_FOR_OBJECTS,
    )
    patience: int = setting(
        0,
        "Stop early if the best metric has not improved for this number of epochs; 0 never stops early.",
        minimum=0,
        maximum=100_000,
        zero_text="off",
        group=_LENGTH,
    )
    max_minutes: float = setting(
        0.0,
        "Maximum duration of the run in minutes; the learning rate schedule ends in time, and the model is saved. 0 "
        "sets no limit.",
        minimum=0,
        maximum=1_000_000,
        step=0.1,
        zero_text="no limit",
        group=_LENGTH,
    )

    checkpoint_minutes: float = setting(
        0.0,
        "Number of minutes between saves of the state inside an epoch, from which a run that is interrupted can be "
        "resumed; 0 saves it at the end of each epoch only.",
        minimum=0,
        maximum=1_000_000,
        step=0.1,
        zero_text="each epoch",
        group=_LENGTH,
    )

    precision: Precision = setting(Precision.AUTO, "Number type of the computations.", group=_HARDWARE)
    track: Annotated[tuple[Tracker, ...], BeforeValidator(as_tuple)] = setting(
        (),
        "Programs that record losses, scores and settings of a run: TensorBoard in the run folder, MLflow and trackio"
        " where their own settings say.",
        group=_TRACKING,
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        check_together(self)
        return self
