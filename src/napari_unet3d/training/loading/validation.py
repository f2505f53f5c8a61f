"""The batches of a validation, which are the same after every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import torch

from napari_unet3d.configs import Augmentation, Task
from napari_unet3d.data.label_checks import lacks_background
from napari_unet3d.data.lazy_array import in_memory
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.loading.batches import Batch
from napari_unet3d.training.loading.instance_window import InstanceWindow
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

    If none of these has foreground, half of them are replaced by tiles with foreground.

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
        chosen = _spread(range(len(tiles)), n_tiles)
        if not any(_has_foreground(volume, tiles[index], shape) for index in chosen):
            others = [index for index in range(len(tiles)) if _has_foreground(volume, tiles[index], shape)]
            chosen = sorted({*_spread(others, -(-n_tiles // 2)), *_spread(chosen, n_tiles // 2)}) if others else chosen
        return {number * len(tiles) + index: tiles[index] for index in chosen}

    @cached_property
    def lacks_background(self) -> bool:
        """Whether nearly everything is one foreground, so that Dice is nearly 1 for a network that learns nothing."""
        n_classes = 2 if self._plan.task is not Task.SEMANTIC else 1 + len(self._plan.classes)
        counts = np.sum([volume.patch_sampler.n_voxels_of[:IGNORE_INDEX] for volume in self.volumes], axis=0)
        return n_classes == 2 and bool(self.volumes) and lacks_background(int(counts[0]), int(counts[1]))

    @cached_property
    def instance_windows(self) -> list[InstanceWindow | None]:
        """Where objects are counted in each volume; None without ids or objects."""
        return [self._instance_window(*each) for each in zip(self.volumes, self._tiles, strict=True)]

    def _instance_window(self, volume: PreparedVolume, tiles: dict[int, Tile]) -> InstanceWindow | None:
        if volume.instances is None or not tiles or self._level is not Augmentation.NONE:
            return None
        shape = self._shape(volume)
        covers_all = len(tiles) == len(grid_tiles(volume.shape, shape))
        fullest = max(tiles.values(), key=lambda tile: _n_foreground(volume, tile, shape))
        window = InstanceWindow(
            volume, (0, 0, 0) if covers_all else fullest.start, volume.shape if covers_all else shape
        )
        return window if window.has_objects else None

    @cached_property
    def has_foreground(self) -> bool:
        """Whether there is foreground in what is validated; without it, validation cannot tell the best epoch."""
        return any(
            _has_foreground(volume, tile, self._shape(volume))
            for volume, tiles in zip(self.volumes, self._tiles, strict=True)
            for tile in tiles.values()
        )

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
        return Augmenter(self._level, volume.spacing, shape)(image, targets, seed)


def _spread(indices: Sequence[int], n: int) -> list[int]:
    """Return at most n of some indices, evenly spread."""
    if not indices or not n:
        return []
    places = np.unique(np.linspace(0, len(indices) - 1, n).round().astype(int))
    return [indices[place] for place in places.tolist()]


def _has_foreground(volume: PreparedVolume, tile: Tile, shape: Shape3D) -> bool:
    return _n_foreground(volume, tile, shape) > 0


def _n_foreground(volume: PreparedVolume, tile: Tile, shape: Shape3D) -> int:
    box = tuple(slice(start, start + side) for start, side in zip(tile.start, shape, strict=True))
    targets = in_memory(volume.targets[0][box])
    return int(np.count_nonzero((targets > 0) & (targets != IGNORE_INDEX)))


def _annotated(volume: PreparedVolume, tiles: list[Tile], shape: Shape3D) -> list[Tile]:
    """Return the tiles with at least one annotated voxel."""

    def has_annotation(tile: Tile) -> bool:
        box = tuple(slice(start, start + side) for start, side in zip(tile.start, shape, strict=True))
        return bool((in_memory(volume.targets[0][box]) != IGNORE_INDEX).any())

    if not volume.patch_sampler.n_voxels_of[IGNORE_INDEX]:
        return tiles
    return [tile for tile in tiles if has_annotation(tile)]
