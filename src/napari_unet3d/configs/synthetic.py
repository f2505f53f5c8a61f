"""Settings of synthetic volumes: objects, placement and imaging."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, model_validator

from napari_unet3d.configs.base import Config, setting
from napari_unet3d.configs.synthetic_enums import (
    Axis,
    BackgroundMethod,
    Difficulty,
    LabelKind,
    NoiseType,
    ObjectShape,
    PixelType,
    Placement,
    RotationPlane,
)


def _ordered(values: tuple[Any, Any]) -> tuple[Any, Any]:
    if values[0] > values[1]:
        raise ValueError(f"a range goes from low to high; swap {values[0]:g} and {values[1]:g}")
    return values


FloatRange = Annotated[tuple[float, float], AfterValidator(_ordered)]
IntRange = Annotated[tuple[int, int], AfterValidator(_ordered)]
Shape = tuple[int, int, int]

_LOOK, _PLACE, _BACKGROUND, _IMAGING = "Shape and texture", "Placement", "Background noise", "Imaging"


class SyntheticConfig(Config):
    """Settings of one synthetic volume with exact labels.

    The object model (radial decay times gradient noise, gamma, threshold) is that of ``qim3d.generate``. A value is
    sampled uniformly from each range for each object. Lengths are in voxels unless the name says µm. Values that are
    not given come from `difficulty`.

    >>> SyntheticConfig(difficulty="hard", objects=20).minimum_gap
    0
    """

    difficulty: Difficulty = setting(
        Difficulty.TUTORIAL, "Presets for noise, blur and gaps between objects; each value can still be changed."
    )
    objects: int = setting(10, "Number of objects in a volume.", minimum=1, maximum=1_000_000)
    shape: Shape = setting((128, 128, 128), "Shape of the volume along z, y, x in voxels.", minimum=4, maximum=8192)
    object_shape_min: Shape = setting(
        (30, 30, 30), "Minimum size of an object along z, y, x in voxels.", minimum=2, maximum=4096
    )
    object_shape_max: Shape = setting(
        (40, 40, 40), "Maximum size of an object along z, y, x in voxels.", minimum=2, maximum=4096
    )
    seed: int = setting(0, "Random seed; the same seed gives the same volume.", minimum=0, maximum=2**31 - 1)
    label_kind: LabelKind = setting(LabelKind.OBJECTS, "One id per object, or 1 for all objects.")
    voxel_size_um: tuple[float, float, float] = setting(
        (1.0, 1.0, 1.0), "Voxel size along z, y, x in µm.", minimum=0.0001, maximum=1e6, step=0.001
    )
    pixel_type: PixelType = setting(PixelType.UINT8, "Number type of the image.")

    object_shape: ObjectShape = setting(ObjectShape.BLOB, "Shape of the objects: blob, cylinder or tube.", group=_LOOK)
    axis: Axis = setting(Axis.Z, "Axis of cylinders and tubes.", group=_LOOK)
    tube_hole_ratio: float = setting(
        0.5,
        "Inner radius of a tube as a fraction of its outer radius.",
        minimum=0,
        maximum=0.95,
        step=0.01,
        group=_LOOK,
    )
    shell_thickness: int = setting(
        0, "Wall thickness of hollow objects in voxels; 0 makes them solid.", minimum=0, maximum=1000, group=_LOOK
    )
    noise_type: NoiseType = setting(
        NoiseType.PERLIN, "Gradient noise that modulates shape and intensity of the objects.", group=_LOOK
    )
    noise_scale: FloatRange = setting(
        (0.04, 0.08),
        "Range of the noise frequency in cycles per voxel; 0 is smooth.",
        minimum=0,
        maximum=1,
        step=0.001,
        group=_LOOK,
    )
    magnification: FloatRange = setting(
        (1.0, 1.0), "Range of the magnification of each object.", minimum=0.05, maximum=20, step=0.01, group=_LOOK
    )
    gamma: FloatRange = setting(
        (0.9, 1.0),
        "Range of the gamma correction of an object's intensity.",
        minimum=0.01,
        maximum=10,
        step=0.01,
        group=_LOOK,
    )
    intensity: IntRange = setting(
        (128, 255), "Range of the maximum intensity of an object.", minimum=1, maximum=65535, group=_LOOK
    )
    threshold: FloatRange = setting(
        (0.5, 0.55),
        "Range of the threshold for the surface of an object, as a fraction of its maximum intensity.",
        minimum=0,
        maximum=0.99,
        step=0.01,
        group=_LOOK,
    )
    decay: FloatRange = setting(
        (5.0, 10.0),
        "Range of the exponent of the radial decay; larger values give sharper edges.",
        minimum=0.1,
        maximum=100,
        step=0.1,
        group=_LOOK,
    )
    identical_objects: bool = setting(False, "Use the same noise for every object.", group=_LOOK)

    placement: Placement = setting(
        Placement.TRUE_SHAPE,
        "What must not overlap: the objects themselves, so that they can nearly touch, or their bounding boxes.",
        group=_PLACE,
    )
    minimum_gap: int = setting(
        1,
        "Minimum number of background voxels between two objects; 0 allows them to touch.",
        minimum=0,
        maximum=1000,
        group=_PLACE,
    )
    touching_fraction: float = setting(
        0.0,
        "Fraction of the objects that are placed next to another one, at the minimum gap.",
        minimum=0,
        maximum=1,
        step=0.01,
        group=_PLACE,
    )
    rotation_degrees: FloatRange = setting(
        (0.0, 360.0),
        "Range of the rotation angle of an object in degrees.",
        minimum=-360,
        maximum=360,
        step=1,
        group=_PLACE,
    )
    rotation_planes: tuple[RotationPlane, ...] = setting(
        tuple(RotationPlane), "Planes of rotation; one is chosen at random for each object.", group=_PLACE
    )

    background_apply: BackgroundMethod = setting(
        BackgroundMethod.NONE, "How background and image are combined.", group=_BACKGROUND
    )
    background_generate: BackgroundMethod = setting(
        BackgroundMethod.ADD, "How baseline and noise are combined to the background.", group=_BACKGROUND
    )
    background_baseline: float = setting(
        0.0, "Constant intensity of the background.", minimum=0, maximum=65535, step=0.1, group=_BACKGROUND
    )
    background_noise: FloatRange = setting(
        (0.0, 20.0), "Range of the uniform background noise.", minimum=0, maximum=65535, step=0.1, group=_BACKGROUND
    )

    blur_um: float = setting(
        0.0, "Standard deviation of the Gaussian blur in µm.", minimum=0, maximum=1000, step=0.01, group=_IMAGING
    )
    photon_count: float = setting(
        0.0,
        "Photons per voxel at the maximum intensity, for Poisson noise; 0 turns it off.",
        minimum=0,
        maximum=1e9,
        step=1,
        group=_IMAGING,
    )
    read_noise: float = setting(
        0.0,
        "Standard deviation of Gaussian noise as a fraction of the maximum intensity.",
        minimum=0,
        maximum=10,
        step=0.001,
        group=_IMAGING,
    )
    uneven_background: float = setting(
        0.0,
        "Amplitude of a slowly varying background as a fraction of the maximum intensity.",
        minimum=0,
        maximum=10,
        step=0.01,
        group=_IMAGING,
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_difficulty(cls, values: dict[str, Any]) -> dict[str, Any]:
        difficulty = values.get("difficulty", Difficulty.TUTORIAL)
        known = difficulty in tuple(Difficulty)  # validation of the field reports an unknown one
        return {**(Difficulty(difficulty).settings if known else {}), **values}

    @model_validator(mode="after")
    def _check_together(self) -> SyntheticConfig:
        if any(low > high for low, high in zip(self.object_shape_min, self.object_shape_max, strict=True)):
            raise ValueError(
                f"The minimum object shape {self.object_shape_min} is larger than the maximum "
                f"{self.object_shape_max}; swap them"
            )
        if not self.rotation_planes:
            raise ValueError("Choose at least one rotation plane; for no rotation set the rotation range to 0 0")
        largest = {PixelType.UINT8: 255, PixelType.UINT16: 65535}.get(self.pixel_type)
        if largest is not None and self.intensity[1] > largest:
            raise ValueError(
                f"An intensity of {self.intensity[1]} is out of range for the pixel type {self.pixel_type.value} (up "
                f"to {largest}); choose a lower intensity or a larger pixel type"
            )
        self._check_background()
        return self

    def _check_background(self) -> None:
        if self.background_apply is BackgroundMethod.NONE:
            return
        multiplied = self.background_generate in (BackgroundMethod.MULTIPLY, BackgroundMethod.DIVIDE)
        if multiplied and self.background_baseline == 0:
            raise ValueError(
                "A baseline of 0 cannot be multiplied or divided; choose a larger background baseline or add the noise"
            )
        without_noise = self.background_noise == (0, 0)
        is_empty = self.background_baseline == 0 or self.background_generate is BackgroundMethod.MULTIPLY
        divides_by_noise = self.background_generate is BackgroundMethod.DIVIDE
        divides_by_background = self.background_apply is BackgroundMethod.DIVIDE and is_empty
        if without_noise and (divides_by_noise or divides_by_background):
            raise ValueError("Nothing can be divided by noise of 0; choose a larger range of background noise")
