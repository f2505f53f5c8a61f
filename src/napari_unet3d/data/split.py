"""Split samples into training and validation: by volume, or a single volume into blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_unet3d.configs import Task
from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.draw import LabelContent, draw_time_points, name_validation, validation_without_foreground
from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.ground_truth import has_foreground
from napari_unet3d.data.intensities import compute_whole_intensities
from napari_unet3d.data.sample import Sample, Shape3D, format_shape
from napari_unet3d.data.statistics import count_values
from napari_unet3d.data.time_points import group_series, series_of
from napari_unet3d.errors import UserError

_MIN_TRAINING_FRACTION = 0.4  # of the axis along which a single volume is split
_MIN_SIDE = 2  # of a sample


class Role(ChoiceEnum):
    """What a block is used for."""

    TRAINING = "training"
    VALIDATION = "validation"


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the volume `name`, from `start_zyx` to `stop_zyx` (exclusive) in voxels."""

    name: str
    role: Role
    start_zyx: Shape3D
    stop_zyx: Shape3D

    @property
    def sample_name(self) -> str:
        """The name of the sample that `cut` returns."""
        return f"{self.name} [{self.role}]"

    def cut(self, sample: Sample) -> Sample:
        """Return the block as a sample whose arrays are views of the volume, with the intensities of the volume."""
        box = tuple(slice(start, stop) for start, stop in zip(self.start_zyx, self.stop_zyx, strict=True))
        labels = None if sample.labels is None else sample.labels[box]
        label_mask = None if sample.label_mask is None else sample.label_mask[box]
        geometry = sample.geometry.cropped([side.start for side in box])
        return replace(
            sample.at(geometry),
            name=self.sample_name,
            image=sample.channels[(slice(None), *box)],  # which becomes (z, y, x) again if it is one
            labels=labels,
            label_mask=label_mask,
            intensities=sample.intensities or compute_whole_intensities(sample.image),
        )


@dataclass(frozen=True, slots=True)
class Split:
    """Training and validation samples, each in natural order of their names.

    Attributes
    ----------
    train, val : tuple of Sample
        Whole volumes, or blocks of a single one; corrected volumes are last.
    blocks : tuple of Block
        Positions of the samples in their volume; empty for whole volumes.
    notice : str or None
        A message if validation was requested and is impossible, or cannot determine the best epoch.
    tells_best : bool
        Whether validation determines the best epoch; false if no validation volume has foreground.
    """

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    blocks: tuple[Block, ...] = ()
    notice: str | None = None
    tells_best: bool = True


def split_samples(  # noqa: PLR0913 - the settings that a split depends on
    samples: Sequence[Sample],
    val_fraction: float,
    seed: int,
    *,
    gap_zyx: Shape3D,
    ignore_label: int | None = None,
    task: Task = Task.BINARY,
    val_volumes: Sequence[str] = (),
    split_time_points: bool = False,
) -> Split:
    """Split samples at random; the split depends on names and seed, but not on the order of the samples.

    Of several volumes, whole ones are drawn so that foreground of all kinds is on both sides; see `draw_validation`.
    A single volume is split into blocks at both ends of an axis, one for validation, with an unused gap between them:
    neighbouring voxels are similar, so that validation scores would be too optimistic without it. Both blocks have
    foreground. The axis is the longest one in units of the gap, so that the smallest fraction of the volume is lost; if
    no end of it is suitable, the next one is tried. For the task semantic, the end is taken at which the fewest classes
    are missing in one of the blocks.

    All time points of a series are on the same side, since neighbours in time are nearly the same volume. If there is
    only one series, it is split like a single volume, all time points at the same place.

    Corrected volumes are always used for training and do not count in the draw, so that validation volumes stay the
    same after corrections.

    Parameters
    ----------
    samples : sequence of Sample
        All samples.
    val_fraction : float
        Fraction for validation, from 0 to below 1: at least one volume, rounded down, or this fraction of the axis
        along which a single volume is split; none for 0.
    seed : int
        Seed of the draw.
    gap_zyx : tuple of int
        Voxels along z, y, x between two blocks of a volume, at least the receptive field.
    ignore_label : int, optional
        The label value of voxels that are not annotated, to know foreground.
    task : Task
        What the labels mean: one foreground, classes or objects.
    val_volumes : sequence of str
        Names of the validation volumes; without them, the fraction is drawn.
    split_time_points : bool
        Whether time points of one series may be on both sides.

    Returns
    -------
    Split
        With at least one training sample.

    Raises
    ------
    UserError
        If there is no sample, or the named volumes cannot validate, see `name_validation`.

    Examples
    --------
    >>> labels = np.ones((8, 8, 8), np.uint8)
    >>> samples = [Sample(name, labels, labels) for name in ("a", "b", "c")]
    >>> split = split_samples(samples, 0.34, seed=0, gap_zyx=(4, 4, 4))
    >>> len(split.train), len(split.val)
    (2, 1)
    """
    if not samples:
        raise UserError("There is no volume to train on. Add at least one.")
    ordered = sorted(samples, key=lambda sample: (natural_order(sample.name), sample.name))
    corrected = tuple(sample for sample in ordered if sample.provenance is not None)
    originals = [sample for sample in ordered if sample.provenance is None]
    n_to_split = len(originals) if split_time_points else len(group_series([sample.name for sample in originals]))
    if n_to_split == 1 and val_fraction > 0 and not val_volumes:
        split = _split_into_blocks(originals, val_fraction, seed, gap_zyx, ignore_label, task)
        return replace(split, train=split.train + corrected)
    contents = [LabelContent.of(_label_counts(sample), task, ignore_label) for sample in originals]
    chosen: frozenset[int] = frozenset()
    if val_volumes:
        names_of_corrected = [sample.name for sample in corrected]
        chosen = name_validation(originals, val_volumes, names_of_corrected, split_time_points=split_time_points)
    elif originals:
        names = [sample.name for sample in originals]
        chosen = draw_time_points(names, contents, val_fraction, seed, split_time_points=split_time_points)
    notice = validation_without_foreground(originals, contents, chosen)
    return Split(
        train=tuple(sample for i, sample in enumerate(originals) if i not in chosen) + corrected,
        val=tuple(sample for i, sample in enumerate(originals) if i in chosen),
        notice=notice,
        tells_best=notice is None,
    )


