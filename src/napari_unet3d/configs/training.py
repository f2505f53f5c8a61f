"""Settings of a training run: labels, patches, network, optimisation, hardware."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, model_validator

from napari_unet3d.configs.base import NUMBERS, Channels, Config, as_tuple, setting
from napari_unet3d.configs.training_checks import NETWORK_SETTINGS, check_together
from napari_unet3d.configs.training_enums import (
    DEFAULT_PERCENTILES,
    Activation,
    AdnOrder,
    ArchitectureName,
    Augmentation,
    BestMetric,
    ClassWeighting,
    Device,
    FourthAxis,
    GivenVoxelSize,
    Loss,
    LRSchedule,
    Names,
    Normalisation,
    Optimizer,
    Patch,
    PatchMode,
    Percentiles,
    Precision,
    Preset,
    ResizeMode,
    Spacing,
    SpacingMode,
    Task,
    fourth_axis,
    given_voxel_size,
)

__all__ = ["NETWORK_SETTINGS", "TrainingConfig"]

_LABELS, _NETWORK, _LOADING = "Labels and classes", "Network", "Patches and data loading"
_OPTIMISATION, _LENGTH, _HARDWARE = "Optimisation", "Length of the run", "Hardware"
_FOR_UNET = {"architecture": ("unet",)}
_FOR_CLASSES, _FOR_OBJECTS = {"task": ("semantic",)}, {"task": ("instance",)}
_FOR_PATCHES, _FOR_WHOLE = {"patch": ("auto", NUMBERS)}, {"patch": ("auto", "whole")}  # auto may choose either


class TrainingConfig(Config):
    """Settings of a training run; the defaults are those of the qim3d tutorial.

    >>> TrainingConfig(patch=32, spacing="median").patch
    (32, 32, 32)
    """

    task: Task = setting(
        Task.BINARY,
        "What to segment: everything labelled as one foreground, label values as classes, or labels as single objects.",
    )
    ignore_label: int | None = setting(
        None,
        "Label value of voxels that are not annotated; they are left out of training and scores. None if all voxels "
        "are annotated. With 0, background is 1 and other labels start at 2, so a few painted slices are enough; with "
        "any other value, such as 255 or -1, background is 0.",
        minimum=-32_768,
        maximum=65_535,
    )
    preset: Preset = setting(Preset.XXSMALL, "Size of the network; larger ones need more time and memory.")
    patch: Patch = setting(
        (PatchMode.AUTO,),
        "Input of a training step: patches of a size chosen from voxel size, network and memory (auto), whole volumes, "
        "or patches of a given size in voxels along z, y and x.",
        minimum=4,
        maximum=4096,
        step=1,
        initial=32,
    )
    epochs: int = setting(30, "Number of passes over the training volumes.", minimum=1, maximum=1_000_000)
    learning_rate: float = setting(1e-2, "Step size of the optimiser.", minimum=1e-8, maximum=10, step=1e-6)
    loss: Loss = setting(Loss.DICE_CE, "Loss function.")
    augmentation: Augmentation = setting(Augmentation.LIGHT, "Strength of the random augmentation of training volumes.")
    batch_size: int = setting(
        0,
        "Patches or volumes per optimiser step; 0 chooses a number that fits into memory.",
        minimum=0,
        maximum=1024,
        zero_text="auto",
    )
    val_fraction: float = setting(
        0.2,
        "Fraction of the training volumes used for validation, or of a single volume, at one end of it; 0 trains "
        "without validation.",
        minimum=0,
        maximum=0.9,
        step=0.01,
        label="validation fraction",
    )
    seed: int = setting(
        0, "Random seed; the same seed gives the same split, initial weights and order.", minimum=0, maximum=2**31 - 1
    )
    device: Device = setting(Device.AUTO, "Device to train on; auto uses a GPU if there is one.")

    class_names: Names = setting(
        (),
        "Names of the classes in order of their label values, without background.",
        group=_LABELS,
        visible_if=_FOR_CLASSES,
    )
    class_weighting: ClassWeighting = setting(
        ClassWeighting.NONE,
        "Class weights in the loss: equal (none), or higher for rarer classes (auto), which also adds false positives.",
        group=_LABELS,
    )
    class_weights: Annotated[tuple[float, ...], BeforeValidator(as_tuple)] = setting(
        (),
        "Class weights in the loss, background first; they override the class weighting.",
        minimum=0,
        maximum=1000,
        group=_LABELS,
        visible_if=_FOR_CLASSES,
    )

    architecture: ArchitectureName = setting(
        ArchitectureName.UNET,
        "Kind of network: MONAI's residual U-Net, or DynUNet as in nnU-Net, with deep supervision, at least three "
        "levels, and kernels that follow the voxel size.",
        group=_NETWORK,
    )
    dropout: float = setting(0.0, "Dropout probability.", minimum=0, maximum=0.95, step=0.01, group=_NETWORK)
    kernel_size: int = setting(
        3, "Size of the convolution kernels in voxels; odd.", minimum=1, maximum=11, group=_NETWORK
    )
    up_kernel_size: int = setting(
        3,
        "Size of the transposed convolution kernels in voxels; odd.",
        minimum=3,
        maximum=11,
        group=_NETWORK,
        visible_if=_FOR_UNET,
    )
    activation: Activation = setting(Activation.PRELU, "Activation function.", group=_NETWORK, visible_if=_FOR_UNET)
    bias: bool = setting(True, "Use a bias in convolutions.", group=_NETWORK, visible_if=_FOR_UNET)
    adn_order: AdnOrder = setting(
        "NDA",
        "Order of norm (N), dropout (D) and activation (A) after each convolution.",
        label="norm/dropout/act. order",
        group=_NETWORK,
        visible_if=_FOR_UNET,
    )

    normalisation: Normalisation = setting(
        Normalisation.Z_SCORE,
        "How intensities are normalised, per volume; prediction uses the same method. For z-score and percentile, "
        "outliers such as hot pixels do not count.",
        group=_LOADING,
    )
    percentiles: Percentiles = setting(
        DEFAULT_PERCENTILES,
        "Lower and upper percentile of the intensities of a volume. The normalisation percentile maps them to 0 and 1. "
        "Intensities farther from them than twice the distance between both are outliers, such as hot pixels, and "
        "are clipped; with 0 and 100, nothing is.",
        minimum=0,
        maximum=100,
        step=0.01,
        group=_LOADING,
    )
    channels: Channels = setting(
        (),
        "Channels of the images to train on, by name or by number from 1, in the order of the network inputs; all if "
        "none is given. Prediction takes the same ones.",
        group=_LOADING,
    )
    fourth_axis: FourthAxis = fourth_axis(_LOADING)
    channel_dropout: float = setting(
        0.0,
        "Probability that a channel of a patch is set to 0 during training, so that the model also copes with volumes "
        "in which a channel is missing or faint; one channel always stays. Only for images with several channels.",
        minimum=0,
        maximum=0.9,
        step=0.01,
        zero_text="off",
        group=_LOADING,
    )
    spacing: Spacing = setting(
        (SpacingMode.ORIGINAL,),
        "Voxel size of the network input: that of each volume (original), the median of the training volumes (median), "
        "or a given one in µm along z, y and x. Predictions have the voxel size of their image.",
        minimum=0.001,
        maximum=10_000,
        step=0.001,
        initial=1.0,
        group=_LOADING,
    )
    voxel_size: GivenVoxelSize = given_voxel_size(_LOADING)
    foreground_fraction: float = setting(
        0.5,
        "Fraction of the patches that are sampled around foreground, with equal probability for each class; the others "
        "are sampled anywhere.",
        minimum=0,
        maximum=1,
        step=0.01,
        group=_LOADING,
        visible_if=_FOR_PATCHES,
    )
    steps_per_epoch: int = setting(
        0,
        "Optimiser steps per epoch; 0 takes as many as cover each voxel once, at least 8 with patches.",
        minimum=0,
        maximum=1_000_000,
        zero_text="auto",
        group=_LOADING,
    )
    resize_mode: ResizeMode = setting(
        ResizeMode.PAD,
        "How whole volumes are fitted to the network if their shape is not divisible by its total stride.",
        group=_LOADING,
        visible_if=_FOR_WHOLE,
    )
    val_volumes: Names = setting(
        (),
        "Names of the volumes used for validation, instead of a fraction that is drawn; that of a series is all of "
        "its time points.",
        label="validation volumes",
        group=_LOADING,
    )
    split_time_points: bool = setting(
        False,
        "Use some time points of a series for training and others for validation. Off, a whole series is on one side, "
        "since neighbours in time are nearly the same volume, which makes validation scores too good.",
        group=_LOADING,
    )
    val_augmentation: Augmentation = setting(
        Augmentation.NONE,
        "Strength of the augmentation of validation volumes; none keeps scores comparable.",
        label="validation augmentation",
        group=_LOADING,
    )
    shuffle: bool = setting(True, "Shuffle the training volumes in every epoch.", group=_LOADING, visible_if=_FOR_WHOLE)
    num_workers: int = setting(
        0,
        "Number of processes that load data during training; always 0 in the viewer.",
        minimum=0,
        maximum=64,
        group=_LOADING,
    )

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

    @property
    def patch_shape(self) -> tuple[int, int, int] | None:
        """The requested patch shape (z, y, x) in voxels; None for auto and for whole volumes."""
        return None if isinstance(self.patch[0], str) else self.patch  # type: ignore[return-value]

    @property
    def wants_whole_volumes(self) -> bool:
        """Whether training steps are to take whole volumes."""
        return self.patch == (PatchMode.WHOLE,)

    @property
    def voxel_size_um(self) -> tuple[float, float, float] | None:
        """The voxel size (z, y, x) in µm for volumes whose file has none; None if none is given."""
        return None if isinstance(self.voxel_size[0], str) else self.voxel_size  # type: ignore[return-value]

    @property
    def spacing_um(self) -> tuple[float, float, float] | None:
        """The requested voxel size (z, y, x) in µm; None for original and median."""
        return None if isinstance(self.spacing[0], str) else self.spacing  # type: ignore[return-value]

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        check_together(self)
        return self
