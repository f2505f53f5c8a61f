"""Intensity normalisation of one volume; the method is stored in the model and repeated at prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import Normalisation
from napari_unet3d.configs.training_enums import DEFAULT_PERCENTILES, Percentiles
from napari_unet3d.data.intensities import (
    CollectedIntensities,
    Intensities,
    IntensityStatistics,
    WholeIntensities,
    by_channel,
    clip_bounds,
    is_beyond,
    mean_and_std,
    percentiles_of,
    value_range,
)
from napari_unet3d.errors import UserError


@dataclass(frozen=True, slots=True)
class IntensityScale:
    """The normalisation of one volume: ``(value - shift) / scale``, after `clip`.

    Attributes
    ----------
    shift, scale : float
        The number that is subtracted, and the one that it is divided by.
    low, high : float
        Intensities that a volume with outliers is clipped to.
    """

    shift: float
    scale: float
    low: float = field(default=-math.inf, repr=False)
    high: float = field(default=math.inf, repr=False)

    def clip(self, image: NDArray[Any]) -> NDArray[Any]:
        """Clip outliers: an intensity of a hot pixel would change the statistics of the features around it.

        Parameters
        ----------
        image : ndarray of any real number type, shape (z, y, x)
            The volume or a part of it; not changed in place.

        Returns
        -------
        ndarray of the same type, shape (z, y, x)
            The same array if it has no outliers.
        """
        if not is_beyond(image, (self.low, self.high)):
            return image
        low, high = self.low, self.high
        if image.dtype.kind in "ui":
            limits = np.iinfo(image.dtype)
            low, high = max(int(limits.min), math.floor(low)), min(int(limits.max), math.ceil(high))
        clipped: NDArray[Any] = np.clip(image, image.dtype.type(low), image.dtype.type(high))
        return clipped

    def apply(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Normalise the volume or a part of it, whose outliers were clipped.

        Parameters
        ----------
        image : ndarray of any real number type, shape (z, y, x)
            Intensities; not changed in place.

        Returns
        -------
        ndarray of float32, shape (z, y, x)
            A new array.
        """
        if image.dtype.kind in "ui" and image.dtype.itemsize <= 2:
            narrow: NDArray[np.float32] = np.subtract(image, np.float32(self.shift), dtype=np.float32)
            narrow *= np.float32(1 / self.scale)
            return narrow
        # Slice by slice in float64: large integers keep their differences, and there is no float64 copy of the volume.
        result = np.empty(image.shape, dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for plane, normalised in zip(image, result, strict=True):
                normalised[...] = (plane.astype(np.float64) - self.shift) / self.scale
        return result

    def apply_on_device(self, image: torch.Tensor) -> torch.Tensor:
        """Normalise on the device of a tensor, as `apply` does; types wider than 16 bits need float64 on the device."""
        if not image.dtype.is_floating_point and image.dtype is not torch.bool and image.dtype.itemsize <= 2:
            # Rounded to float32 as in numpy: torch would use the Python numbers in double precision.
            shift, factor = float(np.float32(self.shift)), float(np.float32(1 / self.scale))
            return image.to(torch.float32).sub_(shift).mul_(factor)
        # Divided by a tensor: CUDA would multiply by the reciprocal of a Python number, which may round differently.
        scale = torch.full((), self.scale, dtype=torch.float64, device=image.device)
        return image.to(torch.float64, copy=True).sub_(self.shift).div_(scale).to(torch.float32)


def fit_scale(
    image: NDArray[Any] | CollectedIntensities,
    method: Normalisation,
    percentiles: Percentiles = DEFAULT_PERCENTILES,
    whole: IntensityStatistics | None = None,
) -> IntensityScale:
    """Compute the normalisation of one volume.

    Parameters
    ----------
    image : ndarray of any real number type, shape (z, y, x), or CollectedIntensities
        Finite intensities, or what was collected of a volume that was read part by part.
    method : Normalisation
        - z-score: mean 0 and standard deviation 1, without outliers, which are clipped (see `clip_bounds`).
        - percentile: the lower percentile becomes 0 and the upper one 1; values beyond them are not clipped, apart from
          outliers. If the two are equal, as in a volume with very few bright voxels, min-max is used.
        - min-max: the minimum becomes 0 and the maximum 1.
        - none: the values stay as they are.
    percentiles : tuple of float
        The percentiles, from 0 to 100. With 0 and 100, there are no outliers.
    whole : IntensityStatistics, optional
        Statistics of the volume that the image is a part of, which is normalised by these.

    Returns
    -------
    IntensityScale
        It maps a constant volume to 0, except with none.

    Raises
    ------
    UserError
        If the values are too large for a finite float32 result.

    Examples
    --------
    >>> fit_scale(np.array([[[10, 20, 30]]]), Normalisation.MIN_MAX)
    IntensityScale(shift=10.0, scale=20.0)
    """
    source: Intensities = image if whole is None else whole
    is_robust = method in (Normalisation.Z_SCORE, Normalisation.PERCENTILE)
    with np.errstate(over="ignore", invalid="ignore"):
        bounds = clip_bounds(source, percentiles) if is_robust else (-math.inf, math.inf)
        shift, scale = _shift_and_scale(source, method, percentiles, bounds)
        low, high = value_range(image)
        normalised = (np.clip([low, high], *bounds) - shift) / (scale or 1.0)
    if not (np.isfinite(scale) and (np.abs(normalised) <= np.finfo(np.float32).max).all()):
        raise UserError(
            f"The intensities range from {low:g} to {high:g}, which is too wide for the normalisation {method.value}. "
            "Replace fill values by ordinary intensities first."
        )
    return IntensityScale(shift, scale or 1.0, *bounds)


def fit_scales(
    channels: NDArray[Any],
    method: Normalisation,
    percentiles: Percentiles = DEFAULT_PERCENTILES,
    whole: WholeIntensities | None = None,
) -> tuple[IntensityScale, ...]:
    """Compute the normalisation of each channel of a volume (channel, z, y, x) by itself; see `fit_scale`."""
    parts = zip(channels, by_channel(whole, len(channels)), strict=True)
    return tuple(fit_scale(channel, method, percentiles, own) for channel, own in parts)


def clip_outliers(channels: NDArray[Any], scales: Sequence[IntensityScale]) -> NDArray[Any]:
    """Clip the outliers of each channel; return the same array (channel, z, y, x) if it has none."""
    parts = [(channel, scale.clip(channel)) for channel, scale in zip(channels, scales, strict=True)]
    if all(clipped is channel for channel, clipped in parts):
        return channels
    return np.stack([clipped for _, clipped in parts])


def apply_scales(channels: NDArray[Any], scales: Sequence[IntensityScale]) -> NDArray[np.float32]:
    """Normalise each channel of a volume, or of a part of it, whose outliers were clipped.

    Parameters
    ----------
    channels : ndarray of any real number type, shape (channel, z, y, x)
        Intensities; not changed in place.
    scales : sequence of IntensityScale
        Their normalisations.

    Returns
    -------
    ndarray of float32, shape (channel, z, y, x)
        A new array.
    """
    parts = [scale.apply(channel) for channel, scale in zip(channels, scales, strict=True)]
    return parts[0][None] if len(parts) == 1 else np.stack(parts)


def normalise(
    image: NDArray[Any], method: Normalisation, percentiles: Percentiles = DEFAULT_PERCENTILES
) -> NDArray[np.float32]:
    """Normalise the intensities of one volume, each channel by itself; see `fit_scale`.

    Parameters
    ----------
    image : ndarray of any real number type, shape (z, y, x) or (channel, z, y, x)
        Intensities; not changed in place.
    method : Normalisation
        See `fit_scale`.

    Returns
    -------
    ndarray of float32, of the same shape
        A new array.

    Raises
    ------
    UserError
        As `fit_scale`.

    Examples
    --------
    >>> normalise(np.array([[[10, 20, 30]]], dtype=np.uint8), Normalisation.MIN_MAX)
    array([[[0. , 0.5, 1. ]]], dtype=float32)
    """
    if image.ndim == 4:
        scales = fit_scales(image, method, percentiles)
        return apply_scales(clip_outliers(image, scales), scales)
    scale = fit_scale(image, method, percentiles)
    return scale.apply(scale.clip(image))


def _shift_and_scale(
    source: Intensities, method: Normalisation, percentiles: Percentiles, bounds: tuple[float, float]
) -> tuple[float, float]:
    match method:
        case Normalisation.Z_SCORE:
            return mean_and_std(source, bounds if is_beyond(source, bounds) else None)
        case Normalisation.PERCENTILE:
            low, high = percentiles_of(source, percentiles)
            return (low, high - low) if high > low else _minimum_and_range(source)
        case Normalisation.MIN_MAX:
            return _minimum_and_range(source)
        case Normalisation.NONE:
            return 0.0, 1.0


def _minimum_and_range(source: Intensities) -> tuple[float, float]:
    low, high = value_range(source)
    return low, high - low
