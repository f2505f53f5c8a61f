"""A fast way for the up-convolution in front of a network's only output, when a network only predicts on the CPU.

oneDNN computes a transposed convolution for at least 16 outputs at a time, of which a network for foreground needs one.
Here each voxel is multiplied with all weights at once, as one product of matrices, and the products are added up where
they belong. ``benchmarks/prediction.py`` measures it.
"""

from __future__ import annotations

from itertools import product

import torch

from napari_unet3d.model.cpu.layers import let_take

_Taps = list[tuple[int, int]]


class SingleOutputConvTranspose3d(torch.nn.ConvTranspose3d):
    """`torch.nn.ConvTranspose3d` of one output, as a product of matrices when no gradient is asked for."""

    def forward(self, volume: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """Return (n, 1, z, y, x), longer by the stride along each axis, for (n, channel, z, y, x)."""
        if torch.is_grad_enabled() or volume.device.type != "cpu" or output_size is not None:
            return super().forward(volume, output_size)
        # One after another: the products of a single volume still lie in the processor's cache when they are added.
        answer = torch.stack([self._answer(single) for single in volume])[:, None]
        return answer if self.bias is None else answer.add_(self.bias)

    def _answer(self, volume: torch.Tensor) -> torch.Tensor:
        n_channels, *sides = volume.shape
        voxels = volume.permute(1, 2, 3, 0).reshape(-1, n_channels)
        products = (self.weight.reshape(n_channels, -1).T @ voxels.T).view(*self.kernel_size, *sides)
        # Output voxels whose places have the same remainders are made by the same weights.
        apart = volume.new_zeros(*self.stride, *sides)
        for remainders in product(*map(range, self.stride)):
            for taps in product(*(self._taps(axis, place) for axis, place in enumerate(remainders))):
                index, shifts = zip(*taps, strict=True)
                of, to = zip(*(_overlap(side, shift) for side, shift in zip(sides, shifts, strict=True)), strict=True)
                apart[remainders][to] += products[index][of]
        joined = apart.permute(3, 0, 4, 1, 5, 2)
        z, y, x = (side * stride for side, stride in zip(sides, self.stride, strict=True))
        return joined.reshape(z, y, x)

    def _taps(self, axis: int, remainder: int) -> _Taps:
        """Return the weights along an axis that reach outputs with a remainder, and how far they shift its quotient."""
        padding, stride = int(self.padding[axis]), self.stride[axis]
        return [
            (weight, (weight - padding) // stride)
            for weight in range(self.kernel_size[axis])
            if (weight - padding) % stride == remainder
        ]


def _overlap(side: int, shift: int) -> tuple[slice, slice]:
    """Return where voxels come from and go to when they are shifted along an axis, without those that leave it."""
    n_left, of, to = max(0, side - abs(shift)), max(0, -shift), max(0, shift)
    return slice(of, of + n_left), slice(to, to + n_left)


def speed_up_single_output(network: torch.nn.Module) -> None:
    """Let up-convolutions with one output take the fast way; weights and their names stay."""
    let_take(network, SingleOutputConvTranspose3d, _gains)


def _gains(layer: torch.nn.ConvTranspose3d) -> bool:
    # torch knows paddings by name, but not for this layer.
    if layer.out_channels != 1 or isinstance(layer.padding, str):
        return False
    each_axis = zip(layer.kernel_size, layer.stride, layer.padding, layer.output_padding, strict=True)
    return all(kernel - 2 * padding + rest == stride for kernel, stride, padding, rest in each_axis)
