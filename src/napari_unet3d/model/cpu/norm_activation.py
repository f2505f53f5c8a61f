"""Faster norms, activations and residual sums on the CPU, in training and for prediction.

``benchmarks/training_step.py`` and ``benchmarks/prediction.py`` measure them.
"""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.blocks.acti_norm import ADN
from monai.networks.blocks.convolutions import ResidualUnit
from torch.autograd.function import once_differentiable
from torch.nn.functional import batch_norm, leaky_relu

_MIN_CHANNELS = 16  # torch's batch norm processes as many at once, and fewer number by number


def is_channels_last(volumes: torch.Tensor) -> bool:
    """Return whether volumes (n, channel, z, y, x) are on the CPU in channels-last layout."""
    is_batch = volumes.device.type == "cpu" and volumes.dim() == 5
    return is_batch and volumes.is_contiguous(memory_format=torch.channels_last_3d)


class ChannelsLastInstanceNorm3d(torch.nn.InstanceNorm3d):
    """`torch.nn.InstanceNorm3d` that keeps the channels-last layout where there are enough channels.

    Torch's own copies a channels-last volume into another layout, from which the next convolution copies it back.
    """

    @staticmethod
    def is_faster(layer: torch.nn.InstanceNorm3d) -> bool:
        """Return whether a layer normalises by the statistics of its input alone."""
        return not layer.track_running_stats

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name for it
        """Normalise each channel of each volume of (n, channel, z, y, x)."""
        if input.shape[1] < _MIN_CHANNELS or not is_channels_last(input):
            output: torch.Tensor = super().forward(input)
            return output
        # The batch norm of a single volume is its instance norm.
        volumes = [
            batch_norm(volume, None, None, self.weight, self.bias, training=True, eps=self.eps)
            for volume in input.split(1)
        ]
        return volumes[0] if len(volumes) == 1 else torch.cat(volumes)


class SingleSlopePReLU(torch.nn.PReLU):
    """`torch.nn.PReLU` with one slope for all channels and a faster backward pass.

    Torch's own visits voxels one by one and writes the gradient of the slope for each of them before it sums them up.
    """

    @staticmethod
    def is_faster(layer: torch.nn.PReLU) -> bool:
        """Return whether a layer has a single slope."""
        return layer.num_parameters == 1

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name for it
        """Return positive values unchanged, and negative ones multiplied by the slope."""
        return single_slope_prelu(input, self.weight)


def single_slope_prelu(volume: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """Compute PReLU with one slope, on the CPU with gradients that are sums and products of whole volumes.

    Parameters
    ----------
    volume : Tensor
        Input of any shape.
    slope : Tensor, shape (1,)
        Factor of negative values.
    """
    if volume.device.type != "cpu" or not torch.is_grad_enabled():
        return torch.nn.functional.prelu(volume, slope)
    output: torch.Tensor = _SingleSlopePReLU.apply(volume, slope)  # type: ignore[no-untyped-call]
    return output


class _SingleSlopePReLU(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, volume: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(volume, slope)
        return leaky_relu(volume, slope.item())

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        volume, slope = context.saved_tensors
        layout = torch.channels_last_3d if is_channels_last(volume) else torch.contiguous_format
        volume, gradient = (tensor.contiguous(memory_format=layout) for tensor in (volume, gradient))
        negative = volume.clamp_max(0)
        slope_gradient = torch.dot(*(tensor.as_strided((tensor.numel(),), (1,)) for tensor in (gradient, negative)))
        # Allocating memory costs more than the arithmetic, so the gradient of the volume is written over `negative`.
        volume_gradient = torch.ops.aten.leaky_relu_backward.grad_input(
            gradient, volume, slope.item(), self_is_result=False, grad_input=negative
        )
        return volume_gradient, slope_gradient.reshape(slope.shape)


class InPlaceADN(ADN):
    """MONAI's norm, dropout and activation after a convolution, in place when no gradient is needed.

    Nobody else reads the volume that a convolution returns. Allocating a new one costs more than the arithmetic.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name for it
        """Apply the layers to (n, channel, z, y, x)."""
        if torch.is_grad_enabled() or not is_channels_last(input):
            output: torch.Tensor = super().forward(input)  # type: ignore[no-untyped-call]
            return output
        for layer in self:
            input = _apply_in_place(layer, input)  # noqa: A001
        return input


class InPlaceResidualUnit(ResidualUnit):
    """MONAI's residual unit, which adds its branches in place when no gradient is needed."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of convolutions and shortcut for (n, channel, z, y, x)."""
        if torch.is_grad_enabled() or x.device.type != "cpu":
            output: torch.Tensor = super().forward(x)
            return output
        shortcut = self.residual(x)  # first, since it may be x itself
        convolved: torch.Tensor = self.conv(x)
        return convolved.add_(shortcut)


def _apply_in_place(layer: torch.nn.Module, volume: torch.Tensor) -> torch.Tensor:
    match layer:
        case torch.nn.InstanceNorm3d():
            for single in volume.split(1):  # one by one needs the least new memory
                single.copy_(layer(single))
            return volume
        case torch.nn.PReLU(num_parameters=1):
            return torch.nn.functional.leaky_relu_(volume, layer.weight.item())
        case _:
            output: torch.Tensor = layer(volume)
            return output
