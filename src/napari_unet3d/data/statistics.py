"""Statistics of volumes for checks, so that only one volume is in memory at a time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs.training_enums import DEFAULT_PERCENTILES, Percentiles
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import is_foreground
from napari_unet3d.data.label_fit import label_doubts
from napari_unet3d.data.lazy_array import remembered
from napari_unet3d.data.outliers import Outliers, named_outliers
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample, Shape3D


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Hashes for finding equal volumes and slices.

    Attributes
    ----------
    volume : bytes
        Hash of shape and intensities.
    slices : frozenset of bytes
        Hashes of the z-slices that are not constant.
    """

    volume: bytes
    slices: frozenset[bytes]


def fingerprint(image: NDArray[Any]) -> Fingerprint:
    """Compute the fingerprint of a volume; it does not depend on the number type.

    Parameters
    ----------
    image : ndarray of any real number type, shape (z, y, x) or (channel, z, y, x)
        Intensities. A slice of several channels is equal to another one if all channels are.

    Examples
    --------
    >>> image = np.arange(24).reshape(2, 3, 4)
    >>> fingerprint(image) == fingerprint(image.astype(np.float32))
    True
    """
    return remembered("fingerprint", image, _fingerprint)


def _fingerprint(image: NDArray[Any]) -> Fingerprint:
    slices = []
    volume = hashlib.blake2b(repr(image.shape).encode())
    for z in range(image.shape[-3]):
        values = image[..., z, :, :].astype(np.float64) + 0.0  # −0 and 0 are the same intensity
        digest = hashlib.blake2b(values.tobytes(), digest_size=16).digest()
        volume.update(digest)
        if values.size and values.min() < values.max():
            slices.append(digest)
    return Fingerprint(volume.digest(), frozenset(slices))


@dataclass(frozen=True, slots=True)
class VolumeStatistics:
    """Statistics of one volume.

    Attributes
    ----------
    name : str
        Name of the volume.
    subset : Subset
        Train or test.
    shape : tuple of int
        Number of voxels along z, y, x.
    geometry : Geometry
        Voxel size and place.
    fingerprint : Fingerprint
        Fingerprint of the image.
    intensity_ranges : tuple of tuple of float
        Minimum and maximum intensity of each channel.
    intensity_means : tuple of float
        Mean intensity of each channel.
    label_counts : mapping of int to int
        Number of voxels of each label value within the mask; empty without labels.
    single_slice_fraction : float
        Fraction of the labelled voxels without labelled neighbours on both sides along at least one axis: nearly 1
        for labels in single slices, low for completely labelled objects.
    n_masked : int
        Number of voxels that the mask excludes.
    provenance : Provenance or None
        Provenance of a corrected volume.
    channel_names : tuple of str
        Names of the channels; empty for a single one without a name.
    outliers : tuple of (str, Outliers)
        Intensities far outside the range of the others, if there are any, of each channel that has some; named after
        the volume and, of several channels, the channel.
    label_doubts : tuple of str
        Messages if the labels hardly fit the image.
    """

    name: str
    subset: Subset
    shape: Shape3D
    geometry: Geometry
    fingerprint: Fingerprint
    intensity_ranges: tuple[tuple[float, float], ...]
    intensity_means: tuple[float, ...]
    label_counts: Mapping[int, int]
    single_slice_fraction: float
    n_masked: int = 0
    provenance: Provenance | None = None
    channel_names: tuple[str, ...] = ()
    outliers: tuple[tuple[str, Outliers], ...] = ()
    label_doubts: tuple[str, ...] = ()

    def n_foreground(self, ignore_label: int | None) -> int:
        """Return the number of foreground voxels."""
        return sum(count for value, count in self.label_counts.items() if is_foreground(value, ignore_label))


