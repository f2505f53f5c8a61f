"""Instance norm that keeps channels last on the CPU, for training and prediction.

torch's own copies a volume that lies channels last into another layout, from which the next convolution copies it back.
``benchmarks/training_step.py`` and ``benchmarks/prediction.py`` measure it.
"""

from __future__ import annotations

import torch
from torch.nn.functional import batch_norm

from napari_unet3d.model.cpu.layers import let_take, lies_channels_last

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
    let_take(network, ChannelsLastInstanceNorm3d, lambda layer: not (layer.affine or layer.track_running_stats))
