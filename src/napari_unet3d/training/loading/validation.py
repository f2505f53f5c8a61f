"""The fixed places that a run is validated at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import torch

from napari_unet3d.configs import Augmentation
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.loading.batches import Batch
from napari_unet3d.training.loading.patch_sampler import Tile, grid_tiles
from napari_unet3d.training.loading.targets import IGNORE_INDEX
from napari_unet3d.training.loading.volumes import PreparedVolume
from napari_unet3d.transforms.augment import Augmenter

# Per volume, and fewer for networks with several outputs, whose answers are kept together until the volume is judged;
# more would take long after every epoch and hardly change the numbers.
_MOST_VOXELS = 2**25


@dataclass(frozen=True, slots=True)
class ValidationBatch:
    """Parts of one volume.

    Attributes
    ----------
    images : Tensor of float32, shape (n, 1, z, y, x)
        Normalised grey values.
    targets : Tensor of uint8, shape (n, channel, z, y, x)
        What an earlier tile covers is `IGNORED`.
    tiles : tuple of Tile
        Where each part lies in the volume.
    """

    images: torch.Tensor
    targets: torch.Tensor
    tiles: tuple[Tile, ...]


class Validation:
    """The same parts of the validation volumes every time: all of them, or evenly spread tiles of huge ones.

    Parameters
    ----------
    volumes : sequence of PreparedVolume
        Volumes that do not train.
    plan : Plan
        Tiles have the size of its patches; without patches, volumes are validated whole.
    level : Augmentation
        How strongly they are varied, in the same way every time; none for numbers that can be compared.

    Attributes
    ----------
    volumes : tuple of PreparedVolume
    """

    def __init__(self, volumes: Sequence[PreparedVolume], plan: Plan, level: Augmentation) -> None:
        self.volumes, self._plan, self._level = tuple(volumes), plan, level

    def __len__(self) -> int:
        """Count the batches of all volumes."""
        return sum(-(-len(tiles) // self._plan.batch_size) for tiles in self._tiles)

    def __iter__(self) -> Iterator[Iterator[ValidationBatch]]:
        """Return the batches of each volume, volume by volume."""
        for volume, tiles in zip(self.volumes, self._tiles, strict=True):
            yield self._batches(volume, tiles)

    @cached_property
    def _tiles(self) -> list[dict[int, Tile]]:
        """The tiles of each volume, by the seed of their variation."""
        return [self._choose(volume, number) for number, volume in enumerate(self.volumes)]

    def _choose(self, volume: PreparedVolume, number: int) -> dict[int, Tile]:
        shape = self._shape(volume)
        tiles = _annotated(volume, grid_tiles(volume.shape, shape), shape)
        if not tiles:
            return {}
        most = max(1, _MOST_VOXELS // (prod(shape) * self._plan.out_channels))
        spread = np.linspace(0, len(tiles) - 1, most).round().astype(int)
        return {number * len(tiles) + index: tiles[index] for index in np.unique(spread).tolist()}

    def _batches(self, volume: PreparedVolume, tiles: dict[int, Tile]) -> Iterator[ValidationBatch]:
        chosen, size = list(tiles.items()), self._plan.batch_size
        for first in range(0, len(chosen), size):
            some = chosen[first : first + size]
            parts = [self._part(volume, tile, self._shape(volume), seed) for seed, tile in some]
            images, targets = zip(*parts, strict=True)
            yield ValidationBatch(torch.stack(images), torch.stack(targets), tuple(tile for _, tile in some))

    def _shape(self, volume: PreparedVolume) -> Shape3D:
        return self._plan.patch_zyx or volume.shape

    def _part(self, volume: PreparedVolume, tile: Tile, shape: Shape3D, seed: int) -> Batch:
        image, targets = volume.crop(tile.start, shape)
        for axis, fresh in enumerate(tile.first_uncovered, start=1):  # what an earlier tile covers counts once
            targets[:1].narrow(axis, 0, fresh).fill_(IGNORE_INDEX)
        return Augmenter(self._level, volume.voxel_size_um, shape)(image, targets, seed)


def _annotated(volume: PreparedVolume, tiles: list[Tile], shape: Shape3D) -> list[Tile]:
    """Leave out tiles in which nothing is annotated."""

    def holds_any(tile: Tile) -> bool:
        box = tuple(slice(start, start + side) for start, side in zip(tile.start, shape, strict=True))
        return bool((volume.targets[0][box] != IGNORE_INDEX).any())

    return [tile for tile in tiles if holds_any(tile)]
