"""A way around torch's slow 3D convolution for single volumes with few channels on the CPU.

Torch sends a convolution to oneDNN only when the batch holds several volumes or ``channels * z * y`` exceeds 20480
(``use_mkldnn`` in ATen's ``Convolution.cpp``). The first and the last layers of a U-Net fall below that for one
volume, and the fallback is several times slower. Channels of zeros, with weights of zero, lift a layer above the
threshold; they add exact zeros to every sum, so the result is the same. ``benchmarks/training_step.py`` measures it.
"""

from __future__ import annotations

import torch
from torch.nn.functional import pad

_ONEDNN_THRESHOLD = 20480
# oneDNN works on blocks of 16 channels; beyond a block, zeros would cost more than they save.
_MOST_CHANNELS = 16


class SingleVolumeConv3d(torch.nn.Conv3d):
    """`torch.nn.Conv3d`, with channels of zeros where one volume on the CPU would otherwise be slow."""

    def _conv_forward(self, volume: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        n_zeros = _zero_channels(volume)
        if n_zeros:
            behind_channels = (0, 0, 0, 0, 0, 0, 0, n_zeros)
            volume, weight = pad(volume, behind_channels), pad(weight, behind_channels)
        convolved: torch.Tensor = super()._conv_forward(volume, weight, bias)
        return convolved


def _zero_channels(volume: torch.Tensor) -> int:
    n_volumes, n_channels, z, y, _ = volume.shape
    if volume.device.type != "cpu" or n_volumes > 1 or n_channels * z * y > _ONEDNN_THRESHOLD:
        return 0
    n_needed = _ONEDNN_THRESHOLD // (z * y) + 1
    return n_needed - n_channels if n_needed <= _MOST_CHANNELS else 0


def speed_up_single_volumes(network: torch.nn.Module) -> None:
    """Let the convolutions of a network take the fast way for single volumes; weights and their names stay."""
    for layer in network.modules():
        if type(layer) is torch.nn.Conv3d:
            # The class adds no state, so that the layer becomes one of it without being made anew.
            layer.__class__ = SingleVolumeConv3d
