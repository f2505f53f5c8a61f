"""The fixed places that a run is validated at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
import torch

from napari_unet3d.configs import Augmentation
from napari_unet3d.model.plan import Plan
from napari_unet3d.prediction.augmentation import augmentation_for
from napari_unet3d.training.batches import Batch
from napari_unet3d.training.patches import Tile, tiles_over
from napari_unet3d.training.targets import IGNORED
from napari_unet3d.training.volumes import ReadyVolume

# Per volume, and fewer for networks with several outputs, whose answers are kept together until the volume is judged;
# more would take long after every epoch and hardly change the numbers.
_MOST_VOXELS = 2**25


class Validation:
    """The same parts of the validation volumes every time: all of them, or evenly spread tiles of huge ones.

    Parameters
    ----------
    volumes : sequence of ReadyVolume
        Volumes that do not train.
    plan : Plan
        Tiles have the size of its patches; without patches, volumes are validated whole.
    level : Augmentation
        How strongly they are varied, in the same way every time; none for numbers that can be compared.
    """

    def __init__(self, volumes: Sequence[ReadyVolume], plan: Plan, level: Augmentation) -> None:
        self._volumes, self._plan, self._level = tuple(volumes), plan, level

    def __iter__(self) -> Iterator[Iterator[Batch]]:
        """Give, volume by volume, batches of images (n, 1, z, y, x) and targets (n, channel, z, y, x)."""
        for number, volume in enumerate(self._volumes):
            yield self._batches(volume, number)

    def _batches(self, volume: ReadyVolume, number: int) -> Iterator[Batch]:
        shape = self._plan.patch_zyx or volume.shape
        tiles = _annotated(volume, tiles_over(volume.shape, shape), shape)
        most = max(1, _MOST_VOXELS // (prod(shape) * self._plan.n_outputs))
        spread = np.linspace(0, len(tiles) - 1, most).round().astype(int)
        chosen: list[int] = np.unique(spread).tolist() if tiles else []
        size = self._plan.batch_size
        for first in range(0, len(chosen), size):
            parts = [
                self._part(volume, tiles[index], shape, seed=number * len(tiles) + index)
                for index in chosen[first : first + size]
            ]
            images, targets = zip(*parts, strict=True)
            yield torch.stack(images), torch.stack(targets)

    def _part(self, volume: ReadyVolume, tile: Tile, shape: tuple[int, int, int], seed: int) -> Batch:
        image, targets = volume.cut(tile.start, shape)
        for axis, fresh in enumerate(tile.fresh, start=1):  # what an earlier tile covers counts once
            targets[:1].narrow(axis, 0, fresh).fill_(IGNORED)
        if self._level is Augmentation.NONE:
            return image, targets
        return augmentation_for(self._level, volume.voxel_size_um, shape)(image, targets, seed)


def _annotated(volume: ReadyVolume, tiles: list[Tile], shape: tuple[int, int, int]) -> list[Tile]:
    """Leave out tiles in which nothing is annotated."""

    def holds_any(tile: Tile) -> bool:
        box = tuple(slice(start, start + side) for start, side in zip(tile.start, shape, strict=True))
        return bool((volume.targets[0][box] != IGNORED).any())

    return [tile for tile in tiles if holds_any(tile)]
