"""A faster backward pass of PReLU with one slope for all channels, for training on the CPU.

torch's own goes through voxels one by one and writes the slope's gradient for each of them before it adds them up.
``benchmarks/training_step.py`` measures it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import leaky_relu

from napari_unet3d.model.cpu.layers import let_take, lies_channels_last


class SharedSlopePReLU(torch.nn.PReLU):
    """`torch.nn.PReLU` of one parameter, whose gradients are sums and products of whole volumes."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name for it
        """Return what is above 0 as it is, and what is below times the slope."""
        if input.device.type != "cpu" or not torch.is_grad_enabled():
            return super().forward(input)
        answer: torch.Tensor = _SharedSlope.apply(input, self.weight)  # type: ignore[no-untyped-call]
        return answer


class _SharedSlope(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, volume: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(volume, slope)
        return leaky_relu(volume, slope.item())

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        volume, slope = context.saved_tensors
        layout = torch.channels_last_3d if lies_channels_last(volume) else torch.contiguous_format
        volume, gradient = (numbers.contiguous(memory_format=layout) for numbers in (volume, gradient))
        below = volume.clamp_max(0)
        of_slope = torch.dot(*(numbers.as_strided((numbers.numel(),), (1,)) for numbers in (gradient, below)))
        # New memory costs more than the arithmetic, so that the gradient of the volume takes what is there.
        of_volume = torch.ops.aten.leaky_relu_backward.grad_input(
            gradient, volume, slope.item(), self_is_result=False, grad_input=below
        )
        return of_volume, of_slope.reshape(slope.shape)


def speed_up_shared_slopes(network: torch.nn.Module) -> None:
    """Let the activations of a network with one slope take the fast way back; weights and their names stay."""
    let_take(network, SharedSlopePReLU, lambda layer: layer.num_parameters == 1)
