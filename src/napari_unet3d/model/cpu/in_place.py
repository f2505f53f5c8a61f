"""Norms, activations and sums in the place of their input, when a network only predicts on the CPU.

A convolution gives a fresh volume that nobody else reads: the norm and the activation behind it, and the sum of a
residual unit, may take its place. Taking new memory for each of them costs more time than the arithmetic.
``benchmarks/prediction.py`` measures it.
"""

from __future__ import annotations

import torch
from monai.networks.blocks.acti_norm import ADN
from monai.networks.blocks.convolutions import ResidualUnit

from napari_unet3d.model.cpu.layers import let_take, lies_channels_last


class InPlaceADN(ADN):
    """MONAI's norm, dropout and activation behind a convolution, which write over their input without gradients."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name for it
        """Return what the layers make of (n, channel, z, y, x)."""
        if torch.is_grad_enabled() or not lies_channels_last(input):
            answer: torch.Tensor = super().forward(input)  # type: ignore[no-untyped-call]
            return answer
        for layer in self:
            input = _applied(layer, input)  # noqa: A001
        return input


class InPlaceResidualUnit(ResidualUnit):
    """MONAI's residual unit, which adds its two branches in the place of one without gradients."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of convolutions and shortcut for (n, channel, z, y, x)."""
        if torch.is_grad_enabled() or x.device.type != "cpu":
            answer: torch.Tensor = super().forward(x)
            return answer
        shortcut = self.residual(x)  # before, since it may be x itself
        convolved: torch.Tensor = self.conv(x)
        return convolved.add_(shortcut)


def work_in_place(network: torch.nn.Module) -> None:
    """Let a network of MONAI work in place where that changes nothing; weights and their names stay."""
    let_take(network, InPlaceADN)
    let_take(network, InPlaceResidualUnit)


def _applied(layer: torch.nn.Module, volume: torch.Tensor) -> torch.Tensor:
    match layer:
        case torch.nn.InstanceNorm3d():
            for single in volume.split(1):  # one after another needs the least new memory
                single.copy_(layer(single))
            return volume
        case torch.nn.PReLU(num_parameters=1):
            return torch.nn.functional.leaky_relu_(volume, layer.weight.item())
        case _:
            answer: torch.Tensor = layer(volume)
            return answer
