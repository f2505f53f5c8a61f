"""Statistics of the intensities of a volume that is read part by part, the same as those of the whole volume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs.training_enums import Percentiles
from napari_unet3d.data.boxes import Box
from napari_unet3d.data.intensities import (
    CollectedIntensities,
    clip_bounds,
    is_narrow,
    outlier_bounds,
    possible_values,
    rank_of,
    sampling_step,
    usual_range,
    value_range,
)
from napari_unet3d.data.outliers import Outliers
from napari_unet3d.data.sample import Shape3D


class Histogram(CollectedIntensities):
    """How often each value of an 8-bit or 16-bit integer type occurs; all statistics are exact.

    Parameters
    ----------
    dtype : dtype
        The type.

    Examples
    --------
    >>> histogram = Histogram(np.dtype(np.uint8))
    >>> histogram.add(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    >>> histogram.value_range(), histogram.percentiles([10, 90])
    ((0.0, 11.0), [1.0, 10.0])
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._first, n_values = possible_values(dtype)
        self._counts = np.zeros(n_values, np.int64)

    def add(self, part: NDArray[Any]) -> None:
        """Count the values of another part."""
        low = int(part.min())
        if low == part.max():
            self._counts[low - self._first] += part.size
            return
        for plane in part:
            self._counts += np.bincount(plane.ravel().astype(np.intp) - self._first, minlength=len(self._counts))

    def value_range(self) -> tuple[float, float]:
        """Return the minimum and the maximum."""
        there = np.flatnonzero(self._counts)
        return float(there[0] + self._first), float(there[-1] + self._first)

    def mean_and_std(self, bounds: tuple[float, float] | None = None) -> tuple[float, float]:
        """Return mean and standard deviation of all intensities, or of those within bounds."""
        there = np.flatnonzero(self._counts)
        values, counts = there + self._first, self._counts[there]
        if bounds is not None:
            is_inside = (values >= bounds[0]) & (values <= bounds[1])
            values, counts = values[is_inside], counts[is_inside]
        n_voxels = int(counts.sum())
        mean = sum(value * count for value, count in zip(values.tolist(), counts.tolist(), strict=True)) / n_voxels
        squares = float((counts * np.square(values - mean)).sum())
        return mean, math.sqrt(squares / n_voxels)

    def percentiles(self, levels: Sequence[float]) -> list[float]:
        """Return percentiles between 0 and 100."""
        sums = np.cumsum(self._counts)
        ranks = [rank_of(level, int(sums[-1])) for level in levels]
        return [float(self._first + place) for place in np.searchsorted(sums, ranks, side="right")]

    def n_beyond(self, bounds: tuple[float, float]) -> int:
        """Return the number of voxels beyond bounds."""
        values = np.arange(len(self._counts)) + self._first
        return int(self._counts[(values < bounds[0]) | (values > bounds[1])].sum())


class Moments:
    """Mean and standard deviation of values that come in parts, without loss of precision (Chan et al. 1979)."""

    def __init__(self) -> None:
        self._n, self._mean, self._squares = 0, 0.0, 0.0

    def add(self, values: NDArray[Any]) -> None:
        """Add values of any shape."""
        if not values.size:
            return
        mean = float(values.mean(dtype=np.float64))
        squares = float(np.square(values.astype(np.float64) - mean).sum())
        n_before, self._n = self._n, self._n + values.size
        difference = mean - self._mean
        self._mean += difference * values.size / self._n
        self._squares += squares + difference**2 * n_before * values.size / self._n

    def result(self) -> tuple[float, float]:
        """Return mean and standard deviation."""
        return self._mean, math.sqrt(self._squares / self._n)


class Samples(CollectedIntensities):
    """Intensities of types with many values: exact range, mean and deviation, and percentiles of evenly spaced voxels.

    The voxels for the percentiles are those that `intensities.percentiles_of` takes of the whole volume. Mean and
    deviation within bounds need a second pass, which is only necessary for a volume with outliers.

    Parameters
    ----------
    shape : tuple of int
        Shape (z, y, x) of the whole volume.
    """

    def __init__(self, shape: Shape3D) -> None:
        self._shape, self._step = shape, sampling_step(math.prod(shape))
        self._low, self._high = math.inf, -math.inf
        self._moments, self._parts = Moments(), list[NDArray[Any]]()
        self._sorted: NDArray[Any] | None = None
        self._bounds: tuple[float, float] | None = None
        self._inner, self._n_beyond = Moments(), 0

    def add(self, part: NDArray[Any], box: Box) -> None:
        """Add a part of the volume, at a box of it."""
        self._low, self._high = min(self._low, float(part.min())), max(self._high, float(part.max()))
        self._moments.add(part)
        y, x = (np.arange(side.start, side.stop) for side in box[1:])
        is_sampled = (y[:, None] * self._shape[2] + x) % self._step == 0
        self._parts.append(part[:, is_sampled].ravel())

    def begin_second_pass(self, bounds: tuple[float, float]) -> None:
        """Begin to collect mean and deviation within bounds."""
        self._bounds, self._inner, self._n_beyond = bounds, Moments(), 0

    def add_again(self, part: NDArray[Any], outliers: tuple[float, float]) -> None:
        """Add a part in the second pass, in which the voxels beyond the bounds of outliers are counted, too."""
        assert self._bounds is not None
        low, high = self._bounds
        self._inner.add(part[(part >= low) & (part <= high)])
        self._n_beyond += int(np.count_nonzero((part < outliers[0]) | (part > outliers[1])))

    def value_range(self) -> tuple[float, float]:
        """Return the minimum and the maximum."""
        return self._low, self._high

    def mean_and_std(self, bounds: tuple[float, float] | None = None) -> tuple[float, float]:
        """Return mean and standard deviation of all intensities, or of those within the bounds of the second pass."""
        if bounds is None:
            return self._moments.result()
        if bounds != self._bounds:
            raise ValueError(f"the second pass was made for {self._bounds}, not for {bounds}")
        return self._inner.result()

    def percentiles(self, levels: Sequence[float]) -> list[float]:
        """Return percentiles between 0 and 100."""
        if self._sorted is None:
            self._sorted = np.sort(np.concatenate(self._parts))
            self._parts.clear()
        return [float(self._sorted[rank_of(level, self._sorted.size)]) for level in levels]

    def n_beyond(self, bounds: tuple[float, float]) -> int:
        """Return the number of outliers, which the second pass has counted."""
        return self._n_beyond


def collect(dtype: np.dtype[Any], shape: Shape3D) -> Histogram | Samples:
    """Return what collects the intensities of a volume of a type."""
    return Histogram(dtype) if is_narrow(dtype) else Samples(shape)


def has_outliers(collected: CollectedIntensities, percentiles: Percentiles) -> bool:
    """Return whether any intensity is beyond the bounds of outliers."""
    (low, high), (lowest, highest) = value_range(collected), outlier_bounds(collected, percentiles)
    return low < lowest or high > highest


def outliers_of(collected: Histogram | Samples, n_total: int, percentiles: Percentiles) -> Outliers | None:
    """Return the outliers as `outliers.find_outliers` does; None if there are none.

    Parameters
    ----------
    collected : Histogram or Samples
        The intensities, after the second pass if one is needed.
    n_total : int
        Number of voxels of the volume.
    percentiles : tuple of float
        See `intensities.outlier_bounds`.
    """
    if not has_outliers(collected, percentiles):
        return None
    low, high = bounds = outlier_bounds(collected, percentiles)
    lowest, highest = value_range(collected)
    return Outliers(
        n_voxels=collected.n_beyond(bounds),
        n_total=n_total,
        extreme=highest if highest - high >= low - lowest else lowest,
        usual_range=usual_range(collected, percentiles),
        bounds=clip_bounds(collected, percentiles),
    )
