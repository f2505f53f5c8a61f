"""What is remembered of a volume that was read for a check, so that only one is in memory at a time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.ground_truth import is_foreground
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample, Shape3D, VoxelSize


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Hashes by which equal volumes and equal slices are found.

    Attributes
    ----------
    volume : bytes
        Of shape and grey values.
    slices : frozenset of bytes
        Of the z-slices that hold more than one grey value.
    """

    volume: bytes
    slices: frozenset[bytes]


def fingerprint(image: NDArray[Any]) -> Fingerprint:
    """Hash a volume; the number type does not count, so that a converted copy is still found.

    Parameters
    ----------
    image : ndarray of any real number type, shape (z, y, x)
        Grey values.
    """
    slices = []
    volume = hashlib.blake2b(repr(image.shape).encode())
    for plane in image:
        values = plane.astype(np.float64) + 0.0  # −0 and 0 are the same grey value
        digest = hashlib.blake2b(values.tobytes(), digest_size=16).digest()
        volume.update(digest)
        if values.size and values.min() < values.max():
            slices.append(digest)
    return Fingerprint(volume.digest(), frozenset(slices))


@dataclass(frozen=True, slots=True)
class VolumeStatistics:
    """What a check knows of one volume.

    Attributes
    ----------
    name : str
        What the volume is called.
    part : Part
        Train or test.
    shape : tuple of int
        Number of voxels along z, y, x.
    voxel_size_um : tuple of float
        Size of a voxel along z, y, x in µm.
    fingerprint : Fingerprint
        Of the image.
    intensity_range : tuple of float
        Smallest and largest grey value.
    intensity_mean : float
        Their mean.
    label_counts : mapping of int to int
        How many voxels each label value has; empty without labels. What a mask leaves out is not counted.
    single_slice_fraction : float
        Part of the voxels with a label that have none on both sides along one axis at least: nearly all of them
        where single slices are painted, few where objects are labelled whole.
    n_masked : int
        Voxels that a mask leaves out, so that they are not annotated whatever their label.
    origin : Provenance or None
        The volume that it is a corrected part of.
    """

    name: str
    subset: Subset
    shape: Shape3D
    voxel_size_um: VoxelSize
    fingerprint: Fingerprint
    intensity_range: tuple[float, float]
    intensity_mean: float
    label_counts: Mapping[int, int]
    single_slice_fraction: float
    n_masked: int = 0
    provenance: Provenance | None = None

    def n_foreground(self, ignore_label: int | None) -> int:
        """Count the voxels of foreground."""
        return sum(count for value, count in self.label_counts.items() if is_foreground(value, ignore_label))


def compute_statistics(sample: Sample, subset: Subset = Subset.TRAIN) -> VolumeStatistics:
    """Gather what checks need of a volume, slice by slice."""
    image, labels, mask = sample.image, sample.labels, sample.label_mask
    return VolumeStatistics(
        name=sample.name,
        subset=subset,
        shape=sample.shape,
        voxel_size_um=sample.voxel_size_um,
        fingerprint=fingerprint(image),
        intensity_range=(float(image.min()), float(image.max())),
        intensity_mean=sum(float(plane.mean(dtype=np.float64)) for plane in image) / len(image),
        label_counts={} if labels is None else count_values(labels, mask),
        # Of what a mask cuts out nothing can be told.
        single_slice_fraction=0.0 if labels is None or mask is not None else _single_slice_fraction(labels),
        n_masked=0 if mask is None else mask.size - sum(int(np.count_nonzero(plane)) for plane in mask),
        provenance=sample.provenance,
    )


def total_label_counts(volumes: Iterable[VolumeStatistics]) -> Counter[int]:
    """Count how many voxels of all volumes together each label value has."""
    counts: Counter[int] = Counter()
    for volume in volumes:
        counts.update(volume.label_counts)
    return counts


def count_values(labels: NDArray[Any], annotated: NDArray[np.bool_] | None = None) -> dict[int, int]:
    """Count how often each value occurs.

    Parameters
    ----------
    labels : ndarray of integers or bool, shape (z, y, x)
        Labels.
    annotated : ndarray of bool, shape (z, y, x), optional
        Which voxels count; all without it.

    Returns
    -------
    dict of int to int
        In ascending order of the values.
    """
    counts: Counter[int] = Counter()
    for z, plane in enumerate(labels):
        values, numbers = np.unique(plane if annotated is None else plane[annotated[z]], return_counts=True)
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
