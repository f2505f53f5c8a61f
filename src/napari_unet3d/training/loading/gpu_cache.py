"""Volumes that lie on the GPU for the length of a run, so that no step waits for a copy from the machine's memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.model.devices import free_memory
from napari_unet3d.model.network import training_memory
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.loading.volumes import PreparedVolume

# Of the memory that steps are not expected to need. The rest is for what the estimate leaves out: working memory of
# convolutions, the answers of a validation, and the viewer's own volumes.
_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class GpuVolume(PreparedVolume):
    """A volume whose parts are taken from a copy on a device, in its own number type.

    Attributes
    ----------
    image_there : Tensor of any real number type, shape (z, y, x)
        The copy of the grey values.
    targets_there : Tensor of uint8, shape (channel, z, y, x)
        The copy of the targets.
    """

    image_there: torch.Tensor
    targets_there: torch.Tensor

    @property
    def device(self) -> torch.device:
        """Where its parts are taken."""
        return self.image_there.device

    def crop(self, start: Shape3D, shape: Shape3D) -> tuple[torch.Tensor, torch.Tensor]:
        """Take a part, on the device; see `PreparedVolume.cut`, which gives the same numbers."""
        box = tuple(slice(first, first + side) for first, side in zip(start, shape, strict=True))
        image = self.scale.apply_on_device(self.image_there[box])
        return image[None], self.targets_there[(slice(None), *box)].clone()


def cache_on_gpu(volumes: Sequence[PreparedVolume], device: torch.device) -> list[PreparedVolume]:
    """Copy volumes to a device, from which their parts are taken from then on.

    Parameters
    ----------
    volumes : sequence of PreparedVolume
        They are not changed.
    device : torch.device
        Where to.
    """
    return [_settled(volume, device) for volume in volumes]


def fits_on_gpu(volumes: Sequence[PreparedVolume], config: TrainingConfig, plan: Plan, device: torch.device) -> bool:
    """Return whether volumes should lie on a device beside the training.

    Only on CUDA: the memory of an Apple GPU is the machine's own, and it does not know the number type in which wide
    grey values are normalised. Worker processes draw from the machine's memory, so that volumes stay there for them.

    Parameters
    ----------
    volumes : sequence of PreparedVolume
        All that train and validate.
    config : TrainingConfig
        Network, optimiser and workers.
    plan : Plan
        Patch, or None, and batch size.
    device : torch.device
        Where the network is.
    """
    if device.type != "cuda" or config.num_workers:
        return False
    return bytes_of(volumes) <= room_for_volumes(free_memory(device), volumes, config, plan)


def bytes_of(volumes: Sequence[PreparedVolume]) -> int:
    """Count the bytes of grey values and targets."""
    return sum(volume.image.nbytes + volume.targets.nbytes for volume in volumes)


def room_for_volumes(n_free: int, volumes: Sequence[PreparedVolume], config: TrainingConfig, plan: Plan) -> int:
    """Return how many of the free bytes volumes may take when the largest step of a training has to fit beside them."""
    shapes = {plan.patch_zyx} if plan.patch_zyx else {volume.shape for volume in volumes}
    needed = max((training_memory(config, plan, shape) for shape in shapes), default=0)
    return max(0, int((n_free - needed) * _SHARE))


def _settled(volume: PreparedVolume, device: torch.device) -> GpuVolume:
    own = {field.name: getattr(volume, field.name) for field in fields(PreparedVolume)}
    native = np.ascontiguousarray(volume.image, dtype=volume.image.dtype.newbyteorder("="))
    image, targets = (torch.tensor(array, device=device) for array in (native, np.asarray(volume.targets)))
    return GpuVolume(**own, image_there=image, targets_there=targets)
