"""Settings of prediction and of the evaluation of a test set."""

from __future__ import annotations

from napari_unet3d.configs.base import Settings, setting
from napari_unet3d.configs.synthetic_choices import Axis
from napari_unet3d.configs.training import Augmentation, Device, Precision


class PredictionConfig(Settings):
    """How a trained model is applied to a volume."""

    threshold: float = setting(0.5, "Probability from which a voxel counts as foreground.", low=0, high=1, step=0.01)
    device: Device = setting(Device.AUTO, "Where to predict: auto takes a GPU when there is one.")
    precision: Precision = setting(Precision.AUTO, "Number type of the heavy arithmetic.", group="Hardware")


class EvaluationConfig(PredictionConfig):
    """How predictions of a test set are compared with the truth."""

    test_augmentation: Augmentation = setting(
        Augmentation.NONE,
        "Augmentation of test volumes; leave at none for numbers that can be compared.",
        group="Figure and test set",
    )
    seed: int = setting(0, "Seed of the test augmentation.", low=0, high=2**31 - 1, group="Figure and test set")
    figure_axis: Axis = setting(
        Axis.Z, "Axis that the slices of the figure are cut along.", group="Figure and test set"
    )
