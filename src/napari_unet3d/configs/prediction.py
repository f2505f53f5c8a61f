"""Settings of prediction and of the evaluation of a test set."""

from __future__ import annotations

from napari_unet3d.configs.base import Config, setting
from napari_unet3d.configs.synthetic_enums import Axis
from napari_unet3d.configs.training_enums import Augmentation, Device, Precision

_OBJECTS = "Single objects"


class PostProcessing(Config):
    """How labels are made of the network's answer; these can be changed without predicting again."""

    threshold: float = setting(
        0.5, "Probability from which a voxel counts as foreground.", minimum=0, maximum=1, step=0.01
    )
    min_volume_um3: float = setting(
        0.0,
        "Connected regions or objects with a smaller volume are removed, in µm³.",
        minimum=0,
        maximum=1e12,
        step=0.01,
        zero_text="keep all",
        label="smallest volume (µm³)",
    )
    seed_prominence: float = setting(
        0.2,
        "How deep the valley between two parts must be for two objects, from 0 to 1; more separates less. Raise it "
        "when objects fall apart, lower it when neighbours stay joined.",
        minimum=0,
        maximum=1,
        step=0.01,
        group=_OBJECTS,
    )
    boundary_weight: float = setting(
        0.5,
        "What makes a valley: only that the shape narrows (0), only the boundaries that the network sees between "
        "objects (1), or both.",
        minimum=0,
        maximum=1,
        step=0.01,
        group=_OBJECTS,
    )
    seed_confidence: float = setting(
        0.4,
        "How sure the network must be of an object's middle, from 0 to 1. What stays below it everywhere is removed as "
        "noise; lower it when faint objects are missing.",
        minimum=0,
        maximum=1,
        step=0.01,
        zero_text="keep all",
        label="certainty of the middle",
        group=_OBJECTS,
    )


class PredictionConfig(PostProcessing):
    """How a trained model is applied to a volume."""

    overlap: float = setting(
        0.5,
        "Part of its side that a tile shares with the next one; more gives smoother seams and takes longer.",
        minimum=0,
        maximum=0.9,
        step=0.05,
    )
    tta: bool = setting(
        False,
        "Average the predictions of the volume and its mirror images: more exact, eight times slower.",
        label="test-time augmentation",
    )
    uncertainty: bool = setting(
        False, "Tell for each voxel how unsure the prediction is, over the mirror images of the volume."
    )
    device: Device = setting(Device.AUTO, "Where to predict: auto takes a GPU when there is one.")
    precision: Precision = setting(Precision.AUTO, "Number type of the heavy arithmetic.", group="Hardware")


class EvaluationConfig(PredictionConfig):
    """How predictions of a test set are compared with the truth."""

    tolerance_um: float = setting(
        1.0,
        "Distance in µm within which two surfaces count as the same, for the normalised surface Dice.",
        minimum=0,
        maximum=1e6,
        step=0.01,
        label="surface tolerance (µm)",
    )
    test_augmentation: Augmentation = setting(
        Augmentation.NONE,
        "Augmentation of test volumes; leave at none for numbers that can be compared.",
        group="Figure and test set",
    )
    seed: int = setting(0, "Seed of the test augmentation.", minimum=0, maximum=2**31 - 1, group="Figure and test set")
    figure_axis: Axis = setting(
        Axis.Z, "Axis that the slices of the figure are cut along.", group="Figure and test set"
    )
    figure_slices: int = setting(
        5, "How many slices the figure shows.", minimum=1, maximum=20, group="Figure and test set"
    )
