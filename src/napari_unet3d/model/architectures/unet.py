"""MONAI's U-Net with residual units, as in the tutorials of MONAI and qim3d."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.nets.unet import UNet

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.errors import UserError
from napari_unet3d.model.architectures.base import Architecture, LibraryClass
from napari_unet3d.model.plan import Plan


class UNetArchitecture(Architecture):
    """`monai.networks.nets.UNet` with two residual units per level; the names of the weights are MONAI's."""

    output_head = ("model.2.",)  # the last up-convolution and the residual unit after it

    def check(self, config: TrainingConfig) -> None:
        """Raise a `UserError` if a kernel size is even, or dropout is set but left out of the order of layers."""
        for name, size in (("kernel size", config.kernel_size), ("up-kernel size", config.up_kernel_size)):
            if size % 2 == 0:
                raise UserError(
                    f"The {name} is {size}, which is even and would shift the result by half a voxel; "
                    f"choose {size - 1} or {size + 1}."
                )
        if config.dropout > 0 and "D" not in config.adn_order:
            raise UserError(
                f"Dropout is {config.dropout:g}, but the order '{config.adn_order}' has no D in it; "
                "add D to the order or set dropout to 0."
            )

    def build(self, config: TrainingConfig, plan: Plan, channels: Sequence[int]) -> UNet:
        """Build the network."""
        return UNet(**_arguments(config, plan, channels))

    def library_class(self, config: TrainingConfig, plan: Plan) -> LibraryClass:
        """Return MONAI's class."""
        return LibraryClass("monai.networks.nets", "UNet", _arguments(config, plan, self.channels(config.preset)))

    def output_biases(self, network: torch.nn.Module) -> list[torch.Tensor]:
        """Return the bias of the last convolution, if it has one."""
        last = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv3d)][-1]
        return [] if last.bias is None else [last.bias]


def _arguments(config: TrainingConfig, plan: Plan, channels: Sequence[int]) -> dict[str, Any]:
    return {
        "spatial_dims": 3,
        "in_channels": plan.in_channels,
        "out_channels": plan.out_channels,
        "channels": channels,
        "strides": plan.strides,
        "num_res_units": 2,
        "kernel_size": config.kernel_size,
        "up_kernel_size": config.up_kernel_size,
        "act": config.activation.monai_name,
        "dropout": config.dropout,
        "bias": config.bias,
        "adn_ordering": config.adn_order,
    }


ARCHITECTURE = UNetArchitecture()
