"""The grids on which validation volumes are watched: where they lie, and what was predicted on them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import ResizeMode, Task, TrainingConfig
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Sample, Shape3D
from napari_unet3d.data.split import Block, Role
from napari_unet3d.model.plan import Plan
from napari_unet3d.runs.snapshot_files import SnapshotData, SnapshotPrediction, SnapshotVolume
from napari_unet3d.training.loading.patch_sampler import Tile
from napari_unet3d.training.loading.targets import IGNORE_INDEX
from napari_unet3d.training.loading.volumes import PreparedVolume
from napari_unet3d.training.planning import shape_at
from napari_unet3d.training.prepare import TrainingData
from napari_unet3d.transforms.pad import valid_region

MOST_VOXELS = 2**26
"""Of all watched volumes together; those that no longer fit are not watched."""


class SnapshotGrid:
    """The grid of one watched volume, and what was seen of it since `forget`.

    Of a padded volume it is the part without the padding; of one that is cropped or resized, all that the network sees.
    """

    def __init__(self, number: int, card: SnapshotVolume, ready: PreparedVolume, part: tuple[slice, ...]) -> None:
        self.number, self.card = number, card
        self._ready, self._part = ready, part
        self.reset()

    def reset(self) -> None:
        """Begin with another evaluation."""
        self._labels = np.zeros(self._ready.shape, np.uint8)
        self._predicted = np.zeros(self._ready.shape, np.bool_)

    def add(self, tile: Tile, labels: NDArray[np.uint8]) -> None:
        """Take in labels of shape (z, y, x) at a place; only its fresh part counts."""
        fresh = tuple(slice(first, None) for first in tile.first_uncovered)
        place = tuple(
            slice(start + first, start + side)
            for start, first, side in zip(tile.start, tile.first_uncovered, labels.shape, strict=True)
        )
        self._labels[place] = labels[fresh]
        self._predicted[place] = True

    def prediction(self, plan: Plan) -> SnapshotPrediction:
        """Return what was predicted, as label values."""
        predicted = self._predicted[self._part]
        return SnapshotPrediction(_values(self._labels[self._part], plan), None if predicted.all() else predicted)

    def volume(self, plan: Plan) -> SnapshotData:
        """Return grey values and truth."""
        targets = np.asarray(self._ready.targets[0][self._part])
        annotated = targets != IGNORE_INDEX
        labels = _values(np.where(annotated, targets, 0), plan)
        truth = GroundTruth(labels, None if annotated.all() else annotated)
        return SnapshotData(self.card, np.asarray(self._ready.image[self._part]), truth)


def choose_grids(work: TrainingData) -> tuple[list[SnapshotGrid], tuple[str, ...]]:
    """Choose the volumes that are watched, the first ones that fit, and name the others."""
    grids: list[SnapshotGrid] = []
    left_out: list[str] = []
    room = MOST_VOXELS
    blocks = work.split.blocks
    pairs = zip(work.split.val, work.validation.volumes, strict=True)
    for number, (sample, ready) in enumerate(pairs):
        card, part = _place(sample, blocks, ready, work.config, work.plan)
        size = prod(card.shape_zyx)
        if size > room:
            left_out.append(sample.name)
            continue
        room -= size
        grids.append(SnapshotGrid(number, card, ready, part))
    return grids, tuple(left_out)


def _place(
    sample: Sample, blocks: Sequence[Block], ready: PreparedVolume, config: TrainingConfig, plan: Plan
) -> tuple[SnapshotVolume, tuple[slice, ...]]:
    """Find where the grid of a ready volume lies in the volume of the user, and which part of it is no padding.

    Grids of one volume fill the same box, see `prediction.resample`: with voxels of another size, the middle of the
    first one lies elsewhere.
    """
    block = next((block for block in blocks if block.role is Role.VALIDATION), None)
    spaced = shape_at(sample, plan.spacing_um)
    fit = config.resize_mode if plan.patch_zyx is None else ResizeMode.PAD
    part = valid_region(spaced, ready.shape, fit)
    shape = spaced if fit is ResizeMode.PAD else ready.shape
    filling = spaced if fit is not ResizeMode.RESIZE else ready.shape  # of the box
    cropped = (
        [(old - new) // 2 for old, new in zip(spaced, shape, strict=True)] if fit is ResizeMode.CROP else [0, 0, 0]
    )
    steps = [old / new for old, new in zip(sample.shape, filling, strict=True)]
    firsts = [
        (step - 1) / 2 + start * step + corner
        for step, start, corner in zip(steps, cropped, block.start_zyx if block else (0, 0, 0), strict=True)
    ]
    card = SnapshotVolume(
        name=sample.name,
        volume=block.name if block else sample.name,
        volume_shape_zyx=_whole_shape(sample, blocks),
        voxel_size_um=sample.voxel_size_um,
        shape_zyx=shape,
        first_zyx=(firsts[0], firsts[1], firsts[2]),
        step_zyx=(steps[0], steps[1], steps[2]),
    )
    return card, part


def _whole_shape(sample: Sample, blocks: Sequence[Block]) -> Shape3D:
    """Return the shape of the volume that a sample is, or is a block of: its last block ends where it does."""
    z, y, x = map(max, zip(sample.shape, *(block.stop_zyx for block in blocks), strict=True))
    return z, y, x


def _values(numbers: NDArray[np.uint8], plan: Plan) -> NDArray[np.unsignedinteger[Any]]:
    """Turn numbers of classes into their label values; those of foreground stay."""
    if plan.task is not Task.SEMANTIC:
        return numbers
    values = np.array([0, *(each.value for each in plan.classes)])
    small = values.astype(np.min_scalar_type(int(values.max())))
    result: NDArray[np.unsignedinteger[Any]] = small[numbers]
    return result
