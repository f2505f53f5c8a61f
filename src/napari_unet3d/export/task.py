"""What is exported: a model, with all that its files say about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from napari_unet3d.configs import ExportConfig, PredictionConfig, Task
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.model.architectures import get_architecture
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.model.receptive_field import receptive_field
from napari_unet3d.transforms.pad import minimum_shape

OVERLAP = PredictionConfig().overlap
_MOST_SIDE = 64  # of the tiles that outputs are compared on, so that the check takes seconds


@dataclass(frozen=True)
class ExportTask:
    """A model to export.

    Attributes
    ----------
    checkpoint : Checkpoint
        The model.
    config : ExportConfig
        Post-processing, and what is written about the model.
    source : Path
        The run folder or model file that it is from.
    """

    checkpoint: Checkpoint
    config: ExportConfig
    source: Path

    @property
    def name(self) -> str:
        """The name of the model."""
        path = self.source.absolute()
        stem = path.stem if path.suffix and path.stem not in ("model", "last") else path.parent.name
        return self.config.name or (path.name if not path.suffix else stem) or "model"

    @property
    def network(self) -> torch.nn.Module:
        """The network that computes logits, as plain layers of torch and MONAI."""
        network = self.checkpoint.network()
        return get_architecture(self.checkpoint.config.architecture).for_inference(network).eval()

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the output channels."""
        match self.checkpoint.plan.task:
            case Task.BINARY:
                return ("foreground",)
            case Task.SEMANTIC:
                return ("background", *(each.name for each in self.checkpoint.plan.classes))
            case Task.INSTANCE:
                return "foreground", "boundary", "distance"

    @cached_property
    def tile_zyx(self) -> Shape3D:
        """The tile (z, y, x) that a volume is predicted in: the patch of the training, or the whole volumes of it."""
        plan = self.checkpoint.plan
        least, stride = minimum_shape(plan.total_stride), plan.total_stride
        sides = plan.patch_zyx or plan.volume_zyx or tuple(max(_MOST_SIDE, side) for side in least)
        z, y, x = (
            max(low, -(-side // step) * step) for side, low, step in zip(sides, least, stride, strict=True)
        )  # a whole volume is padded to multiples of the stride
        return z, y, x

    @cached_property
    def halo_zyx(self) -> Shape3D:
        """The margin (z, y, x) of a tile within which the output lacks context: half of the receptive field."""
        field = receptive_field(self.checkpoint.config, self.checkpoint.plan)
        z, y, x = (side // 2 for side in field)
        return z, y, x

    @cached_property
    def checked_tile_zyx(self) -> Shape3D:
        """The tile (z, y, x) that outputs are compared on: that of prediction, with sides of at most 64 voxels."""
        stride, least = self.checkpoint.plan.total_stride, minimum_shape(self.checkpoint.plan.total_stride)
        z, y, x = (
            max(low, min(side, _MOST_SIDE // step * step))
            for side, low, step in zip(self.tile_zyx, least, stride, strict=True)
        )
        return z, y, x


class ProbabilityNetwork(torch.nn.Module):
    """A network followed by sigmoid or softmax, so that its outputs are from 0 to 1."""

    def __init__(self, network: torch.nn.Module, task: Task) -> None:
        super().__init__()
        self.network, self.is_softmax = network, task is Task.SEMANTIC

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return probabilities (tile, channel, z, y, x) for images (tile, channel, z, y, x)."""
        logits: torch.Tensor = self.network(image)
        return logits.softmax(1) if self.is_softmax else logits.sigmoid()
