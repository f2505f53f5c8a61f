"""Voxels with intensities far outside the range of the others: hot and dead pixels, and what to do about them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs.training_enums import DEFAULT_PERCENTILES, Normalisation, Percentiles
from napari_unet3d.data.intensities import (
    Intensities,
    IntensityStatistics,
    WholeIntensities,
    beyond_range,
    by_channel,
    clip_bounds,
    is_beyond,
    outlier_bounds,
    usual_range,
    value_range,
)
from napari_unet3d.data.lazy_array import is_lazy

# Defective voxels that are too many for the default percentiles: outside most others by several times their range.
_MOST: Percentiles = (5, 95)
_SPANS_FROM_MOST = 4.0
_MAX_DEFECTIVE = 0.05
_MOSTLY_STUCK, _MOSTLY_THIN = 0.9, 0.6  # neighbouring columns are not thin
_SATURATED = [2**n_bits - 1 for n_bits in (8, 10, 12, 14, 16, 24, 32)]


@dataclass(frozen=True, slots=True)
class Outliers:
    """Intensities far outside the range of the others.

    Attributes
    ----------
    n_voxels : int
        How many voxels have them.
    n_total : int
        The number of voxels of the volume.
    extreme : float
        The one that is farthest outside.
    usual_range : tuple of float
        The percentiles, between which nearly all other intensities are.
    bounds : tuple of float
        The intensities that they are clipped to.
    remedy : tuple of float, or None
        Percentiles with which they would be clipped, for voxels that seem to be defective and are too many to be
        outliers by the percentiles that are set. None for outliers, which are clipped.
    """

    n_voxels: int
    extreme: float
    usual_range: tuple[float, float]
    bounds: tuple[float, float]
    n_total: int
    remedy: Percentiles | None = None


def find_outliers(
    image: NDArray[Any], percentiles: Percentiles = DEFAULT_PERCENTILES, whole: IntensityStatistics | None = None
) -> Outliers | None:
    """Return the outliers of a volume, or else what `find_defects` finds; None if it has none.

    Parameters
    ----------
    image : ndarray of any real number type, shape (z, y, x)
        Intensities.
    percentiles : tuple of float
        See `intensities.outlier_bounds`.
    whole : IntensityStatistics, optional
        Statistics of the volume that the image is a part of, which then decide.

    Examples
    --------
    >>> image = np.arange(1000).reshape(10, 10, 10) % 50
    >>> find_outliers(image) is None
    True
    >>> image[1, 2, 3] = 65535
    >>> outliers = find_outliers(image)
    >>> outliers.n_voxels, outliers.extreme, outliers.bounds
    (1, 65535.0, (-24.5, 73.5))
    """
    source: Intensities = image if whole is None else whole
    low, high = outlier_bounds(source, percentiles)
    if not is_beyond(image, (low, high)):
        return find_defects(image, percentiles) if whole is None and not is_lazy(image) else None
    lowest, highest = value_range(image)
    return Outliers(
        n_voxels=sum(int(np.count_nonzero((plane < low) | (plane > high))) for plane in image),
        n_total=image.size,
        extreme=highest if highest - high >= low - lowest else lowest,
        usual_range=usual_range(source, percentiles),
        bounds=clip_bounds(source, percentiles),
    )


def find_defects(image: NDArray[Any], percentiles: Percentiles = DEFAULT_PERCENTILES) -> Outliers | None:
    """Return voxels that look like hot or dead pixels, but are too many to be outliers by the percentiles.

    These are up to 5 % of the voxels, far brighter or far darker than most others. They have the largest or smallest
    value that a camera can store, or are only one voxel wide across, as single pixels and columns of a camera are.
    Structures are wider, and not as bright as that without intermediate intensities at their surface.

    Parameters
    ----------
    image, percentiles
        As of `find_outliers`; nothing is found with the percentiles 0 and 100, which keep all intensities.

    Examples
    --------
    >>> image = np.arange(8000).reshape(20, 20, 20) % 47
    >>> image[:, 3, ::4] = 65535
    >>> defects = find_defects(image)
    >>> defects.n_voxels, defects.remedy
    (100, (0.1, 97.5))
    """
    usual = usual_range(image, _MOST)
    low, high = beyond_range(usual, _SPANS_FROM_MOST)
    if percentiles == (0.0, 100.0) or not is_beyond(image, (low, high)):
        return None
    for is_bright, extreme in zip((True, False), value_range(image)[::-1], strict=True):
        is_outside = image > high if is_bright else image < low
        n_outside = int(np.count_nonzero(is_outside))
        if not 0 < n_outside <= _MAX_DEFECTIVE * image.size:
            continue
        is_end = extreme in _SATURATED if is_bright else extreme == 0
        if image.dtype.kind in "ui":
            is_end |= extreme == (np.iinfo(image.dtype).max if is_bright else np.iinfo(image.dtype).min)
        is_stuck = is_end and np.count_nonzero(image == extreme) >= _MOSTLY_STUCK * n_outside
        if is_stuck or _n_thin(is_outside) >= _MOSTLY_THIN * n_outside:
            left_out = math.ceil(20 * 100 * n_outside / image.size) / 10  # twice their share in %
            remedy = (percentiles[0], 100 - left_out) if is_bright else (left_out, percentiles[1])
            return Outliers(n_outside, extreme, usual, (-math.inf, math.inf), image.size, remedy)
    return None


def _n_thin(mask: NDArray[np.bool_]) -> int:
    """Return the number of voxels with neighbours along one axis at most: single ones, and those of lines."""
    n_axes = np.zeros(mask.shape, np.uint8)
    for axis in range(mask.ndim):
        along = np.moveaxis(mask, axis, 0)
        has_neighbour = np.zeros_like(along)
        has_neighbour[1:] |= along[:-1]
        has_neighbour[:-1] |= along[1:]
        np.moveaxis(n_axes, axis, 0)[...] += has_neighbour
    return int(np.count_nonzero(mask & (n_axes <= 1)))


def named_outliers(
    name: str,
    channels: NDArray[Any],
    channel_names: Sequence[str],
    percentiles: Percentiles = DEFAULT_PERCENTILES,
    whole: WholeIntensities | None = None,
) -> Iterator[tuple[str, Outliers]]:
    """Yield the outliers of each channel that has some, with the name of the volume and, of several, the channel.

    Parameters
    ----------
    name : str
        Name of the volume.
    channels : ndarray of any real number type, shape (channel, z, y, x)
        Intensities.
    channel_names : sequence of str
        Names of the channels; they only matter if there are several.
    percentiles, whole
        As of `find_outliers`.
    """
    for number, (channel, own) in enumerate(zip(channels, by_channel(whole, len(channels)), strict=True)):
        if (found := find_outliers(channel, percentiles, own)) is not None:
            yield (f"{name} {channel_names[number]}" if len(channels) > 1 else name), found


def describe_outliers(name: str, outliers: Outliers, method: Normalisation) -> str:
    """Return the message for a volume with outliers: how far outside they are, what becomes of them, and what to do.

    Parameters
    ----------
    name : str
        Name of the volume.
    outliers : Outliers
        What was found.
    method : Normalisation
        How it is normalised.
    """
    if outliers.remedy is not None:
        return _describe_defects(name, outliers, outliers.remedy, method)
    one = outliers.n_voxels == 1
    (low, high), (lowest, highest) = outliers.usual_range, outliers.bounds
    is_bright = outliers.extreme > highest
    found = (
        f"{outliers.n_voxels:,} voxel{'' if one else 's'} of '{name}' {'is' if one else 'are'} far outside the range "
        f"of the others: {'up' if is_bright else 'down'} to {outliers.extreme:g}, while nearly all are from {low:g} to "
        f"{high:g}."
    )
    if method in (Normalisation.Z_SCORE, Normalisation.PERCENTILE):
        return (
            f"{found} {'It is' if one else 'They are'} clipped to {highest if is_bright else lowest:g}, as hot pixels "
            f"should be. If {'it is' if one else 'they are'} part of a structure, set the percentiles to 0 and 100."
        )
    return (
        f"{found} With the normalisation {method.value}, {'it changes' if one else 'they change'} the result. Set the "
        f"normalisation to z-score or percentile, or replace {'it' if one else 'them'}, for example by a median filter."
    )


def _describe_defects(name: str, defects: Outliers, remedy: Percentiles, method: Normalisation) -> str:
    low, high = defects.usual_range
    is_bright = defects.extreme > high
    is_robust = method in (Normalisation.Z_SCORE, Normalisation.PERCENTILE)
    and_method = "" if is_robust else " and the normalisation to z-score or percentile"
    kind, way = ("hot pixels", "up") if is_bright else ("dead pixels or fill values", "down")
    return (
        f"{defects.n_voxels:,} voxels ({100 * defects.n_voxels / defects.n_total:.2g} %) of '{name}' look like {kind}: "
        f"they go {way} to {defects.extreme:g}, while most are from {low:g} to {high:g}. They are too many to be left "
        "out of the normalisation and change it. Replace them, for example by a median filter, or set the percentiles "
        f"to {remedy[0]:g} and {remedy[1]:g}{and_method}. If they are part of a structure, all is well."
    )
