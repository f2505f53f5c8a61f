"""Corrected regions override the labels of the same region in other training volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_unet3d.data.boxes import Box, MaskedBox, rasterize
from napari_unet3d.data.intensities import compute_whole_intensities
from napari_unet3d.data.lazy_array import LazyArray, as_array, is_lazy
from napari_unet3d.data.part_sources import MaskWithout
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Role, Split
from napari_unet3d.data.validation_leaks import HasProvenance


def apply_corrections(split: Split, samples: Sequence[Sample]) -> Split:
    """Return a split whose training volumes leave out what corrections annotate; see `mask_corrected`.

    Validation volumes are not changed, so that scores can be compared with earlier runs. Training volumes of which
    nothing is left are dropped.

    Parameters
    ----------
    split : Split
        Training and validation volumes.
    samples : sequence of Sample
        All volumes of the split.
    """
    if all(sample.provenance is None for sample in samples):
        return split
    left = dict(zip(map(id, samples), mask_corrected(samples), strict=True))
    originals = {sample.name: left[id(sample)] for sample in samples if sample.provenance is None}
    blocks = [block.cut(originals[block.name]) for block in split.blocks if block.role is Role.TRAINING]
    whole = [left[id(sample)] for sample in split.train if id(sample) in left]
    train = tuple(each for each in (*blocks, *whole) if each.label_mask is None or each.label_mask.any())
    return replace(split, train=train)


def add_intensities(samples: Sequence[Sample]) -> list[Sample]:
    """Return volumes whose corrected parts have the intensities of their whole volume, as far as that can be known.

    They are those that were saved with the part; else those of the training volume that it was cropped from. If that
    is not there, the part is normalised by its own intensities; see `find_unknown_intensities`.

    Parameters
    ----------
    samples : sequence of Sample
        All training volumes.
    """
    originals = {sample.name: sample for sample in samples if sample.provenance is None}
    found = []
    for sample in samples:
        own = sample.provenance
        whole = None if own is None or own.subset != "train" else originals.get(own.volume)
        if own is not None and sample.intensities is None and whole is not None:
            sample = replace(sample, intensities=compute_whole_intensities(whole.image))
        found.append(sample)
    return found


def find_unknown_intensities(volumes: Sequence[HasProvenance]) -> list[tuple[str, str]]:
    """Find corrected volumes whose whole volume has unknown intensities: neither saved, nor among the volumes.

    Parameters
    ----------
    volumes : sequence of Sample or VolumeStatistics
        All training volumes.

    Returns
    -------
    list of tuple of str
        Names of the whole volume and of the corrected volume.
    """
    known = {volume.name for volume in volumes if volume.provenance is None}
    parts = [(volume.name, volume.provenance) for volume in volumes if volume.provenance is not None]
    return [
        (own.volume, name)
        for name, own in parts
        if own.intensities is None and not (own.subset == "train" and own.volume in known)
    ]


def mask_corrected(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return volumes without what later corrections annotate, so that old and new labels do not contradict each other.

    Parameters
    ----------
    samples : sequence of Sample
        The training volumes. The provenance of a corrected volume names the volume it was cropped from; where two
        corrected volumes overlap, the later one counts.

    Returns
    -------
    tuple of Sample
        In the same order; only masks differ.
    """
    return tuple(_mask_sample(sample, samples) for sample in samples)


def _mask_sample(sample: Sample, others: Sequence[Sample]) -> Sample:
    for other in others:
        if _replaces(other, sample):
            sample = _without(other, sample)
    return sample


def _replaces(corrected: Sample, other: Sample) -> bool:
    own, older = corrected.provenance, other.provenance
    if own is None or own.subset != "train":  # volumes of other subsets are not trained on
        return False
    if older is None:
        return own.volume == other.name
    return (own.volume, own.subset) == (older.volume, older.subset) and own.made > older.made


def _without(corrected: Sample, sample: Sample) -> Sample:
    """Return a sample without the annotated voxels of a corrected one; the same sample if they do not overlap."""
    mask = np.ones(corrected.shape, bool) if corrected.label_mask is None else corrected.label_mask
    if is_lazy(sample.image):
        own = sample.label_mask
        region = MaskedBox(_box_of(corrected), mask)
        left = MaskWithout(sample.image, own if is_lazy(own) else None, region)
        return replace(sample, label_mask=as_array(LazyArray(left)))
    taken = rasterize(_box_of(sample), MaskedBox(_box_of(corrected), mask))
    if not taken.any():
        return sample
    return replace(sample, label_mask=~taken if sample.label_mask is None else sample.label_mask & ~taken)


def _box_of(sample: Sample) -> Box:
    """Return the box of a sample in the volume that it was cropped from."""
    start = (0, 0, 0) if sample.provenance is None else sample.provenance.start_zyx
    z, y, x = (slice(first, first + side) for first, side in zip(start, sample.shape, strict=True))
    return z, y, x
