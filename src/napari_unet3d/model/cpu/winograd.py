"""3 × 3 × 3 convolutions with half the multiplications, for prediction on the CPU.

Four output slices along z take three multiplications per weight each, twelve in all. Winograd's minimal filtering
computes them with six, from sums of six input slices (Lavin & Gray 2016, "Fast algorithms for convolutional neural
networks", arXiv 1509.09308, F(4, 3)). Applied along z alone, six 2D convolutions remain, which oneDNN computes as fast
as 3D ones, and sums of whole planes. Along one axis the rounding errors stay close to those of the direct convolution.
``benchmarks/prediction.py`` measures it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn.functional import conv2d

from napari_unet3d.model.cpu.convolutions import HalvedConv3d

_MIN_CHANNELS = 64  # with fewer, the sums of planes cost what the multiplications save
_OUTPUTS, _INPUTS = 4, 6
# The matrices B^T, G and A^T of the paper, for the points 0, 1, -1, 2, -2 and infinity.
_INPUT_TRANSFORM = torch.tensor(
    [
        [4.0, 0, -5, 0, 1, 0],
        [0.0, -4, -4, 1, 1, 0],
        [0.0, 4, -4, -1, 1, 0],
        [0.0, -2, -1, 2, 1, 0],
        [0.0, 2, -1, -2, 1, 0],
        [0.0, 4, 0, -5, 0, 1],
    ]
)
_WEIGHT_TRANSFORM = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)


class WinogradConv3d(HalvedConv3d):
    """`torch.nn.Conv3d` with a 3 × 3 × 3 kernel, with half the multiplications when no gradient is needed."""

    @staticmethod
    def is_faster(layer: torch.nn.Conv3d) -> bool:
        """Return whether a layer has such a kernel, no stride, and enough channels."""
        is_plain = layer.groups == 1 and layer.padding_mode == "zeros" and min(layer.weight.shape[:2]) >= _MIN_CHANNELS
        settings = layer.kernel_size, layer.stride, layer.padding, layer.dilation
        return is_plain and settings == ((3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1))

    def _conv_forward(self, volume: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if torch.is_grad_enabled() or volume.device.type != "cpu" or volume.shape[2] % _OUTPUTS:
            return super()._conv_forward(volume, weight, bias)
        n_volumes, _, z, y, x = volume.shape
        transformed = _transform_input(volume)
        kernels = torch.einsum("kz,oizyx->koiyx", _WEIGHT_TRANSFORM, weight.double()).to(weight.dtype)
        products = []
        for number, (planes, kernel) in enumerate(zip(transformed, kernels, strict=True)):
            # The second product is added once to each output, and the bias with it.
            convolved = conv2d(
                planes.view(-1, y, x, planes.shape[-1]).permute(0, 3, 1, 2),
                kernel.contiguous(memory_format=torch.channels_last),
                bias if number == 1 else None,
                padding=1,
            )
            products.append(convolved.permute(0, 2, 3, 1))
        output = volume.new_empty(n_volumes, z, y, x, weight.shape[0])
        for number, slices in enumerate(output.view(-1, _OUTPUTS, *output.shape[2:])):
            _transform_output([product[number] for product in products], slices)
        return output.permute(0, 4, 1, 2, 3)


def _transform_input(volume: torch.Tensor) -> torch.Tensor:
    """Compute sums of slices (sum, group of four outputs, y, x, channel) of (n, channel, z, y, x)."""
    n_volumes, n_channels, z, y, x = volume.shape
    slices = volume.permute(0, 2, 3, 4, 1).reshape(n_volumes, z, -1)
    sums = volume.new_empty(_INPUTS, n_volumes * z // _OUTPUTS, slices.shape[-1])
    for number, (first, end, window) in enumerate(_windows(slices)):
        torch.mm(_INPUT_TRANSFORM[:, first:end].to(window.dtype), window, out=sums[:, number])
    return sums.view(_INPUTS, -1, y, x, n_channels)


def _windows(volumes: torch.Tensor) -> Iterator[tuple[int, int, torch.Tensor]]:
    """Yield the slices that each group of outputs depends on, and which of the six lie inside the volume."""
    for slices in volumes:
        for start in range(-1, len(slices) - 1, _OUTPUTS):
            first, end = max(0, -start), min(_INPUTS, len(slices) - start)
            yield first, end, slices[start + first : start + end]


def _transform_output(products: list[torch.Tensor], outputs: torch.Tensor) -> None:
    """Compute four output slices from six products, each (y, x, channel)."""
    even, odd = products[1] + products[2], products[1] - products[2]
    even_of_twos, odd_of_twos = products[3] + products[4], products[3] - products[4]
    torch.add(even, even_of_twos, out=outputs[0]).add_(products[0])
    torch.add(odd, odd_of_twos, alpha=2, out=outputs[1])
    torch.add(even, even_of_twos, alpha=4, out=outputs[2])
    torch.add(odd, odd_of_twos, alpha=8, out=outputs[3]).add_(products[5])
