"""A way around torch's slow 3D convolution for single volumes on the CPU.

Torch sends a convolution to oneDNN only when the batch holds several volumes or ``channels * z * y`` exceeds 20480
(``use_mkldnn`` in ATen's ``Convolution.cpp``). Layers with few channels, and all on small grids, fall below that for
one volume, and the fallback takes three to eight times as long. Its two halves along z, each with the slices that its
outputs see beyond it, are a batch of two. ``benchmarks/training_step.py`` measures it.
"""

from __future__ import annotations

import torch
from torch.nn.functional import conv3d, pad

from napari_unet3d.model.cpu.layers import let_take

_ONEDNN_THRESHOLD = 20480
_LEAST_NUMBERS = 4096  # below, cutting a volume in halves costs more than it saves


class SingleVolumeConv3d(torch.nn.Conv3d):
    """`torch.nn.Conv3d`, in two halves where one volume on the CPU would otherwise be slow."""

    def _conv_forward(self, volume: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if not _gains_by_halves(volume) or self.padding_mode != "zeros" or isinstance(self.padding, str):
            whole: torch.Tensor = super()._conv_forward(volume, weight, bias)
            return whole
        (padding, *padding_yx), stride = self.padding, self.stride[0]
        extent = self.dilation[0] * (self.kernel_size[0] - 1) + 1  # slices that one output sees
        n_outputs = (volume.shape[2] + 2 * padding - extent) // stride + 1
        n_half = (n_outputs + 1) // 2
        n_slices, begin = (n_half - 1) * stride + extent, (n_outputs - n_half) * stride
        padded = pad(volume, (0, 0, 0, 0, padding, padding))
        halves = torch.cat([padded[:, :, :n_slices], padded[:, :, begin : begin + n_slices]])
        convolved = conv3d(halves, weight, bias, self.stride, (0, *padding_yx), self.dilation, self.groups)
        first, second = convolved.split(1)
        # With an odd number of outputs both halves have the one in the middle.
        return torch.cat([first, second[:, :, n_outputs % 2 :]], dim=2)


def _gains_by_halves(volume: torch.Tensor) -> bool:
    n_volumes, n_channels, z, y, _ = volume.shape
    is_single = volume.device.type == "cpu" and n_volumes == 1
    return is_single and n_channels * z * y <= _ONEDNN_THRESHOLD and volume.numel() >= _LEAST_NUMBERS


def speed_up_single_volumes(network: torch.nn.Module) -> None:
    """Let the convolutions of a network take the fast way for single volumes; weights and their names stay."""
    let_take(network, SingleVolumeConv3d)
