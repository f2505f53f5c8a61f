"""A way with half the products for 3 × 3 × 3 convolutions, when a network only predicts on the CPU.

Four output slices along z take three products per weight each, twelve in all. The minimal filtering of Winograd makes
them with six, from sums of six input slices (Lavin & Gray 2016, "Fast algorithms for convolutional neural networks",
arXiv 1509.09308, F(4, 3)). Applied along z alone, what is left are six convolutions of planes, which oneDNN computes as
fast as those of volumes, and sums of whole planes. Along one axis the rounding errors stay near those of the direct
convolution. ``benchmarks/prediction.py`` measures it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn.functional import conv2d

from napari_unet3d.model.cpu.convolution import SingleVolumeConv3d
from napari_unet3d.model.cpu.layers import let_take

# Below, the sums of planes cost what the products save.
_LEAST_CHANNELS = 64
_OUTPUTS, _INPUTS = 4, 6
# The matrices B^T, G and A^T of the paper, for the points 0, 1, -1, 2, -2 and infinity.
_OF_INPUTS = torch.tensor(
    [
        [4.0, 0, -5, 0, 1, 0],
        [0.0, -4, -4, 1, 1, 0],
        [0.0, 4, -4, -1, 1, 0],
        [0.0, -2, -1, 2, 1, 0],
        [0.0, 2, -1, -2, 1, 0],
        [0.0, 4, 0, -5, 0, 1],
    ]
)
_OF_WEIGHTS = torch.tensor(
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


class WinogradConv3d(SingleVolumeConv3d):
    """`torch.nn.Conv3d` of 3 × 3 × 3 weights, with half the products when no gradient is asked for."""

    def _conv_forward(self, volume: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if torch.is_grad_enabled() or volume.device.type != "cpu" or volume.shape[2] % _OUTPUTS:
            return super()._conv_forward(volume, weight, bias)
        n_volumes, _, z, y, x = volume.shape
        sums = _sums_of_inputs(volume)
        parts = torch.einsum("kz,oizyx->koiyx", _OF_WEIGHTS, weight.double()).to(weight.dtype)
        products = []
        for number, (planes, kernel) in enumerate(zip(sums, parts, strict=True)):
            # The second one counts once in each of the outputs, and so does the bias with it.
            convolved = conv2d(
                planes.view(-1, y, x, planes.shape[-1]).permute(0, 3, 1, 2),
                kernel.contiguous(memory_format=torch.channels_last),
                bias if number == 1 else None,
                padding=1,
            )
            products.append(convolved.permute(0, 2, 3, 1))
        answer = volume.new_empty(n_volumes, z, y, x, weight.shape[0])
        for number, slices in enumerate(answer.view(-1, _OUTPUTS, *answer.shape[2:])):
            _add_up([product[number] for product in products], slices)
        return answer.permute(0, 4, 1, 2, 3)


def _sums_of_inputs(volume: torch.Tensor) -> torch.Tensor:
    """Return sums of slices (sum, group of four outputs, y, x, channel) of (n, channel, z, y, x)."""
    n_volumes, n_channels, z, y, x = volume.shape
    slices = volume.permute(0, 2, 3, 4, 1).reshape(n_volumes, z, -1)
    sums = volume.new_empty(_INPUTS, n_volumes * z // _OUTPUTS, slices.shape[-1])
    for number, (first, end, window) in enumerate(_windows(slices)):
        torch.mm(_OF_INPUTS[:, first:end].to(window.dtype), window, out=sums[:, number])
    return sums.view(_INPUTS, -1, y, x, n_channels)


def _windows(volumes: torch.Tensor) -> Iterator[tuple[int, int, torch.Tensor]]:
    """Return the slices that each group of outputs sees, without those beyond the volume, and which of six they are."""
    for slices in volumes:
        for start in range(-1, len(slices) - 1, _OUTPUTS):
            first, end = max(0, -start), min(_INPUTS, len(slices) - start)
            yield first, end, slices[start + first : start + end]


def _add_up(products: list[torch.Tensor], outputs: torch.Tensor) -> None:
    """Make four output slices from six products, each (y, x, channel)."""
    even, odd = products[1] + products[2], products[1] - products[2]
    even_of_twos, odd_of_twos = products[3] + products[4], products[3] - products[4]
    torch.add(even, even_of_twos, out=outputs[0]).add_(products[0])
    torch.add(odd, odd_of_twos, alpha=2, out=outputs[1])
    torch.add(even, even_of_twos, alpha=4, out=outputs[2])
    torch.add(odd, odd_of_twos, alpha=8, out=outputs[3]).add_(products[5])


def speed_up_cubic_kernels(network: torch.nn.Module) -> None:
    """Let the convolutions that gain by it take the way with half the products; weights and their names stay."""
    let_take(network, WinogradConv3d, _gains)


def _gains(layer: torch.nn.Conv3d) -> bool:
    is_plain = layer.groups == 1 and layer.padding_mode == "zeros" and min(layer.weight.shape[:2]) >= _LEAST_CHANNELS
    settings = layer.kernel_size, layer.stride, layer.padding, layer.dilation
    return is_plain and settings == ((3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1))
