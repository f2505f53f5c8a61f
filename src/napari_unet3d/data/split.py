"""Divide samples into those that train and those that validate: by volume, or a single volume by blocks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import floor
from typing import Protocol

import numpy as np

from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.ground_truth import has_foreground
from napari_unet3d.data.pairs import natural_order
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample, Shape3D, format_shape
from napari_unet3d.errors import UserError

# Of the axis that a single volume is cut along; with less, training loses more than validation tells.
_LEAST_TRAINING_SHARE = 0.4
_LEAST_SIDE = 2  # of a sample


class Role(ChoiceEnum):
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
        """Return this part of its volume as a sample of its own, whose arrays are views."""
        place = tuple(slice(start, stop) for start, stop in zip(self.start_zyx, self.stop_zyx, strict=True))
        labels = None if sample.labels is None else sample.labels[place]
        annotated = None if sample.label_mask is None else sample.label_mask[place]
        name = f"{self.name} [{self.role}]"
        return replace(sample, name=name, image=sample.image[place], labels=labels, label_mask=annotated)


@dataclass(frozen=True, slots=True)
class Split:
    """Which samples train and which validate, each in natural order of the names.

    Attributes
    ----------
    train, val : tuple of Sample
        Whole volumes, or the blocks of a single one; corrected volumes stand last.
    blocks : tuple of Block
        Where the samples lie in their volume; empty when they are whole volumes.
    notice : str or None
        A sentence when validation was asked for and is not possible, or cannot tell the best epoch.
    tells_best : bool
        Whether validation can tell the best epoch; false when volumes validate and none of them has foreground.
    """

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    blocks: tuple[Block, ...] = ()
    notice: str | None = None
    tells_best: bool = True


def split_samples(
    samples: Sequence[Sample],
    val_fraction: float,
    seed: int,
    *,
    gap_zyx: Shape3D,
    ignore_label: int | None = None,
) -> Split:
    """Draw what validates; the same names and seed give the same split, in whatever order they come.

    Of several volumes whole ones are drawn, those with foreground first; see `draw_validation`. A single volume is cut:
    a block at one end of an axis validates, the other end trains, and a gap between them belongs to neither, since
    neighbouring voxels are so much alike that validating on them would flatter the model. Both blocks hold foreground.
    The axis is the one that is longest measured in gaps, so that the gap costs the smallest part of the volume; when
    neither of its ends will do, the next one is tried.

    Corrected volumes always train and do not count in the draw, so that the same volumes validate before and after a
    correction.

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
    ignore_label : int, optional
        The label value of voxels that are not annotated, to know foreground.

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
    ordered = sorted(samples, key=lambda sample: (natural_order(sample.name), sample.name))
    corrected = tuple(sample for sample in ordered if sample.provenance is not None)
    originals = [sample for sample in ordered if sample.provenance is None]
    if len(originals) == 1 and val_fraction > 0:
        split = _split_volume(originals[0], val_fraction, seed, gap_zyx, ignore_label)
        return replace(split, train=split.train + corrected)
    foreground = [_holds_foreground(sample, ignore_label) for sample in originals]
    chosen = draw_validation(foreground, val_fraction, seed) if originals else frozenset()
    notice = validation_without_foreground(originals, foreground, chosen)
    return Split(
        train=tuple(sample for i, sample in enumerate(originals) if i not in chosen) + corrected,
        val=tuple(sample for i, sample in enumerate(originals) if i in chosen),
        notice=notice,
        tells_best=notice is None,
    )


def _holds_foreground(sample: Sample, ignore_label: int | None) -> bool:
    return sample.labels is not None and has_foreground(sample.labels, ignore_label, sample.label_mask)


class HasProvenance(Protocol):
    """What must be known of a volume to find what it was cut from; samples and their facts both tell it."""

    @property
    def name(self) -> str:
        """Name of the volume."""

    @property
    def shape(self) -> Shape3D:
        """Number of voxels along z, y, x."""

    @property
    def provenance(self) -> Provenance | None:
        """The volume that it is a corrected part of."""


