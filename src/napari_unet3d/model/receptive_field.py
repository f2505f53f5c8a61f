"""How far a network sees: the voxels of its input that one voxel of its answer depends on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.sample import Shape3D, VoxelSize
from napari_unet3d.model.plan import Plan, strides_for


def receptive_field(config: TrainingConfig, plan: Plan) -> Shape3D:
    """Count the voxels that convolutions join in one voxel of the answer, without building the network.

    Instance norm is left out: it divides by the spread of the whole volume, so that strictly every voxel depends a
    little on every other one. What it passes on is two numbers per channel, no structure.

    The layers are those of `monai.networks.nets.UNet` with two residual units, followed from the answer back to the
    image (Araujo, Norris, Sim 2019, "Computing receptive fields of convolutional neural networks", Distill). Where
    a voxel lies on the grid of the coarse levels matters; the widest field counts.

    Parameters
    ----------
    config : TrainingConfig
        Sizes of the kernels.
    plan : Plan
        Strides of the levels.

    Returns
    -------
    tuple of int
        Widest extent along z, y, x in voxels that the network works at.
    """
    z, y, x = (_widest([strides[axis] for strides in plan.strides], config) for axis in range(3))
    return z, y, x


def separating_gap(config: TrainingConfig, voxel_size_um: VoxelSize) -> Shape3D:
    """Return the gap between two blocks of a single volume over which no voxel is seen from both of them.

    Parameters
    ----------
    config : TrainingConfig
        Preset, sizes of the kernels, and the voxel size that the volume is brought to, if it is.
    voxel_size_um : tuple of float
        Voxel size of the volume along z, y, x in µm.

    Returns
    -------
    tuple of int
        The receptive field along z, y, x in voxels of the volume, rounded up.
    """
    worked_at = config.spacing_um or voxel_size_um  # the common voxel size of one volume is its own
    seen = receptive_field(config, Plan(strides=strides_for(config.preset, worked_at)))
    z, y, x = (
        math.ceil(extent * after / before - 1e-9)
        for extent, after, before in zip(seen, worked_at, voxel_size_um, strict=True)
    )
    return z, y, x


def _widest(strides: Sequence[int], config: TrainingConfig) -> int:
    fields = (_seen_from(voxel, voxel, strides, config) for voxel in range(math.prod(strides)))
    return max(last - first + 1 for first, last in fields)


def _seen_from(first: int, last: int, strides: Sequence[int], config: TrainingConfig) -> tuple[int, int]:
    """Follow the range of voxels at the upper end of one level and all below it to the range at its lower end."""
    stride, deeper = strides[0], strides[1:]
    reach, up_reach = config.kernel_size // 2, config.up_kernel_size // 2
    first, last = first - reach, last + reach  # the residual unit of the way up
    first, last = math.ceil((first - up_reach) / stride), (last + up_reach) // stride  # the up-convolution
    # What is joined here past the deeper levels is a part of what they see.
    first, last = _seen_from(first, last, deeper, config) if deeper else (first - 2 * reach, last + 2 * reach)
    first, last = first - reach, last + reach  # the second convolution of the way down
    return first * stride - reach, last * stride + reach  # and the first one
