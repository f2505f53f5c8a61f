"""The batches of a validation, which are the same after every epoch."""

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

# Per volume, divided by the number of outputs, since all outputs of a volume are kept until it is scored. More would
# take long after every epoch and hardly change the scores.
_MAX_VOXELS = 2**25


@dataclass(frozen=True, slots=True)
class ValidationBatch:
    """A batch of tiles of one volume.

    Attributes
    ----------
    images : Tensor of float32, shape (n, channel, z, y, x)
        Normalised intensities.
    targets : Tensor of uint8, shape (n, channel, z, y, x)
        `IGNORE_INDEX` where an earlier tile covers the volume.
    tiles : tuple of Tile
        The position of each tile in the volume.
    """

    images: torch.Tensor
    targets: torch.Tensor
    tiles: tuple[Tile, ...]


class Validation:
    """The validation volumes as batches of tiles: all tiles of a volume, or evenly spread ones of a very large volume.

    Parameters
    ----------
    volumes : sequence of PreparedVolume
        The validation volumes.
    plan : Plan
        Tiles have the patch size; without patches, volumes are validated whole.
    level : Augmentation
        Augmentation of the volumes, the same in every epoch; use none for comparable scores.

    Attributes
    ----------
    volumes : tuple of PreparedVolume
    """

    def __init__(self, volumes: Sequence[PreparedVolume], plan: Plan, level: Augmentation) -> None:
        self.volumes, self._plan, self._level = tuple(volumes), plan, level

    def __len__(self) -> int:
        """Return the number of batches of all volumes."""
        return sum(-(-len(tiles) // self._plan.batch_size) for tiles in self._tiles)

    def __iter__(self) -> Iterator[Iterator[ValidationBatch]]:
        """Yield an iterator over the batches of each volume."""
        for volume, tiles in zip(self.volumes, self._tiles, strict=True):
            yield self._batches(volume, tiles)

    @cached_property
    def _tiles(self) -> list[dict[int, Tile]]:
        """The tiles of each volume, by the seed of their augmentation."""
        return [self._choose(volume, number) for number, volume in enumerate(self.volumes)]

    def _choose(self, volume: PreparedVolume, number: int) -> dict[int, Tile]:
        shape = self._shape(volume)
        tiles = _annotated(volume, grid_tiles(volume.shape, shape), shape)
        if not tiles:
            return {}
        n_tiles = max(1, _MAX_VOXELS // (prod(shape) * self._plan.out_channels))
        spread = np.linspace(0, len(tiles) - 1, n_tiles).round().astype(int)
        return {number * len(tiles) + index: tiles[index] for index in np.unique(spread).tolist()}

    def _batches(self, volume: PreparedVolume, tiles: dict[int, Tile]) -> Iterator[ValidationBatch]:
        chosen, size = list(tiles.items()), self._plan.batch_size
        for first in range(0, len(chosen), size):
            batch = chosen[first : first + size]
            crops = [self._crop(volume, tile, self._shape(volume), seed) for seed, tile in batch]
            images, targets = zip(*crops, strict=True)
            yield ValidationBatch(torch.stack(images), torch.stack(targets), tuple(tile for _, tile in batch))

    def _shape(self, volume: PreparedVolume) -> Shape3D:
        return self._plan.patch_zyx or volume.shape

    def _crop(self, volume: PreparedVolume, tile: Tile, shape: Shape3D, seed: int) -> Batch:
        image, targets = volume.crop(tile.start, shape)
        for axis, n_covered in enumerate(tile.first_uncovered, start=1):  # voxels in two tiles are scored once
            targets[:1].narrow(axis, 0, n_covered).fill_(IGNORE_INDEX)
        return Augmenter(self._level, volume.voxel_size_um, shape)(image, targets, seed)


def _annotated(volume: PreparedVolume, tiles: list[Tile], shape: Shape3D) -> list[Tile]:
    """Return the tiles with at least one annotated voxel."""

    def has_annotation(tile: Tile) -> bool:
        box = tuple(slice(start, start + side) for start, side in zip(tile.start, shape, strict=True))
        return bool((volume.targets[0][box] != IGNORE_INDEX).any())

    return [tile for tile in tiles if has_annotation(tile)]
