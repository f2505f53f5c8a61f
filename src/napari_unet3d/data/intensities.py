"""Robust statistics of intensities: percentiles, and the bounds beyond which normalisation leaves voxels out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat

from napari_unet3d.configs.training_enums import DEFAULT_PERCENTILES, Percentiles
from napari_unet3d.data.lazy_array import remembered

# Distances from the percentiles in units of the distance between them.
_SPANS_TO_OUTLIERS, _SPANS_TO_CLIP = 2.0, 0.5
_MAX_SORTED = 2**22  # values of a large volume that are sorted; more would not change its percentiles visibly
_TAIL = (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10, 15, 20)
_LEVELS = (*_TAIL, 25, 30, 40, 50, 60, 70, 75, *(100 - level for level in reversed(_TAIL)))
# Where nearly all voxels have one value, as in an image of few objects on a background of zeros.
_WIDER: tuple[Percentiles, ...] = ((0.05, 99.95), (0.02, 99.98), (0.01, 99.99), (0, 100))


class IntensityStatistics(BaseModel):
    """Intensities of a whole volume, by which parts of it are normalised; saved with corrected volumes.

    Attributes
    ----------
    minimum, maximum, mean, std : float
        Of all voxels.
    inner_mean, inner_std : float
        Within `clip_bounds`.
    levels, values : tuple of float
        Percentiles: numbers from 0 to 100 in ascending order, and the intensity at each.
    """

    model_config = ConfigDict(frozen=True)

    minimum: FiniteFloat
    maximum: FiniteFloat
    mean: FiniteFloat
    std: FiniteFloat
    inner_mean: FiniteFloat
    inner_std: FiniteFloat
    levels: tuple[FiniteFloat, ...]
    values: tuple[FiniteFloat, ...]


WholeIntensities = IntensityStatistics | tuple[IntensityStatistics, ...]
"""Intensities of a whole volume; of several channels, one for each."""


class CollectedIntensities(ABC):
    """The intensities of a volume that was read part by part; see `collected_intensities`."""

    @abstractmethod
    def value_range(self) -> tuple[float, float]:
        """Return the minimum and the maximum."""

    @abstractmethod
    def mean_and_std(self, bounds: tuple[float, float] | None = None) -> tuple[float, float]:
        """Return mean and standard deviation of all intensities, or of those within bounds."""

    @abstractmethod
    def percentiles(self, levels: Sequence[float]) -> list[float]:
        """Return percentiles between 0 and 100, both excluded."""


Intensities = NDArray[Any] | IntensityStatistics | CollectedIntensities
"""A volume of any real number type, shape (z, y, x), the statistics of one, or what was collected of its parts."""


def by_channel(whole: WholeIntensities | None, n_channels: int) -> tuple[IntensityStatistics | None, ...]:
    """Return the intensities of each channel; None for each if they are not known, or those of other channels."""
    known = () if whole is None else (whole,) if isinstance(whole, IntensityStatistics) else whole
    return known if len(known) == n_channels else (None,) * n_channels


def compute_whole_intensities(image: NDArray[Any]) -> WholeIntensities:
    """Compute the statistics of an image (z, y, x), or those of each channel of (channel, z, y, x)."""
    return compute_intensities(image) if image.ndim == 3 else tuple(map(compute_intensities, image))


def compute_intensities(image: NDArray[Any]) -> IntensityStatistics:
    """Compute the statistics by which parts of a volume are normalised.

    Parameters
    ----------
    image : ndarray of any real number type, shape (z, y, x)
        The whole volume, with finite intensities.
    """
    mean, std = mean_and_std(image)
    bounds = clip_bounds(image)
    inner_mean, inner_std = mean_and_std(image, bounds) if is_beyond(image, bounds) else (mean, std)
    values = percentiles_of(image, _LEVELS)
    return IntensityStatistics(
        minimum=values[0],
        maximum=values[-1],
        mean=mean,
        std=std,
        inner_mean=inner_mean,
        inner_std=inner_std,
        levels=_LEVELS,
        values=tuple(values),
    )


def value_range(intensities: Intensities) -> tuple[float, float]:
    """Return the minimum and the maximum."""
    if isinstance(intensities, IntensityStatistics):
        return intensities.minimum, intensities.maximum
    if isinstance(intensities, CollectedIntensities):
        return intensities.value_range()
    return float(intensities.min()), float(intensities.max())


def mean_and_std(intensities: Intensities, bounds: tuple[float, float] | None = None) -> tuple[float, float]:
    """Return mean and standard deviation.

    Parameters
    ----------
    intensities : ndarray, shape (z, y, x), or IntensityStatistics
        A volume, or its statistics.
    bounds : tuple of float, optional
        Intensities beyond are left out; statistics have this for outliers only.
    """
    if isinstance(intensities, IntensityStatistics):
        return (
            (intensities.mean, intensities.std) if bounds is None else (intensities.inner_mean, intensities.inner_std)
        )
    low, high = value_range(intensities)
    if low != high and isinstance(intensities, CollectedIntensities):
        return intensities.mean_and_std(bounds)
    if low == high or isinstance(intensities, CollectedIntensities):
        return low, 0.0  # the mean of equal values may be off by a rounding error, which dividing would amplify
    return remembered(("mean and std", bounds), intensities, lambda image: _mean_and_std(image, bounds))


def _mean_and_std(intensities: NDArray[Any], bounds: tuple[float, float] | None) -> tuple[float, float]:
    n_voxels, total = 0, 0.0
    for plane in _planes(intensities, bounds):
        n_voxels += plane.size
        total += float(plane.sum(dtype=np.float64))
    mean = total / n_voxels
    # Deviations are squared in a second pass: the mean of squares minus the squared mean loses all precision
    # when the values are far from 0.
    squares = sum(float(np.square(plane.astype(np.float64) - mean).sum()) for plane in _planes(intensities, bounds))
    return mean, float(np.sqrt(squares / n_voxels))


def _planes(image: NDArray[Any], bounds: tuple[float, float] | None) -> Iterator[NDArray[Any]]:
    for plane in image:
        yield plane if bounds is None else plane[(plane >= bounds[0]) & (plane <= bounds[1])]


def percentiles_of(intensities: Intensities, levels: Sequence[float]) -> list[float]:
    """Return percentiles.

    A percentile is the intensity of a voxel, beyond which there are as many voxels as the level allows: 0.1 % of 5000
    are 5. Those of very large volumes that are not of 8 or 16 bits are estimated from evenly spaced voxels.

    Parameters
    ----------
    intensities : ndarray, shape (z, y, x), or IntensityStatistics
        A volume, or its statistics; these interpolate between the levels that they have.
    levels : sequence of float
        From 0 to 100.

    Examples
    --------
    >>> percentiles_of(np.arange(12).reshape(2, 2, 3), (0, 10, 90, 100))
    [0.0, 1.0, 10.0, 11.0]
    """
    if isinstance(intensities, IntensityStatistics):
        return [float(value) for value in np.interp(levels, intensities.levels, intensities.values)]
    if isinstance(intensities, CollectedIntensities):
        inner = intensities.percentiles(levels)
    else:
        of = _of_histogram if is_narrow(intensities.dtype) else _of_sorted
        inner = of(intensities, levels)
    ends: dict[float, float] = dict(zip((0.0, 100.0), value_range(intensities), strict=True))
    return [ends.get(level, value) for level, value in zip(levels, inner, strict=True)]


def is_narrow(dtype: np.dtype[Any]) -> bool:
    """Return whether a volume of a type has few enough possible values to count each of them."""
    return dtype.kind in "bui" and dtype.itemsize <= 2


def rank_of(level: float, n_values: int) -> int:
    """Return the rank of a percentile: so many voxels are beyond it as the level allows, none in a tiny volume."""
    n_beyond = int(min(level, 100 - level) / 100 * n_values + 1e-9)
    return min(n_beyond, n_values - 1) if level < 50 else max(0, n_values - 1 - n_beyond)


def possible_values(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the smallest value of an integer or boolean type, and the number of its values.

    >>> possible_values(np.dtype(np.int8))
    (-128, 256)
    """
    first = int(np.iinfo(dtype).min) if dtype.kind == "i" else 0
    return first, 2 if dtype.kind == "b" else 2 ** (8 * dtype.itemsize)


