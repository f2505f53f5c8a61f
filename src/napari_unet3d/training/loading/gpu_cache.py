"""Volumes kept on the GPU during a run, so that no step waits for a copy from main memory."""

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

# Of the memory that steps are not expected to need. The rest is for what the estimate leaves out: workspace of
# convolutions, outputs of a validation, and the volumes of the viewer.
_FRACTION = 0.5


@dataclass(frozen=True, slots=True)
class GpuVolume(PreparedVolume):
    """A volume with a copy on a device, in its own dtype, from which patches are cropped.

    Attributes
    ----------
    device_image : Tensor of any real number type, shape (channel, z, y, x)
        The copy of the intensities.
    device_targets : Tensor of uint8, shape (channel, z, y, x)
        The copy of the targets.
    """

    device_image: torch.Tensor
    device_targets: torch.Tensor

    @property
    def device(self) -> torch.device:
        """The device of the crops."""
        return self.device_image.device

    def crop(self, start: Shape3D, shape: Shape3D) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a part on the device, with the same values as `PreparedVolume.crop`."""
        box = (slice(None), *(slice(first, first + side) for first, side in zip(start, shape, strict=True)))
        parts = zip(self.device_image[box], self.scales, strict=True)
        image = torch.stack([scale.apply_on_device(channel) for channel, scale in parts])
        return image, self.device_targets[box].clone()


def cache_on_gpu(volumes: Sequence[PreparedVolume], device: torch.device) -> list[PreparedVolume]:
    """Return volumes that are copied to a device and crop there.

    Parameters
    ----------
    volumes : sequence of PreparedVolume
        The volumes, which are not changed.
    device : torch.device
        The device.
    """
    return [_copy_to_device(volume, device) for volume in volumes]


def fits_on_gpu(volumes: Sequence[PreparedVolume], config: TrainingConfig, plan: Plan, device: torch.device) -> bool:
    """Return whether volumes should be kept on a device during training.

    Only on CUDA: an Apple GPU shares main memory, and lacks the dtype in which intensities of large dtypes are
    normalised. Worker processes crop from main memory, so volumes stay there for them.

    Parameters
    ----------
    volumes : sequence of PreparedVolume
        All training and validation volumes.
    config : TrainingConfig
        Network, optimizer and number of workers.
    plan : Plan
        Patch and batch size.
    device : torch.device
        The device of the network.
    """
    if device.type != "cuda" or config.num_workers or any(volume.is_in_parts for volume in volumes):
        return False
    return bytes_of(volumes) <= bytes_for_volumes(free_memory(device), volumes, config, plan)


def bytes_of(volumes: Sequence[PreparedVolume]) -> int:
    """Return the size of intensities and targets in bytes."""
    return sum(volume.image.nbytes + volume.targets.nbytes for volume in volumes)


def bytes_for_volumes(n_free: int, volumes: Sequence[PreparedVolume], config: TrainingConfig, plan: Plan) -> int:
    """Return how many of the free bytes volumes may take, so that the largest training step still fits."""
    shapes = {plan.patch_zyx} if plan.patch_zyx else {volume.shape for volume in volumes}
    needed = max((training_memory(config, plan, shape) for shape in shapes), default=0)
    return max(0, int((n_free - needed) * _FRACTION))


def _copy_to_device(volume: PreparedVolume, device: torch.device) -> GpuVolume:
    own = {field.name: getattr(volume, field.name) for field in fields(PreparedVolume)}
    native = np.ascontiguousarray(volume.image, dtype=volume.image.dtype.newbyteorder("="))
    image, targets = (torch.tensor(array, device=device) for array in (native, np.asarray(volume.targets)))
    return GpuVolume(**own, device_image=image, device_targets=targets)
