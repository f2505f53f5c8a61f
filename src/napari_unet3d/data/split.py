"""Divide samples into those that train and those that validate: by volume, or a single volume by blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor

import numpy as np

from napari_unet3d.configs import ZeroIs
from napari_unet3d.configs.base import Choice
from napari_unet3d.data.annotation import has_foreground
from napari_unet3d.data.pairs import natural_order
from napari_unet3d.data.sample import Sample, Shape3D, shape_words
from napari_unet3d.errors import UserError

# Of the axis that a single volume is cut along; with less, training loses more than validation tells.
_LEAST_TRAINING_SHARE = 0.4
_LEAST_SIDE = 2  # of a sample


class Role(Choice):
    """What a part of the data is for."""

    TRAINING = "training"
    VALIDATION = "validation"


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a volume, from `start_zyx` up to but without `stop_zyx`, in voxels of the volume `name`."""

    name: str
    role: Role
    start_zyx: Shape3D
    stop_zyx: Shape3D

    def cut(self, sample: Sample) -> Sample:
        """Give this part of its volume as a sample of its own, whose arrays are views."""
        place = tuple(slice(start, stop) for start, stop in zip(self.start_zyx, self.stop_zyx, strict=True))
        labels = None if sample.labels is None else sample.labels[place]
        return Sample(f"{self.name} [{self.role}]", sample.image[place], labels, sample.voxel_size_um)


@dataclass(frozen=True, slots=True)
class Split:
    """Which samples train and which validate, each in natural order of the names.

    Attributes
    ----------
    train, val : tuple of Sample
        Whole volumes, or the blocks of a single one.
    blocks : tuple of Block
        Where the samples lie in their volume; empty when they are whole volumes.
    notice : str or None
        A sentence when validation was asked for and is not possible.
    """

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    blocks: tuple[Block, ...] = ()
    notice: str | None = None


def split_samples(
    samples: Sequence[Sample],
    val_fraction: float,
    seed: int,
    *,
    gap_zyx: Shape3D,
    zero_is: ZeroIs = ZeroIs.BACKGROUND,
) -> Split:
    """Draw what validates; the same names and seed give the same split, in whatever order they come.

    Of several volumes whole ones are drawn. A single volume is cut: a block at one end of an axis validates, the
    other end trains, and a gap between them belongs to neither, since neighbouring voxels are so much alike that
    validating on them would flatter the model. Both blocks hold foreground. The axis is the one that is longest
    measured in gaps, so that the gap costs the smallest part of the volume; when neither of its ends will do, the
    next one is tried.

    Parameters
    ----------
    samples : sequence of Sample
        All samples.
    val_fraction : float
        Part for validation, from 0 to below 1: at least one volume, rounded down, or this part of the axis that
        a single volume is cut along; none for 0.
    seed : int
        Seed of the draw.
    gap_zyx : tuple of int
        Voxels along z, y, x between two blocks of a volume, at least what the network sees at once.
    zero_is : ZeroIs
        What label 0 means, to know foreground.

    Returns
    -------
    Split
        At least one sample trains.

    Raises
    ------
    UserError
        If there is no sample.
    """
    if not samples:
        raise UserError("There is no volume to train on. Add at least one.")
    if len(samples) == 1 and val_fraction > 0:
        return _split_volume(samples[0], val_fraction, seed, gap_zyx, zero_is)
    ordered = sorted(samples, key=lambda sample: (natural_order(sample.name), sample.name))
    chosen = draw_validation(len(ordered), val_fraction, seed)
    return Split(
        train=tuple(sample for i, sample in enumerate(ordered) if i not in chosen),
        val=tuple(sample for i, sample in enumerate(ordered) if i in chosen),
    )


def draw_validation(n_volumes: int, val_fraction: float, seed: int) -> frozenset[int]:
    """Draw the places of the volumes that validate, of two or more volumes in natural order of their names.

    Parameters
    ----------
    n_volumes : int
        How many there are.
    val_fraction : float
        Part for validation, from 0 to below 1.
    seed : int
        Seed of the draw.
    """
    if val_fraction == 0:
        return frozenset()
    exact = val_fraction * n_volumes
    n_val = min(max(1, floor(exact + 1e-9)), n_volumes - 1)  # 0.29 × 100 is 28.999… in binary
    return frozenset(np.random.default_rng(seed).permutation(n_volumes)[:n_val].tolist())


def _split_volume(sample: Sample, val_fraction: float, seed: int, gap_zyx: Shape3D, zero_is: ZeroIs) -> Split:
    at_start = bool(np.random.default_rng(seed).integers(2))
    is_too_small = True
    for axis in sorted(range(3), key=lambda axis: sample.shape[axis] / max(1, gap_zyx[axis]), reverse=True):
        for blocks in _blocks_along(axis, sample, val_fraction, gap_zyx[axis], at_start=at_start):
            is_too_small = False
            train, val = (block.cut(sample) for block in blocks)
            if all(part.labels is not None and has_foreground(part.labels, zero_is) for part in (train, val)):
                return Split((train,), (val,), blocks)
    return Split((sample,), (), notice=_no_validation(sample, gap_zyx, is_too_small=is_too_small))


def _blocks_along(
    axis: int, sample: Sample, val_fraction: float, gap: int, *, at_start: bool
) -> Iterator[tuple[Block, Block]]:
    """Yield the training and the validation block, first with validation at the end that was drawn, then at the other.

    Nothing when too little is left for training.
    """
    side = sample.shape[axis]
    n_val = max(_LEAST_SIDE, round(val_fraction * side))
    n_train = side - gap - n_val
    if n_train < max(_LEAST_SIDE, _LEAST_TRAINING_SHARE * side):
        return
    for validates_at_start in (at_start, not at_start):
        if validates_at_start:
            train, val = (side - n_train, side), (0, n_val)
        else:
            train, val = (0, n_train), (side - n_val, side)
        yield _block(sample, Role.TRAINING, axis, train), _block(sample, Role.VALIDATION, axis, val)


def _block(sample: Sample, role: Role, axis: int, extent: tuple[int, int]) -> Block:
    start, stop = [0, 0, 0], list(sample.shape)
    start[axis], stop[axis] = extent
    return Block(sample.name, role, (start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _no_validation(sample: Sample, gap_zyx: Shape3D, *, is_too_small: bool) -> str:
    if is_too_small:
        sides, gaps = map(shape_words, (sample.shape, gap_zyx))
        return (
            f"'{sample.name}' of {sides} voxels is too small for a validation block, which must lie {gaps} voxels away "
            "from what trains, as far as the network sees; there is no validation. Add a second volume, or choose a "
            "smaller preset or validation fraction."
        )
    return (
        f"No end of '{sample.name}' holds foreground for validation while the rest holds some for training; there is "
        "no validation. Label objects at both ends, or add a second volume."
    )
