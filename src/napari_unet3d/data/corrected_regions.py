"""What a correction says about a place counts instead of what other volumes say about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_unet3d.data.boxes import Box, MaskedBox, rasterize
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Role, Split


def apply_corrections(split: Split, samples: Sequence[Sample]) -> Split:
    """Take out of the training volumes of a split what later corrections annotate; see `mask_corrected`.

    What validates stays as it is, so that its numbers can be compared with those of earlier runs. A volume of which
    nothing is left does not train.

    Parameters
    ----------
    split : Split
        What trains and what validates.
    samples : sequence of Sample
        All volumes that it was made of.
    """
    if all(sample.provenance is None for sample in samples):
        return split
    left = dict(zip(map(id, samples), mask_corrected(samples), strict=True))
    originals = {sample.name: left[id(sample)] for sample in samples if sample.provenance is None}
    blocks = [block.cut(originals[block.name]) for block in split.blocks if block.role is Role.TRAINING]
    whole = [left[id(sample)] for sample in split.train if id(sample) in left]
    train = tuple(each for each in (*blocks, *whole) if each.label_mask is None or each.label_mask.any())
    return replace(split, train=train)


def mask_corrected(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Take out of volumes what later corrections annotate, so that old and new labels do not contradict each other.

    Parameters
    ----------
    samples : sequence of Sample
        The volumes that train. A corrected one lies in the volume that its origin names; where two corrected ones
        overlap, the one that was made later counts.

    Returns
    -------
    tuple of Sample
        In the same order. Only masks are new, and only where something is taken out.
    """
    return tuple(_less(sample, samples) for sample in samples)


def _less(sample: Sample, others: Sequence[Sample]) -> Sample:
    for other in others:
        if _replaces(other, sample):
            sample = _without(other, sample)
    return sample


def _replaces(corrected: Sample, other: Sample) -> bool:
    own, older = corrected.provenance, other.provenance
    if own is None or own.subset != "train":  # volumes of other parts do not train
        return False
    if older is None:
        return own.volume == other.name
    return (own.volume, own.subset) == (older.volume, older.subset) and own.made > older.made


def _without(corrected: Sample, sample: Sample) -> Sample:
    """Return a sample without what is annotated in a corrected one, itself when that is nothing."""
    mask = np.ones(corrected.shape, bool) if corrected.label_mask is None else corrected.label_mask
    taken = rasterize(_box_of(sample), MaskedBox(_box_of(corrected), mask))
    if not taken.any():
        return sample
    return replace(sample, label_mask=~taken if sample.label_mask is None else sample.label_mask & ~taken)


def _box_of(sample: Sample) -> Box:
    """Return where a sample lies in the volume that it is cut from or is."""
    start = (0, 0, 0) if sample.provenance is None else sample.provenance.start_zyx
    z, y, x = (slice(first, first + side) for first, side in zip(start, sample.shape, strict=True))
    return z, y, x
