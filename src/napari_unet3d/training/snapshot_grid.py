"""The voxel grids of snapshots: where they are in the volumes of the user, and what was predicted on them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import ResizeMode, Task, TrainingConfig
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.lazy_array import in_memory
from napari_unet3d.data.sample import Sample, Shape3D
from napari_unet3d.data.split import Block
from napari_unet3d.model.plan import Plan
from napari_unet3d.runs.snapshot_files import SnapshotData, SnapshotPrediction, SnapshotVolume
from napari_unet3d.training.loading.patch_sampler import Tile
from napari_unet3d.training.loading.targets import IGNORE_INDEX
from napari_unet3d.training.loading.volumes import PreparedVolume
from napari_unet3d.training.planning import shape_at
from napari_unet3d.training.prepare import TrainingData
from napari_unet3d.transforms.pad import valid_region

MAX_VOXELS = 2**26
"""Largest number of voxels of all volumes with snapshots together; the others are left out."""


class SnapshotGrid:
    """The grid of one validation volume, and the predictions on it since `reset`.

    Padding is not part of it. Of a volume that is cropped or resized, it is what the network sees.

    Parameters
    ----------
    number : int
        Index of the volume among the validation volumes.
    info : SnapshotVolume
        Name, shape and place of the grid, as stored with the snapshots.
    volume : PreparedVolume
        Image and targets that validation uses.
    region : tuple of slice
        The part of them without padding.
    """

    def __init__(self, number: int, info: SnapshotVolume, volume: PreparedVolume, region: tuple[slice, ...]) -> None:
        self.number, self.info = number, info
        self._prepared, self._region = volume, region
        self.reset()

    def reset(self) -> None:
        """Discard the predictions."""
        self._labels = np.zeros(self._prepared.shape, np.uint8)
        self._predicted = np.zeros(self._prepared.shape, np.bool_)

    def add(self, tile: Tile, labels: NDArray[np.uint8]) -> None:
        """Add predicted labels of shape (z, y, x); voxels that an earlier tile covers keep their labels."""
        first_uncovered = tuple(slice(first, None) for first in tile.first_uncovered)
        box = tuple(
            slice(start + first, start + side)
            for start, first, side in zip(tile.start, tile.first_uncovered, labels.shape, strict=True)
        )
        self._labels[box] = labels[first_uncovered]
        self._predicted[box] = True

    def prediction(self, plan: Plan) -> SnapshotPrediction:
        """Return the predictions as label values."""
        predicted = self._predicted[self._region]
        return SnapshotPrediction(
            _label_values(self._labels[self._region], plan), None if predicted.all() else predicted
        )

    def volume(self, plan: Plan) -> SnapshotData:
        """Return image and ground truth."""
        targets = in_memory(self._prepared.targets[0][self._region])
        annotated = targets != IGNORE_INDEX
        labels = _label_values(np.where(annotated, targets, 0), plan)
        truth = GroundTruth(labels, None if annotated.all() else annotated)
        return SnapshotData(self.info, _image_of(self._prepared.image[(slice(None), *self._region)]), truth)


def _image_of(channels: NDArray[Any]) -> NDArray[Any]:
    return in_memory(channels if len(channels) > 1 else channels[0])


def choose_grids(data: TrainingData) -> tuple[list[SnapshotGrid], tuple[str, ...]]:
    """Return grids for the first validation volumes within `MAX_VOXELS`, and the names of the others."""
    grids: list[SnapshotGrid] = []
    left_out: list[str] = []
    n_voxels_left = MAX_VOXELS
    pairs = zip(data.split.val, data.validation.volumes, strict=True)
    for number, (sample, volume) in enumerate(pairs):
        info, region = _grid_in_sample(sample, data.split.blocks, volume, data.config, data.plan)
        size = prod(info.shape_zyx)
        if size > n_voxels_left:
            left_out.append(sample.name)
            continue
        n_voxels_left -= size
        grids.append(SnapshotGrid(number, info, volume, region))
    return grids, tuple(left_out)


def _grid_in_sample(
    sample: Sample, blocks: Sequence[Block], volume: PreparedVolume, config: TrainingConfig, plan: Plan
) -> tuple[SnapshotVolume, tuple[slice, ...]]:
    """Return where the grid of a prepared volume is in the volume of the user, and its region without padding.

    Resampling keeps the outer border of a volume, see `transforms.resample`. With another voxel size, the centre of
    the first voxel is therefore at another place.
    """
    block = next((block for block in blocks if block.sample_name == sample.name), None)
    resampled = shape_at(sample, plan.spacing_um)
    mode = config.resize_mode if plan.patch_zyx is None else ResizeMode.PAD
    region = valid_region(resampled, volume.shape, mode)
    shape = resampled if mode is ResizeMode.PAD else volume.shape
    n_steps = resampled if mode is not ResizeMode.RESIZE else volume.shape  # of the grid along the whole sample
    cropped = (
        [(old - new) // 2 for old, new in zip(resampled, shape, strict=True)] if mode is ResizeMode.CROP else [0, 0, 0]
    )
    steps = [old / new for old, new in zip(sample.shape, n_steps, strict=True)]
    first = [
        (step - 1) / 2 + start * step + corner
        for step, start, corner in zip(steps, cropped, block.start_zyx if block else (0, 0, 0), strict=True)
    ]
    info = SnapshotVolume(
        name=sample.name,
        volume=block.name if block else sample.name,
        volume_shape_zyx=_whole_shape(sample, [each for each in blocks if block and each.name == block.name]),
        geometry=sample.geometry,
        shape_zyx=shape,
        first_zyx=(first[0], first[1], first[2]),
        step_zyx=(steps[0], steps[1], steps[2]),
        channel_names=plan.channels,
    )
    return info, region


def _whole_shape(sample: Sample, blocks: Sequence[Block]) -> Shape3D:
    """Return the shape of the whole volume; of a sample that is a block, the last block ends where the volume does."""
    z, y, x = map(max, zip(sample.shape, *(block.stop_zyx for block in blocks), strict=True))
    return z, y, x


def _label_values(numbers: NDArray[np.uint8], plan: Plan) -> NDArray[np.unsignedinteger[Any]]:
    """Return the label values of class numbers; foreground stays 1."""
    if plan.task is not Task.SEMANTIC:
        return numbers
    values = np.array([0, *(each.value for each in plan.classes)])
    small = values.astype(np.min_scalar_type(int(values.max())))
    result: NDArray[np.unsignedinteger[Any]] = small[numbers]
    return result