def compute_statistics(
    sample: Sample, subset: Subset = Subset.TRAIN, percentiles: Percentiles = DEFAULT_PERCENTILES
) -> VolumeStatistics:
    """Compute the statistics of a volume, slice by slice; the percentiles determine the outliers."""
    image, labels, mask = sample.image, sample.labels, sample.label_mask
    return VolumeStatistics(
        name=sample.name,
        subset=subset,
        shape=sample.shape,
        geometry=sample.geometry,
        fingerprint=fingerprint(image),
        intensity_ranges=tuple((float(channel.min()), float(channel.max())) for channel in sample.channels),
        intensity_means=tuple(remembered("mean", channel, _mean) for channel in sample.channels),
        label_counts={} if labels is None else count_values(labels, mask),
        # Unknown for the voxels that a mask excludes.
        single_slice_fraction=0.0
        if labels is None or mask is not None
        else remembered("single slices", labels, _single_slice_fraction),
        n_masked=0 if mask is None else mask.size - sum(int(np.count_nonzero(plane)) for plane in mask),
        provenance=sample.provenance,
        channel_names=sample.channel_names,
        outliers=tuple(
            named_outliers(sample.name, sample.channels, sample.channel_names, percentiles, sample.intensities)
        ),
        label_doubts=() if labels is None or mask is not None else label_doubts(sample.name, image, labels),
    )


def _mean(image: NDArray[Any]) -> float:
    return sum(float(plane.mean(dtype=np.float64)) for plane in image) / len(image)


def total_label_counts(volumes: Iterable[VolumeStatistics]) -> Counter[int]:
    """Return the number of voxels of each label value in all volumes together."""
    counts: Counter[int] = Counter()
    for volume in volumes:
        counts.update(volume.label_counts)
    return counts


def count_values(labels: NDArray[Any], label_mask: NDArray[np.bool_] | None = None) -> dict[int, int]:
    """Return the number of voxels of each label value.

    Parameters
    ----------
    labels : ndarray of integers or bool, shape (z, y, x)
        Labels.
    label_mask : ndarray of bool, shape (z, y, x), optional
        Which voxels to count; all without it.

    Returns
    -------
    dict of int to int
        In ascending order of the values.

    Examples
    --------
    >>> count_values(np.array([[[0, 2, 2]], [[0, 0, 7]]]))
    {0: 3, 2: 2, 7: 1}
    """
    if label_mask is None:
        return remembered("values", labels, _count_values)
    return _count_values(labels, label_mask)


def _count_values(labels: NDArray[Any], label_mask: NDArray[np.bool_] | None = None) -> dict[int, int]:
    counts: Counter[int] = Counter()
    is_narrow = labels.dtype.kind in "bu" and labels.dtype.itemsize <= 2
    for z, plane in enumerate(labels):
        known = plane.ravel() if label_mask is None else plane[label_mask[z]]
        if is_narrow:  # much faster than sorting
            numbers = np.bincount(known)
            values = np.flatnonzero(numbers)
            numbers = numbers[values]
        else:
            values, numbers = np.unique(known, return_counts=True)
        counts.update(dict(zip(map(int, values), map(int, numbers), strict=True)))
    return dict(sorted(counts.items()))


def _single_slice_fraction(labels: NDArray[Any]) -> float:
    n_thin = n_labelled = 0
    nothing = np.zeros(labels.shape[1:], dtype=bool)
    for z, plane in enumerate(labels):
        here = plane > 0
        n_here = int(np.count_nonzero(here))
        if not n_here:
            continue
        n_labelled += n_here
        above = labels[z - 1] > 0 if z > 0 else nothing
        below = labels[z + 1] > 0 if z + 1 < len(labels) else nothing
        padded = np.pad(here, 1)
        along_y = padded[:-2, 1:-1] | padded[2:, 1:-1]
        along_x = padded[1:-1, :-2] | padded[1:-1, 2:]
        n_thin += int(np.count_nonzero(here & ~(above | below) | here & ~along_y | here & ~along_x))
    return n_thin / n_labelled if n_labelled else 0.0
