"""Faster 3D convolutions and up-convolutions for cases that torch computes slowly on the CPU.

``benchmarks/training_step.py`` and ``benchmarks/prediction.py`` measure them.
"""

from __future__ import annotations

from itertools import product

import torch
from torch.nn.functional import conv3d, pad

_ONEDNN_THRESHOLD = 20480
_MIN_VALUES = 4096  # with fewer, halving costs more than it saves
_Taps = list[tuple[int, int]]


class HalvedConv3d(torch.nn.Conv3d):
    """`torch.nn.Conv3d` that computes a single volume on the CPU as two halves where that is faster.

    Torch uses oneDNN for a convolution only when the batch holds several volumes or ``channels * z * y`` exceeds 20480
    (``use_mkldnn`` in ATen's ``Convolution.cpp``). Layers with few channels, and all layers on small grids, are below
    that for a single volume, and the fallback takes three to eight times as long. The two halves along z, each with the
    neighbouring slices that its outputs depend on, are a batch of two.
    """

    def _conv_forward(self, volume: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if not _is_faster_halved(volume) or self.padding_mode != "zeros" or isinstance(self.padding, str):
            output: torch.Tensor = super()._conv_forward(volume, weight, bias)
            return output
        (padding, *padding_yx), stride = self.padding, self.stride[0]
        extent = self.dilation[0] * (self.kernel_size[0] - 1) + 1  # slices that one output depends on
        n_out = (volume.shape[2] + 2 * padding - extent) // stride + 1
        n_half = (n_out + 1) // 2
        n_slices, begin = (n_half - 1) * stride + extent, (n_out - n_half) * stride
        padded = pad(volume, (0, 0, 0, 0, padding, padding))
        halves = torch.cat([padded[:, :, :n_slices], padded[:, :, begin : begin + n_slices]])
        convolved = conv3d(halves, weight, bias, self.stride, (0, *padding_yx), self.dilation, self.groups)
        first, second = convolved.split(1)
        # With an odd number of outputs, both halves contain the middle one.
        return torch.cat([first, second[:, :, n_out % 2 :]], dim=2)


def _is_faster_halved(volume: torch.Tensor) -> bool:
    n_volumes, n_channels, z, y, _ = volume.shape
    is_single = volume.device.type == "cpu" and n_volumes == 1
    return is_single and n_channels * z * y <= _ONEDNN_THRESHOLD and volume.numel() >= _MIN_VALUES


class SingleOutputConvTranspose3d(torch.nn.ConvTranspose3d):
    """`torch.nn.ConvTranspose3d` with one output channel, computed as a matrix product when no gradient is needed.

    OneDNN computes a transposed convolution for at least 16 output channels at a time, of which a network for binary
    segmentation needs one in its last up-convolution. Here each voxel is multiplied by all weights at once, and the
    products are added up at their output voxels.
    """

    @staticmethod
    def is_faster(layer: torch.nn.ConvTranspose3d) -> bool:
        """Return whether a layer has one output channel and enlarges its input exactly by its stride."""
        # torch has named paddings, but not for this layer.
        if layer.out_channels != 1 or isinstance(layer.padding, str):
            return False
        each_axis = zip(layer.kernel_size, layer.stride, layer.padding, layer.output_padding, strict=True)
        return all(kernel - 2 * padding + rest == stride for kernel, stride, padding, rest in each_axis)

    def forward(self, volume: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """Return (n, 1, z, y, x), larger by the stride along each axis, for (n, channel, z, y, x)."""
        if torch.is_grad_enabled() or volume.device.type != "cpu" or output_size is not None:
            return super().forward(volume, output_size)
        # One by one: the products of a single volume are still in the processor's cache when they are added up.
        output = torch.stack([self._upsample(single) for single in volume])[:, None]
        return output if self.bias is None else output.add_(self.bias)

    def _upsample(self, volume: torch.Tensor) -> torch.Tensor:
        n_channels, *sides = volume.shape
        voxels = volume.permute(1, 2, 3, 0).reshape(-1, n_channels)
        products = (self.weight.reshape(n_channels, -1).T @ voxels.T).view(*self.kernel_size, *sides)
        # Output voxels whose coordinates have the same remainders are computed from the same weights.
        by_remainder = volume.new_zeros(*self.stride, *sides)
        for remainders in product(*map(range, self.stride)):
            for taps in product(*(self._taps(axis, remainder) for axis, remainder in enumerate(remainders))):
                index, shifts = zip(*taps, strict=True)
                source, target = zip(*(_overlap(n, shift) for n, shift in zip(sides, shifts, strict=True)), strict=True)
                by_remainder[remainders][target] += products[index][source]
        interleaved = by_remainder.permute(3, 0, 4, 1, 5, 2)
        z, y, x = (side * stride for side, stride in zip(sides, self.stride, strict=True))
        return interleaved.reshape(z, y, x)

    def _taps(self, axis: int, remainder: int) -> _Taps:
        """Return the weights along an axis that reach outputs with a remainder, and the shift of the quotient."""
        padding, stride = int(self.padding[axis]), self.stride[axis]
        return [
            (weight, (weight - padding) // stride)
            for weight in range(self.kernel_size[axis])
            if (weight - padding) % stride == remainder
        ]


def _overlap(side: int, shift: int) -> tuple[slice, slice]:
    """Return the source and target ranges of voxels that stay inside an axis when shifted along it."""
    n_left, source, target = max(0, side - abs(shift)), max(0, -shift), max(0, shift)
    return slice(source, source + n_left), slice(target, target + n_left)
