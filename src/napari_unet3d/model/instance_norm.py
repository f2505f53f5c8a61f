"""Instance norm that keeps the layout of its input when a network only predicts on the CPU.

Torch's instance norm copies a volume that lies channels last into another layout, in which the convolution behind it
must then copy it back; in a U-Net of 3D volumes these copies take longer than the norm itself.
``benchmarks/prediction.py`` measures it.
"""

from __future__ import annotations

import torch


class LayoutKeepingInstanceNorm3d(torch.nn.InstanceNorm3d):
    """`torch.nn.InstanceNorm3d`, computed where the volume lies when no gradient is asked for."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name for it
        """Bring each channel (n, channel, z, y, x) of each volume to mean 0 and standard deviation 1."""
        if not _lies_channels_last_without_gradient(input):
            return super().forward(input)
        voxels = input.permute(0, 2, 3, 4, 1).flatten(1, 3)  # a view: (n, voxel, channel)
        # In two passes: the mean of squares minus the squared mean loses digits where the mean is large.
        centred = voxels - voxels.mean(1, keepdim=True)
        variance = centred.square().mean(1, keepdim=True)
        centred.mul_(torch.rsqrt(variance.add_(self.eps)))
        n, channels, *sides = input.shape
        return centred.view(n, *sides, channels).permute(0, 4, 1, 2, 3)


def _lies_channels_last_without_gradient(volume: torch.Tensor) -> bool:
    return (
        not torch.is_grad_enabled()
        and volume.device.type == "cpu"
        and volume.dim() == 5
        and volume.is_contiguous(memory_format=torch.channels_last_3d)
    )


def keep_layout_of_norms(network: torch.nn.Module) -> None:
    """Let the instance norms of a network keep the layout of volumes; those with weights or statistics stay."""
    for layer in network.modules():
        if type(layer) is torch.nn.InstanceNorm3d and not layer.affine and not layer.track_running_stats:
            # The class adds no state, so that the layer becomes one of it without being made anew.
            layer.__class__ = LayoutKeepingInstanceNorm3d
