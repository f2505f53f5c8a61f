"""Instance norm that keeps channels last on the CPU, for training and prediction.

torch's own copies a volume that lies channels last into another layout, from which the next convolution copies it back.
``benchmarks/training_step.py`` and ``benchmarks/prediction.py`` measure it.
"""

from __future__ import annotations

import torch
from torch.nn.functional import batch_norm

_CHANNELS_AT_A_TIME = 16  # torch's batch norm takes as many, or else number by number


class ChannelsLastInstanceNorm3d(torch.nn.InstanceNorm3d):
    """`torch.nn.InstanceNorm3d` without weights, which keeps channels last where these are many enough."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name for it
        """Bring each channel of each volume of (n, channel, z, y, x) to mean 0 and standard deviation 1."""
        if input.shape[1] < _CHANNELS_AT_A_TIME or not lies_channels_last(input):
            answer: torch.Tensor = super().forward(input)
            return answer
        # The batch norm of a single volume is its instance norm.
        volumes = [batch_norm(volume, None, None, training=True, eps=self.eps) for volume in input.split(1)]
        return volumes[0] if len(volumes) == 1 else torch.cat(volumes)


def keep_layout_in_norms(network: torch.nn.Module) -> None:
    """Let the instance norms of a network keep channels last; they compute the same."""
    for layer in network.modules():
        if type(layer) is torch.nn.InstanceNorm3d and not (layer.affine or layer.track_running_stats):
            # The class adds no state, so that the layer becomes one of it without being made anew.
            layer.__class__ = ChannelsLastInstanceNorm3d


def lies_channels_last(volumes: torch.Tensor) -> bool:
    """Tell whether volumes (n, channel, z, y, x) lie on the CPU with the channels of each voxel side by side."""
    is_batch = volumes.device.type == "cpu" and volumes.dim() == 5
    return is_batch and volumes.is_contiguous(memory_format=torch.channels_last_3d)