def find_validation_leaks(
    train: Sequence[HasProvenance], val: Sequence[HasProvenance], blocks: Sequence[Block]
) -> list[tuple[str, str]]:
    """Find corrected volumes that train although the volume or block that they were cut from validates.

    Parameters
    ----------
    train, val : sequence of Sample or VolumeStatistics
        What trains and what validates.
    blocks : sequence of Block
        Where the only volume was cut; empty for whole volumes.

    Returns
    -------
    list of tuple of str
        Name of the source and of the corrected volume.
    """
    judging = [block for block in blocks if block.role is Role.VALIDATION]
    found = []
    for corrected in train:
        own = corrected.provenance
        if own is None or own.subset != "train":
            continue
        in_block = any(each.name == own.volume and _overlap(each, own.start_zyx, corrected.shape) for each in judging)
        if in_block or any(own.volume == each.name for each in val):
            found.append((own.volume, corrected.name))
    return found


def _overlap(block: Block, start: Shape3D, shape: Shape3D) -> bool:
    return all(
        first < stop and first + side > begin
        for first, side, begin, stop in zip(start, shape, block.start_zyx, block.stop_zyx, strict=True)
    )


def draw_validation(foreground: Sequence[bool], val_fraction: float, seed: int) -> frozenset[int]:
    """Draw the places of the volumes that validate, of two or more volumes in natural order of their names.

    A draw of volumes that all have foreground holds as it is. A volume without is replaced by the next one with
    foreground, in the random order of the draw, as long as one with foreground is left to train.

    Parameters
    ----------
    foreground : sequence of bool
        Which of the volumes have foreground.
    val_fraction : float
        Part for validation, from 0 to below 1.
    seed : int
        Seed of the draw.
    """
    if val_fraction == 0:
        return frozenset()
    n_volumes = len(foreground)
    exact = val_fraction * n_volumes
    n_val = min(max(1, floor(exact + 1e-9)), n_volumes - 1)  # 0.29 × 100 is 28.999… in binary
    order = np.random.default_rng(seed).permutation(n_volumes).tolist()
    if all(foreground[i] for i in order[:n_val]):
        return frozenset(order[:n_val])
    with_foreground = [i for i in order if foreground[i]]
    without = [i for i in order if not foreground[i]]
    return frozenset([*with_foreground[:-1], *without][:n_val])  # the last one trains


def validation_without_foreground(
    volumes: Sequence[HasProvenance], foreground: Sequence[bool], chosen: Collection[int]
) -> str | None:
    """Return a sentence when volumes validate and none of them has foreground, None otherwise.

    Parameters
    ----------
    volumes : sequence of Sample or VolumeStatistics
        The volumes that were drawn from.
    foreground : sequence of bool
        Which of them have foreground.
    chosen : collection of int
        Places of those that validate.
    """
    if not chosen or any(foreground[i] for i in chosen):
        return None
    names = ", ".join(f"'{volumes[i].name}'" for i in sorted(chosen))
    return (
        f"No validation volume holds foreground ({names}), so the best epoch cannot be told and the model of the last "
        "epoch is kept. Label objects in another volume, so that one can train and one validate."
    )


def _split_volume(sample: Sample, val_fraction: float, seed: int, gap_zyx: Shape3D, ignore_label: int | None) -> Split:
    at_start = bool(np.random.default_rng(seed).integers(2))
    is_too_small = True
    for axis in sorted(range(3), key=lambda axis: sample.shape[axis] / max(1, gap_zyx[axis]), reverse=True):
        for blocks in _blocks_along(axis, sample, val_fraction, gap_zyx[axis], at_start=at_start):
            is_too_small = False
            train, val = (block.cut(sample) for block in blocks)
            if all(_holds_foreground(part, ignore_label) for part in (train, val)):
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
        sides, gaps = map(format_shape, (sample.shape, gap_zyx))
        return (
            f"'{sample.name}' of {sides} voxels is too small for a validation block, which must lie {gaps} voxels away "
            "from what trains, as far as the network sees; there is no validation. Add a second volume, or choose a "
            "smaller preset or validation fraction."
        )
    return (
        f"No end of '{sample.name}' holds foreground for validation while the rest holds some for training; there is "
        "no validation. Label objects at both ends, or add a second volume."
    )
