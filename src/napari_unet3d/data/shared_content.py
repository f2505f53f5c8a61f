"""Whether volumes have the same content, by intensities rather than names: copies, crops and overlapping parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from napari_unet3d.data.boxes import bounding_box, expand_to, whole_box
from napari_unet3d.data.dataset import Subset, list_pairs, read_pair
from napari_unet3d.data.pairs import provenance_file
from napari_unet3d.data.sample import Sample, Shape3D
from napari_unet3d.data.series import list_time_points
from napari_unet3d.data.statistics import Fingerprint, fingerprint
from napari_unet3d.data.volumes import read_channels
from napari_unet3d.errors import UserError

_SIDE = 8  # voxels; edge of the boxes that are compared, placed at half this distance
_LEAST_VALUES = 16  # different intensities in such a box; with fewer, boxes may be equal by chance
_MOST_VOXELS = 2**24  # hashed at once
_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)  # odd, of the axes z, y, x
_TABLE_BITS = 20


def shares_content(sample: Sample, image: NDArray[Any]) -> bool:
    """Return whether an image contains the annotated part of a volume, completely or partly.

    Boxes of 8 × 8 × 8 voxels are searched for at every position of the image. A common part is found if it has at
    least 11 voxels along each axis, or the full length of one of the volumes. If a box has too few different
    intensities, boxes may be equal by chance, and only the whole annotated part is searched for. Rotated, resampled or
    rescaled images are not recognised.

    Parameters
    ----------
    sample : Sample
        A volume, such as a corrected one; its name is not compared.
    image : ndarray of real numbers, shape (z, y, x) or (channel, z, y, x)
        Intensities of any number type. Of several channels, one is enough; they are compared in their order, or each
        with each if the numbers differ.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 255, (16, 16, 16))
    >>> shares_content(Sample("crop", image[2:14, 2:14, 2:14]), image)
    True
    >>> shares_content(Sample("other", image[::-1]), image)
    False
    """
    box = whole_box(sample.shape) if sample.label_mask is None else bounding_box(sample.label_mask)
    if box is None:
        return False
    box = expand_to(box, (_SIDE,) * 3, sample.shape)
    annotated = None if sample.label_mask is None else sample.label_mask[box]
    own, others = sample.channels[(slice(None), *box)], image if image.ndim == 4 else image[None]
    pairs = zip(own, others, strict=True) if len(own) == len(others) else product(own, others)
    return any(_shares_part(part, annotated, other) for part, other in pairs)


def _shares_part(part: NDArray[Any], annotated: NDArray[np.bool_] | None, image: NDArray[Any]) -> bool:
    """Return whether an image contains boxes of a part of another one; see `shares_content`."""
    side = _smallest(part.shape, image.shape, (_SIDE,) * 3)
    sought = _hashes_of_boxes(part, annotated, side)
    if not sought.size and _smallest(part.shape, image.shape) == part.shape and part.min() < part.max():
        side = _smallest(part.shape)
        sought = np.concatenate([hashes.ravel() for _, hashes in _hashes(part, side)])
    return sought.size > 0 and _has_any(image, side, sought)


@dataclass(frozen=True, slots=True)
class TrainedContent:
    """The content of the training volumes of a dataset.

    Attributes
    ----------
    corrected : tuple of Sample
        Corrected volumes, which are parts of others.
    others : tuple of Fingerprint
        Fingerprints of all other volumes.
    """

    corrected: tuple[Sample, ...]
    others: tuple[Fingerprint, ...]

    def shows(self, image: NDArray[Any]) -> bool:
        """Return whether an image, one of its z-slices or a corrected part is in the training volumes.

        Parameters
        ----------
        image : ndarray of real numbers, shape (z, y, x) or (channel, z, y, x)
            Intensities with all channels of the file.
        """
        own = fingerprint(image)
        if any(own.volume == other.volume or own.slices & other.slices for other in self.others):
            return True
        return any(shares_content(sample, image) for sample in self.corrected)


def trained_content(dataset: Path) -> TrainedContent:
    """Read the content of the training volumes of a dataset, one volume at a time.

    Raises
    ------
    UserError
        If the folder is not a dataset, or a volume cannot be read.
    """
    corrected, others = [], []
    for pair in list_time_points(list_pairs(dataset, Subset.TRAIN)):
        if pair.label_mask is not None and provenance_file(pair.label_mask).exists():
            corrected.append(read_pair(pair))
        elif pair.is_complete and pair.image is not None:
            others.append(fingerprint(read_channels(pair.image, times_as_channels=True, time=pair.time).array))
    return TrainedContent(tuple(corrected), tuple(others))


def matching_test_volumes(dataset: Path, sample: Sample) -> tuple[str, ...]:
    """Return the names of the test volumes that contain the annotated part of a sample; see `shares_content`.

    Parameters
    ----------
    dataset : Path
        A dataset folder; one that does not exist has no test volumes.
    sample : Sample
        For example a corrected volume to train on.

    Raises
    ------
    UserError
        If a test volume cannot be read.
    """
    try:
        pairs = list_time_points(list_pairs(dataset, Subset.TEST))
    except UserError:
        return ()
    return tuple(
        pair.name
        for pair in pairs
        if pair.image
        and shares_content(sample, read_channels(pair.image, times_as_channels=True, time=pair.time).array)
    )


def _smallest(*shapes: Sequence[int]) -> Shape3D:
    z, y, x = (min(sides) for sides in zip(*shapes, strict=True))
    return z, y, x


def _hashes_of_boxes(image: NDArray[Any], annotated: NDArray[np.bool_] | None, side: Shape3D) -> NDArray[np.uint64]:
    """Compute hashes of boxes of an image, half an edge apart, with annotated voxels and enough different values."""
    every = tuple(slice(None, None, max(1, n // 2)) for n in side)
    found = [np.empty(0, np.uint64)]
    for z, hashes in _hashes(image, side):
        rows = slice(z, z + len(hashes) + side[0] - 1)
        wanted = np.ones(hashes[every].shape, bool)
        if annotated is not None:
            wanted &= sliding_window_view(annotated[rows], side)[every].any(axis=(3, 4, 5))
        boxes = sliding_window_view(image[rows], side)[every]
        for at in np.argwhere(wanted.any(axis=(1, 2)))[:, 0]:
            values = np.sort(boxes[at][wanted[at]].reshape(-1, prod(side)), axis=1)
            n_values = 1 + np.count_nonzero(values[:, 1:] != values[:, :-1], axis=1)
            found.append(hashes[every][at][wanted[at]][n_values >= _LEAST_VALUES])
    return np.concatenate(found)


def _has_any(image: NDArray[Any], side: Shape3D, sought: NDArray[np.uint64]) -> bool:
    """Return whether one of the hashes is that of a box at any position of an image."""
    shift = np.uint64(64 - _TABLE_BITS)
    table = np.zeros(2**_TABLE_BITS, bool)  # excludes most positions quickly
    table[sought >> shift] = True
    return any(bool(np.isin(hashes[table[hashes >> shift]], sought).any()) for _, hashes in _hashes(image, side))


def _hashes(image: NDArray[Any], side: Shape3D) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """Compute the hash of the box of a shape that starts at each voxel.

    Yields
    ------
    int and ndarray of uint64, shape (z, y, x)
        The first z of a slab, and the hashes of the boxes that start in it and end within the image.
    """
    n_rows = side[0] * max(1, _MOST_VOXELS // prod(image.shape[1:]) // side[0])
    for z in range(0, image.shape[0] - side[0] + 1, n_rows):
        values = image[z : z + n_rows + side[0] - 1].astype(np.float32) + np.float32(0)  # −0 and 0 are the same
        hashes = values.view(np.uint32).astype(np.uint64) * np.uint64(0x9FB21C651E98DF25)
        hashes ^= hashes >> np.uint64(28)
        for axis in range(3):
            hashes = np.moveaxis(_sums(np.moveaxis(hashes, axis, 0), side[axis], _FACTORS[axis]), 0, axis)
        yield z, hashes * np.uint64(_FACTORS[0])  # so that the upper bits differ, too


def _sums(values: NDArray[np.uint64], n: int, factor: int) -> NDArray[np.uint64]:
    """Compute sums of `n` consecutive values along the first axis, weighted by powers of a factor, modulo 2⁶⁴."""
    total, n_added = None, 0
    doubled, length = values, 1
    while True:
        if n & length:
            power = np.uint64(pow(factor, n_added, 2**64))
            added = doubled[n_added : n_added + len(values) - n + 1] * power
            total = added if total is None else total + added
            n_added += length
        if n_added == n:
            assert total is not None  # n is 1 or more
            return total
        doubled = doubled[:-length] + doubled[length:] * np.uint64(pow(factor, length, 2**64))
        length *= 2
