"""The plan of a run, which follows from settings and data: strides, patch, voxel size, classes."""

from __future__ import annotations

from math import prod
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_unet3d.configs import Task
from napari_unet3d.data.sample import Shape3D, format_shape

Length = Annotated[float, Field(ge=1e-6, le=1e6)]
"""The side of a voxel in µm, from a picometre to a metre."""
Side = Annotated[int, Field(ge=1, le=2**31)]
"""Number of voxels along an axis."""
_MAX_PATCH_VOXELS = 2**35
_Stride = Annotated[int, Field(ge=1, le=2)]


class LabelClass(BaseModel):
    """A class of semantic segmentation: its label value and its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Annotated[int, Field(ge=1, le=2**63 - 1)]
    name: str


class Plan(BaseModel):
    """The shape of the network of a run and of its input; it is saved with the model.

    Attributes
    ----------
    task : Task
        The task, which decides what the outputs mean; see `out_channels`.
    ignore_label : int or None
        The label value of voxels that are not annotated, in training and in evaluation.
    strides : tuple of tuple of int
        Stride along z, y, x between each level of the network and the next, 1 or 2.
    patch_zyx : tuple of int or None
        Size of a patch in voxels, multiples of `total_stride`; None for whole volumes.
    batch_size : int
        Patches or volumes per step.
    volume_zyx : tuple of int or None
        Largest sides of the training volumes in voxels, where steps take whole volumes.
    spacing_um : tuple of float or None
        Voxel size (z, y, x) in µm that all volumes are resampled to; None when each keeps its own.
    classes : tuple of LabelClass
        The classes without background, in the order of the outputs; empty for other tasks.
    channels : tuple of str
        Names of the channels of the images, in the order of the inputs; empty for a single one without a name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task = Task.BINARY
    ignore_label: int | None = None
    strides: tuple[tuple[_Stride, _Stride, _Stride], ...]
    patch_zyx: tuple[Side, Side, Side] | None = None
    batch_size: Annotated[int, Field(ge=1, le=2**20)] = 1
    volume_zyx: tuple[Side, Side, Side] | None = None
    spacing_um: tuple[Length, Length, Length] | None = None
    classes: tuple[LabelClass, ...] = ()
    channels: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_patch(self) -> Self:
        """Check that the network can be applied to a patch, before anything of its size is created."""
        if self.patch_zyx is None:
            return self
        if any(side % stride for side, stride in zip(self.patch_zyx, self.total_stride, strict=True)):
            raise ValueError(f"the patch {self.patch_zyx} is not a multiple of the stride {self.total_stride}")
        if prod(self.patch_zyx) > _MAX_PATCH_VOXELS:
            raise ValueError(f"the patch {self.patch_zyx} has more than {_MAX_PATCH_VOXELS} voxels")
        return self

    @property
    def in_channels(self) -> int:
        """Number of input channels of the network."""
        return max(1, len(self.channels))

    @property
    def total_stride(self) -> Shape3D:
        """Stride along z, y, x between the image and the coarsest level of the network."""
        z, y, x = (prod(stride[axis] for stride in self.strides) for axis in range(3))
        return z, y, x

    @property
    def description(self) -> str:
        """The batch of a step in words, such as ``2 × 64 × 64 × 64 voxels``."""
        if self.patch_zyx is None:
            return f"{self.batch_size} whole volume{'s' if self.batch_size > 1 else ''}"
        return f"{format_shape((self.batch_size, *self.patch_zyx))} voxels"

    @property
    def out_channels(self) -> int:
        """Number of output channels of the network.

        One for the task binary; background and the classes for semantic; foreground, boundary and distance for
        instance.
        """
        match self.task:
            case Task.BINARY:
                return 1
            case Task.SEMANTIC:
                return 1 + len(self.classes)
            case Task.INSTANCE:
                return 3