def _of_histogram(image: NDArray[Any], levels: Sequence[float]) -> list[float]:
    first, _ = possible_values(image.dtype)
    counts = remembered("histogram", image, _count_intensities)
    ranks = [rank_of(level, image.size) for level in levels]
    return [float(first + place) for place in np.searchsorted(np.cumsum(counts), ranks, side="right")]


def _count_intensities(image: NDArray[Any]) -> NDArray[np.int64]:
    first, n_values = possible_values(image.dtype)
    counts = np.zeros(n_values, np.int64)
    for plane in image:
        counts += np.bincount(plane.ravel().astype(np.intp) - first, minlength=n_values)
    return counts


def _of_sorted(image: NDArray[Any], levels: Sequence[float]) -> list[float]:
    values = remembered("sorted", image, _sort_some)
    return [float(values[rank_of(level, values.size)]) for level in levels]


def _sort_some(image: NDArray[Any]) -> NDArray[Any]:
    step = sampling_step(image.size)
    return np.sort(np.concatenate([plane.ravel()[::step] for plane in image]))


def sampling_step(n_voxels: int) -> int:
    """Return the step between the voxels of a slice that percentiles are estimated from; 1 for all of them."""
    step = -(-n_voxels // _MAX_SORTED)
    return step + (step > 1 and step % 2 == 0)  # an even step may meet the same columns in every row


def outlier_bounds(intensities: Intensities, percentiles: Percentiles = DEFAULT_PERCENTILES) -> tuple[float, float]:
    """Return the intensities beyond which voxels are outliers.

    They are farther from the percentiles than twice the distance between both. So they are rare, and too far away to be
    the brightest or darkest part of ordinary structures.

    Parameters
    ----------
    intensities : ndarray, shape (z, y, x), or IntensityStatistics
        A volume, or its statistics.
    percentiles : tuple of float
        The lower and the upper percentile, from 0 to 100; with 0 and 100, there are no outliers.
    """
    return beyond_range(usual_range(intensities, percentiles), _SPANS_TO_OUTLIERS)


def clip_bounds(intensities: Intensities, percentiles: Percentiles = DEFAULT_PERCENTILES) -> tuple[float, float]:
    """Return the intensities that a volume with outliers is clipped to; infinite ones if it has none.

    They are closer than outliers are: at `outlier_bounds`, a few hot pixels still change what a network finds around
    them, and here they do not. A volume without outliers stays as it is.

    Parameters
    ----------
    intensities, percentiles
        As of `outlier_bounds`.
    """
    usual = usual_range(intensities, percentiles)
    has_outliers = is_beyond(intensities, beyond_range(usual, _SPANS_TO_OUTLIERS))
    return beyond_range(usual, _SPANS_TO_CLIP) if has_outliers else (-math.inf, math.inf)


def beyond_range(usual: tuple[float, float], n_spans: float) -> tuple[float, float]:
    """Return a range that is wider at both ends by a multiple of its length."""
    low, high = usual
    return low - n_spans * (high - low), high + n_spans * (high - low)


def usual_range(intensities: Intensities, percentiles: Percentiles = DEFAULT_PERCENTILES) -> tuple[float, float]:
    """Return two percentiles, or if they are equal, the first wider ones that are not."""
    wider = [pair for pair in _WIDER if pair[0] <= percentiles[0] and pair[1] >= percentiles[1]]
    pairs = [percentiles, *wider]
    found = percentiles_of(intensities, [level for pair in pairs for level in pair])
    ranges = list(zip(found[::2], found[1::2], strict=True))
    return next((pair for pair in ranges if pair[0] < pair[1]), ranges[-1])


def is_beyond(intensities: Intensities, bounds: tuple[float, float]) -> bool:
    """Return whether any intensity is beyond bounds."""
    low, high = value_range(intensities)
    return low < bounds[0] or high > bounds[1]
