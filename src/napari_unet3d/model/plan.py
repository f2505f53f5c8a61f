"""What a run settles from its settings and its data: strides, patch, voxel size, classes; it stays with the model."""

from __future__ import annotations

from math import prod
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from napari_unet3d.configs import Preset, Task, TrainingConfig
from napari_unet3d.data.sample import Shape3D, VoxelSize, format_shape

_Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Stride = Annotated[int, Field(ge=1, le=2)]


class LabelClass(BaseModel):
    """A class of the task classes: the label value that marks it, and its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: PositiveInt
    name: str


class Plan(BaseModel):
    """What the network of a run looks like and works at.

    Attributes
    ----------
    task : Task
        What the outputs mean; see `out_channels`.
    ignore_label : int or None
        The label value of voxels that are not annotated, in training and when the network is evaluated.
    strides : tuple of tuple of int
        How many voxels along z, y, x become one from each level of the network to the next, 1 or 2.
    patch_zyx : tuple of int or None
        Size of a patch in voxels, multiples of `total_stride`; None when steps see whole volumes.
    batch_size : int
        Patches or volumes per step.
    spacing_um : tuple of float or None
        Voxel size (z, y, x) in µm that all volumes are brought to; None when each keeps its own.
    classes : tuple of LabelClass
        The classes without background, in the order of the outputs; empty for other tasks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task = Task.BINARY
    ignore_label: int | None = None
    strides: tuple[tuple[_Stride, _Stride, _Stride], ...]
    patch_zyx: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    batch_size: PositiveInt = 1
    spacing_um: tuple[_Length, _Length, _Length] | None = None
    classes: tuple[LabelClass, ...] = ()

    @property
    def total_stride(self) -> Shape3D:
        """How many voxels along z, y, x become one at the bottom of the network."""
        z, y, x = (prod(stride[axis] for stride in self.strides) for axis in range(3))
        return z, y, x

    @property
    def description(self) -> str:
        """What one step sees, such as ``2 × 64 × 64 × 64 voxels``."""
        if self.patch_zyx is None:
            return f"{self.batch_size} whole volume{'s' if self.batch_size > 1 else ''}"
        return f"{format_shape((self.batch_size, *self.patch_zyx))} voxels"

    @property
    def out_channels(self) -> int:
        """Channels of the network's answer.

        One logit for foreground; background and the classes for classes; foreground, boundary and distance for
        objects.
        """
        match self.task:
            case Task.BINARY:
                return 1
            case Task.SEMANTIC:
                return 1 + len(self.classes)
            case Task.INSTANCE:
                return 3


def strides_for(preset: Preset, voxel_size_um: VoxelSize) -> tuple[Shape3D, ...]:
    """Choose the strides of each level so that features become as long as they are wide.

    An axis whose voxels are at least twice as long as the finest ones is not halved until the others have caught up
    (Isensee et al. 2021, nnU-Net, supplementary note 2).

    Parameters
    ----------
    preset : Preset
        The network; n channels have n - 1 strides.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm that the network works at.

    Returns
    -------
    tuple of tuple of int
        From the finest level to the coarsest, each 1 or 2 along z, y, x.
    """
    sizes = list(voxel_size_um)
    strides = []
    for _ in preset.channels[1:]:
        finest = min(sizes)
        z, y, x = (1 if size >= 2 * finest * (1 - 1e-3) else 2 for size in sizes)
        sizes = [size * stride for size, stride in zip(sizes, (z, y, x), strict=True)]
        strides.append((z, y, x))
    return tuple(strides)


def default_plan(config: TrainingConfig) -> Plan:
    """Return the plan of a network that halves all axes at every level, has one logit and sees whole volumes."""
    strides = ((2, 2, 2),) * (len(config.preset.channels) - 1)
    return Plan(strides=strides, batch_size=max(1, config.batch_size), ignore_label=config.ignore_label)
