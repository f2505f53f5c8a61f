"""The receptive field of a network: the voxels of the image that one voxel of its output depends on."""

from __future__ import annotations

import math
from functools import lru_cache

import torch

from napari_unet3d.configs import NETWORK_SETTINGS, TrainingConfig
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.model.architectures import get_architecture
from napari_unet3d.model.network import build_network
from napari_unet3d.model.plan import Plan

_MAX_LENGTH = 2**14  # of the volume to measure with, in voxels; no preset comes near
# Layers that do not connect voxels, or, like instance norm, only through statistics of the whole volume.
_POINTWISE = {
    f"torch.nn.modules.{name}" for name in ("activation", "batchnorm", "dropout", "instancenorm", "normalization")
}


def receptive_field(config: TrainingConfig, plan: Plan) -> Shape3D:
    """Measure how far the image can influence one voxel of the output.

    Norms are left out. They divide by the standard deviation of the whole volume, so that strictly every voxel depends
    a little on every other one, but what they pass on is two numbers per channel, no structure.

    The field is the extent of the gradient of an output voxel in a copy of the network with a single channel and equal
    positive weights, where nothing cancels. Along each axis it is the largest over all positions of the voxel on the
    coarsest grid.

    Parameters
    ----------
    config : TrainingConfig
        Architecture and its settings.
    plan : Plan
        Strides of the levels.

    Returns
    -------
    tuple of int
        Extent along z, y, x in voxels that the network works at.
    """
    network_only = TrainingConfig(**{name: getattr(config, name) for name in NETWORK_SETTINGS})
    z, y, x = (_extent(network_only, tuple(strides[axis] for strides in plan.strides)) for axis in range(3))
    return z, y, x


def separating_gap(config: TrainingConfig, geometry: Geometry) -> Shape3D:
    """Return the gap between two blocks of a single volume over which no output depends on voxels of both.

    Parameters
    ----------
    config : TrainingConfig
        Architecture and its settings, and the voxel size to resample to, if any.
    geometry : Geometry
        Voxel size of the volume; it is only resampled if this is known.

    Returns
    -------
    tuple of int
        The receptive field along z, y, x in voxels of the volume, rounded up.
    """
    own = geometry.spacing
    working = (geometry.is_calibrated and config.spacing_um) or own  # the median of a single volume is its own size
    strides = get_architecture(config.architecture).strides(config, working)
    field = receptive_field(config, Plan(strides=strides))
    z, y, x = (math.ceil(extent * new / old - 1e-9) for extent, new, old in zip(field, working, own, strict=True))
    return z, y, x


@lru_cache(maxsize=256)
def _extent(config: TrainingConfig, strides: tuple[int, ...]) -> int:
    """Measure the receptive field along an axis with these strides, in a volume of a single line of voxels."""
    network = _linear_copy(config, Plan(strides=tuple((1, 1, stride) for stride in strides)))
    total_stride = math.prod(strides)
    length = 32 * total_stride
    while length <= _MAX_LENGTH:
        # One line for each position on the coarsest grid, and in each the gradient of another voxel near its middle.
        lines = torch.ones(total_stride, 1, 1, 1, length, dtype=torch.float64, requires_grad=True)
        positions = torch.arange(total_stride)
        with torch.enable_grad():
            outputs = network(lines)[positions, 0, 0, 0, length // 2 + positions]
            (gradient,) = torch.autograd.grad(outputs.sum(), lines)
        fields = [line.nonzero() for line in gradient[:, 0, 0, 0]]
        if all(field[0] > 0 and field[-1] < length - 1 for field in fields):  # none is cut off by the end of its line
            return max(int(field[-1] - field[0]) + 1 for field in fields)
        length *= 2
    return _MAX_LENGTH


def _linear_copy(config: TrainingConfig, plan: Plan) -> torch.nn.Module:
    """Build the network with one channel, equal positive weights, and neither norms nor activations."""
    network = build_network(config, plan, channels=(1,) * (len(plan.strides) + 1)).double().eval()
    for block in list(network.modules()):
        for name, layer in block.named_children():
            if type(layer).__module__ in _POINTWISE:
                setattr(block, name, torch.nn.Identity())
    for weights in network.parameters():
        torch.nn.init.constant_(weights, 0.5)
    return network
