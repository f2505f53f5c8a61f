"""Objects of a validation volume: those in the network output are matched with the true ones after every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import PostProcessing
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.evaluation.metrics.instances import match_instances
from napari_unet3d.training.loading.patch_sampler import Tile
from napari_unet3d.training.loading.targets import IGNORE_INDEX
from napari_unet3d.training.loading.volumes import PreparedVolume
from napari_unet3d.transforms.instances import split_instances

# Of each volume. Objects of a million voxels are separated in about half a second; more would take as long as training.
_MAX_VOXELS = 2**20


class InstanceWindow:
    """The part of a validation volume in which objects are counted.

    It is the whole volume, or in a large one a box around the middle of the objects. Its position never changes.

    Parameters
    ----------
    volume : PreparedVolume
        The volume, with the ids of its objects.
    start, shape : tuple of int
        First voxel and size (z, y, x) of what the tiles of the validation cover completely.
    """

    def __init__(self, volume: PreparedVolume, start: Shape3D, shape: Shape3D) -> None:
        assert volume.instances is not None
        covered = tuple(slice(first, first + side) for first, side in zip(start, shape, strict=True))
        box = tuple(
            slice(max(own.start, other.start), min(own.stop, other.stop))
            for own, other in zip(covered, volume.valid_region, strict=True)
        )
        box = _limit(box, volume.instances)
        self._box, self._spacing = box, volume.spacing
        self._truth = np.asarray(volume.instances[box])
        annotated = np.asarray(volume.targets[0][box]) != IGNORE_INDEX
        self._annotated = None if annotated.all() else annotated

    @property
    def has_objects(self) -> bool:
        """Whether there are objects to find."""
        return bool(self._truth.any())

    def f1(self, logits: Sequence[torch.Tensor], tiles: Sequence[Tile]) -> float:
        """Return the F1 of the objects at IoU 0.5, separated as prediction does with default settings.

        Parameters
        ----------
        logits : sequence of Tensor, each of shape (n, 3, z, y, x)
            Outputs for all tiles, in batches.
        tiles : sequence of Tile
            Their positions.
        """
        maps = np.zeros((3, *self._truth.shape), np.float32)
        outputs = (output for batch in logits for output in batch)
        for tile, output in zip(tiles, outputs, strict=True):
            here, there = [], []
            for own, first, side in zip(self._box, tile.start, output.shape[1:], strict=True):
                low, high = max(own.start, first), min(own.stop, first + side)
                here.append(slice(low - own.start, max(low, high) - own.start))
                there.append(slice(low - first, max(low, high) - first))
            part = output[(slice(None), *there)]
            if part.numel():
                maps[(slice(None), *here)] = part.float().sigmoid().cpu().numpy()
        predicted = split_instances(maps[0], maps[1:], PostProcessing(), Geometry(self._spacing))
        return match_instances(predicted, self._truth, self._annotated).f1


def _limit(box: tuple[slice, ...], instances: NDArray[np.unsignedinteger[Any]]) -> tuple[slice, ...]:
    """Return a box that is not too large, around the middle of the objects in it."""
    sides = [side.stop - side.start for side in box]
    while prod(sides) > _MAX_VOXELS:
        longest = sides.index(max(sides))
        sides[longest] = -(-sides[longest] // 2)
    ids, middles = instances[box], []
    for axis, most in enumerate(ids.shape):
        total = np.cumsum([np.count_nonzero(np.take(ids, place, axis)) for place in range(most)])
        middles.append(int(np.searchsorted(total, total[-1] / 2)) if total[-1] else most // 2)
    starts = [
        own.start + min(max(0, middle - side // 2), own.stop - own.start - side)
        for own, middle, side in zip(box, middles, sides, strict=True)
    ]
    return tuple(slice(start, start + side) for start, side in zip(starts, sides, strict=True))
