"""Settings of prediction and evaluation."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from napari_unet3d.configs.base import Channels, Config, setting
from napari_unet3d.configs.synthetic_enums import Axis
from napari_unet3d.configs.training_enums import (
    Augmentation,
    Device,
    FourthAxis,
    GivenVoxelSize,
    Precision,
    fourth_axis,
    given_voxel_size,
)

_OBJECTS = "Single objects"
_READING = "Channels, time and voxel size"


def _auto_as_none(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() == "auto" else value


Tolerance = Annotated[float | None, BeforeValidator(_auto_as_none)]
"""A distance; None, or ``auto``, for the smallest side of a voxel of each volume."""


class PostProcessing(Config):
    """How labels are computed from the network output; these can be changed without predicting again."""

    threshold: float = setting(
        0.5, "Probability at and above which a voxel is foreground.", minimum=0, maximum=1, step=0.01
    )
    min_volume: float = setting(
        0.0,
        "Connected regions or objects below this volume are removed. It is in µm³, or in voxels where the voxel size "
        "is unknown.",
        minimum=0,
        maximum=1e12,
        step=0.01,
        zero_text="keep all",
        label="minimum volume",
    )
    seed_prominence: float = setting(
        0.2,
        "How much the map of centres must drop between two of them for them to be two objects, from 0 to 1 (the "
        "prominence of the seeds of a watershed). Raise it if objects are split, lower it if neighbours are merged.",
        minimum=0,
        maximum=1,
        step=0.01,
        label="drop between objects",
        group=_OBJECTS,
    )
    boundary_weight: float = setting(
        0.5,
        "Where objects are split: only where their shape is narrow (0), only at the boundaries between objects that "
        "the network predicts (1), or both.",
        minimum=0,
        maximum=1,
        step=0.01,
        group=_OBJECTS,
    )
    seed_confidence: float = setting(
        0.4,
        "How sure the network must be of the centre of an object, from 0 to 1 (the confidence of the seeds of a "
        "watershed). Objects below it are removed as noise; lower it if faint objects are missing.",
        minimum=0,
        maximum=1,
        step=0.01,
        zero_text="keep all",
        label="certainty of objects",
        group=_OBJECTS,
    )


class PredictionConfig(PostProcessing):
    """How a trained model is applied to a volume."""

    overlap: float = setting(
        0.5,
        "Overlap of neighbouring tiles as a fraction of their side; more gives smoother seams and takes longer.",
        minimum=0,
        maximum=0.9,
        step=0.05,
    )
    tta: bool = setting(
        False,
        "Average the predictions of the volume and its mirror images (8 in total): more accurate, eight times slower.",
        label="test-time augmentation",
    )
    uncertainty: bool = setting(
        False, "Compute the uncertainty of each voxel from the predictions of the volume and its mirror images."
    )
    channels: Channels = setting(
        (),
        "Channels of the image to use, by name or by number from 1, in the order of the channels that the model was "
        "trained on; if none is given, those with the names of the model, or else all.",
        group=_READING,
    )
    fourth_axis: FourthAxis = fourth_axis(_READING)
    voxel_size: GivenVoxelSize = given_voxel_size(_READING)
    device: Device = setting(Device.AUTO, "Device to predict on; auto uses a GPU if there is one.")
    precision: Precision = setting(Precision.AUTO, "Number type of the computations.", group="Hardware")

    @property
    def voxel_size_um(self) -> tuple[float, float, float] | None:
        """The voxel size (z, y, x) in µm for volumes whose file has none; None if none is given."""
        return None if isinstance(self.voxel_size[0], str) else self.voxel_size  # type: ignore[return-value]


class EvaluationConfig(PredictionConfig):
    """How predictions for a test set are compared with ground truth."""

    tolerance: Tolerance = setting(
        None,
        "Distance up to which two surfaces agree, and depth up to which errors are boundary noise and are not listed. "
        "It is in µm, or in voxels where the voxel size is unknown; auto is the smallest side of a voxel.",
        minimum=0,
        maximum=1e6,
        step=0.01,
        label="surface tolerance",
        none_text="auto",
        initial=1.0,
    )
    ignore_border_objects: bool = setting(
        False,
        "Leave objects that touch the border of a volume out of the scores of single objects and of the errors. A "
        "predicted one still counts if it is matched with a true object that does not touch the border.",
        group="Figure and test set",
    )
    test_augmentation: Augmentation = setting(
        Augmentation.NONE,
        "Strength of the augmentation of test volumes; none keeps scores comparable.",
        group="Figure and test set",
    )
    seed: int = setting(0, "Seed of the test augmentation.", minimum=0, maximum=2**31 - 1, group="Figure and test set")
    figure_axis: Axis = setting(Axis.Z, "Axis perpendicular to the slices in the figure.", group="Figure and test set")
    figure_slices: int = setting(
        5, "Number of slices in the figure.", minimum=1, maximum=20, group="Figure and test set"
    )