def _has_foreground(sample: Sample, ignore_label: int | None) -> bool:
    return sample.labels is not None and has_foreground(sample.labels, ignore_label, sample.label_mask)


def _label_counts(sample: Sample) -> dict[int, int]:
    return {} if sample.labels is None else count_values(sample.labels, sample.label_mask)


def _split_into_blocks(
    samples: Sequence[Sample], val_fraction: float, seed: int, gap_zyx: Shape3D, ignore_label: int | None, task: Task
) -> Split:
    """Split a single volume, or all time points of a series at the same place."""
    first = samples[0]
    if any(sample.shape != first.shape for sample in samples):
        return Split(tuple(samples), (), notice=_different_shapes(first.name))
    at_start = bool(np.random.default_rng(seed).integers(2))
    is_too_small, found, fewest_missing = True, None, math.inf
    whole = [replace(each, intensities=each.intensities or compute_whole_intensities(each.image)) for each in samples]
    for axis in sorted(range(3), key=lambda axis: first.shape[axis] / max(1, gap_zyx[axis]), reverse=True):
        for pair in _blocks_along(axis, first, val_fraction, gap_zyx[axis], at_start=at_start):
            is_too_small = False
            blocks = [[replace(block, name=each.name) for each in samples] for block in pair]
            train, val = ([block.cut(each) for block, each in zip(part, whole, strict=True)] for part in blocks)
            if not all(any(_has_foreground(each, ignore_label) for each in part) for part in (train, val)):
                continue
            n_missing = _n_missing_classes(train, val, ignore_label) if task is Task.SEMANTIC else 0
            if n_missing < fewest_missing:
                found = Split(tuple(train), tuple(val), (*blocks[0], *blocks[1]))
                fewest_missing = n_missing
            if not n_missing:
                return found  # type: ignore[return-value]
    return found or Split(tuple(samples), (), notice=_no_validation(first, gap_zyx, is_too_small=is_too_small))


def _n_missing_classes(train: Sequence[Sample], val: Sequence[Sample], ignore_label: int | None) -> int:
    """Count the classes that only one of two sides has; those that training lacks count as many more."""
    trained, validated = (
        frozenset[int]().union(
            *(LabelContent.of(_label_counts(each), Task.SEMANTIC, ignore_label).classes for each in part)
        )
        for part in (train, val)
    )
    return len(validated - trained) * 1000 + len(trained - validated)


def _blocks_along(
    axis: int, sample: Sample, val_fraction: float, gap: int, *, at_start: bool
) -> Iterator[tuple[Block, Block]]:
    """Yield the training and the validation block for validation at the drawn end, then at the other one.

    Nothing if too little is left for training.
    """
    side = sample.shape[axis]
    n_val = max(_MIN_SIDE, round(val_fraction * side))
    n_train = side - gap - n_val
    if n_train < max(_MIN_SIDE, _MIN_TRAINING_FRACTION * side):
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


def _different_shapes(name: str) -> str:
    return (
        f"The time points of '{series_of(name)}' have different shapes, so they cannot be split at the same place; "
        "there is no validation. Add another volume, name validation volumes, or set split time points."
    )


def _no_validation(sample: Sample, gap_zyx: Shape3D, *, is_too_small: bool) -> str:
    name = series_of(sample.name)
    if is_too_small:
        sides, gaps = map(format_shape, (sample.shape, gap_zyx))
        return (
            f"'{name}' of {sides} voxels is too small for a validation block, which must be separated from "
            f"training by the receptive field of {gaps} voxels; there is no validation. Add a second volume, or choose "
            "a smaller preset or validation fraction."
        )
    return (
        f"'{name}' cannot be split so that both training and validation have foreground; there is no "
        "validation. Label objects at both ends, or add a second volume."
    )
