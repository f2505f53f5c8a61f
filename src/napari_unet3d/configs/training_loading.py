"""The settings of a training run that say how its volumes are read, split, normalised and sampled."""

from __future__ import annotations

from napari_unet3d.configs.base import NUMBERS, Channels, Config, setting
from napari_unet3d.configs.training_enums import (
    DEFAULT_PERCENTILES,
    Augmentation,
    FourthAxis,
    GivenVoxelSize,
    Names,
    Normalisation,
    Percentiles,
    ResizeMode,
    Spacing,
    SpacingMode,
    fourth_axis,
    given_voxel_size,
)

_LOADING = "Patches and data loading"
_FOR_PATCHES, _FOR_WHOLE = {"patch": ("auto", NUMBERS)}, {"patch": ("auto", "whole")}  # auto may choose either


class LoadingSettings(Config):
    """Intensities, channels, voxel size, patches and validation volumes."""

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

    @property
    def voxel_size_um(self) -> tuple[float, float, float] | None:
        """The voxel size (z, y, x) in µm for volumes whose file has none; None if none is given."""
        return None if isinstance(self.voxel_size[0], str) else self.voxel_size  # type: ignore[return-value]

    @property
    def spacing_um(self) -> tuple[float, float, float] | None:
        """The requested voxel size (z, y, x) in µm; None for original and median."""
        return None if isinstance(self.spacing[0], str) else self.spacing  # type: ignore[return-value]
