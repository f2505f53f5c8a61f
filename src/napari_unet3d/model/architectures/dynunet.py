"""MONAI's DynUNet, the network of nnU-Net, trained with deep supervision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.nets.dynunet import DynUNet

from napari_unet3d.configs import Preset, TrainingConfig
from napari_unet3d.errors import UserError
from napari_unet3d.model.architectures.base import Architecture, LibraryClass
from napari_unet3d.model.plan import Plan

_MIN_LEVELS = 3  # of MONAI's DynUNet
_MAX_CHANNELS = 320  # as in nnU-Net
_SUPERVISION = "deep_supervision_heads."
_UNSUPERVISED_LEVELS = 3  # the full resolution, which is the output itself, and, as in nnU-Net, the two coarsest


class DynUNetArchitecture(Architecture):
    """`monai.networks.nets.DynUNet` as nnU-Net uses it.

    Kernels and strides follow the voxel size: along an axis that a level does not downsample, because its voxels are
    much longer than the others, kernels have the size 1. Logits are supervised at all resolutions but the two coarsest.
    """

    output_head = ("output_block.", _SUPERVISION)

    def check(self, config: TrainingConfig) -> None:
        """Raise a `UserError` if the kernel size is even."""
        if (size := config.kernel_size) % 2 == 0:
            raise UserError(f"The kernel size is {size}, but it must be odd; choose {size - 1} or {size + 1}.")

    def channels(self, preset: Preset) -> tuple[int, ...]:
        """Return those of the preset, at most 320; presets with two levels get a third one."""
        channels = preset.channels
        while len(channels) < _MIN_LEVELS:
            channels = (*channels, 2 * channels[-1])
        return tuple(min(number, _MAX_CHANNELS) for number in channels)

    def build(self, config: TrainingConfig, plan: Plan, channels: Sequence[int]) -> DynUNet:
        """Build the network."""
        n_supervised = max(1, len(channels) - _UNSUPERVISED_LEVELS)
        arguments = _arguments(config, plan, channels)
        return _DynUNet(**arguments, deep_supervision=True, deep_supr_num=n_supervised)

    def library_class(self, config: TrainingConfig, plan: Plan) -> LibraryClass:
        """Return MONAI's class, without deep supervision."""
        return LibraryClass("monai.networks.nets", "DynUNet", _arguments(config, plan, self.channels(config.preset)))

    def for_inference(self, network: torch.nn.Module) -> torch.nn.Module:
        """Return the network without deep supervision, with the weights of `network`."""
        assert isinstance(network, _DynUNet)
        plain = DynUNet(**network.options)
        # The weights of `skip_layers` are those of the blocks, and deep supervision has no place in it.
        weights = {name: each for name, each in network.state_dict().items() if not name.startswith(_SUPERVISION)}
        missing, _ = plain.load_state_dict(weights, strict=False)
        assert all(name.startswith("skip_layers.") for name in missing), missing
        return plain

    def output_biases(self, network: torch.nn.Module) -> list[torch.Tensor]:
        """Return the biases of the 1 × 1 × 1 convolutions that compute the logits of each supervised resolution."""
        weights = network.named_parameters()
        return [each for name, each in weights if name.startswith(self.output_head) and name.endswith(".bias")]


def _arguments(config: TrainingConfig, plan: Plan, channels: Sequence[int]) -> dict[str, Any]:
    size = config.kernel_size
    return {
        "spatial_dims": 3,
        "in_channels": plan.in_channels,
        "out_channels": plan.out_channels,
        "kernel_size": [
            *(tuple(1 if stride == 1 else size for stride in level) for level in plan.strides),
            (size,) * 3,
        ],
        "strides": [(1, 1, 1), *plan.strides],
        "upsample_kernel_size": plan.strides,
        "filters": channels,
        "dropout": config.dropout or None,
    }


class _DynUNet(DynUNet):
    """MONAI's DynUNet that lists each weight once and returns deep supervision at its own resolution."""

    def __init__(self, *, deep_supervision: bool, deep_supr_num: int, **options: Any) -> None:
        super().__init__(**options, deep_supervision=deep_supervision, deep_supr_num=deep_supr_num)
        self.options = options
        # MONAI registers all blocks a second time within the skip layers, so that model files would hold them twice.
        self.__dict__["skip_layers"] = self._modules.pop("skip_layers")
        for block in (self.output_block, *self.deep_supervision_heads):
            for layer in block.modules():
                if isinstance(layer, torch.nn.Dropout):
                    layer.p = 0.0  # MONAI applies dropout to the logits, too

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        logits: torch.Tensor = self.output_block(self.skip_layers(x))
        # The skip layers fill the list of coarser logits, which would hold on to the memory of the step.
        coarser = tuple(self.heads)
        self.heads[:] = [torch.empty(0)] * len(coarser)
        return (logits, *coarser) if self.training else logits


ARCHITECTURE = DynUNetArchitecture()
