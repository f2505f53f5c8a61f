"""Intensity normalisation of one volume; the method is stored in the model and repeated at prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import Normalisation
from napari_unet3d.errors import UserError

_LOW_PERCENTILE, _HIGH_PERCENTILE = 1, 99


@dataclass(frozen=True, slots=True)
class IntensityScale:
    """The normalisation of one volume: ``(value - shift) / scale``."""

    shift: float
    scale: float

    def apply(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Normalise the volume or a part of it.

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


def fit_scale(image: NDArray[Any], method: Normalisation) -> IntensityScale:
    """Compute the normalisation of one volume.

    Parameters
    ----------
    image : ndarray of any real number type, shape (z, y, x)
        Finite intensities.
    method : Normalisation
        - z-score: mean 0 and standard deviation 1.
        - percentile: the 1st percentile becomes 0 and the 99th becomes 1; values beyond them are not clipped. If the
          two are equal, as in a volume with very few bright voxels, min-max is used.
        - min-max: the minimum becomes 0 and the maximum 1.
        - none: the values stay as they are.

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
    low, high = float(image.min()), float(image.max())
    with np.errstate(over="ignore", invalid="ignore"):
        shift, scale = _shift_and_scale(image, method)
        normalised = (np.array([low, high]) - shift) / (scale or 1.0)
    if not (np.isfinite(scale) and (np.abs(normalised) <= np.finfo(np.float32).max).all()):
        raise UserError(
            f"The intensities range from {low:g} to {high:g}, which is too wide for the normalisation {method.value}. "
            "Replace fill values by ordinary intensities first."
        )
    return IntensityScale(shift, scale or 1.0)


def fit_scales(channels: NDArray[Any], method: Normalisation) -> tuple[IntensityScale, ...]:
    """Compute the normalisation of each channel of a volume of shape (channel, z, y, x) by itself; see `fit_scale`."""
    return tuple(fit_scale(channel, method) for channel in channels)


def apply_scales(channels: NDArray[Any], scales: Sequence[IntensityScale]) -> NDArray[np.float32]:
    """Normalise each channel of a volume, or of a part of it.

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


def normalise(image: NDArray[Any], method: Normalisation) -> NDArray[np.float32]:
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
        return apply_scales(image, fit_scales(image, method))
    return fit_scale(image, method).apply(image)


def _shift_and_scale(image: NDArray[Any], method: Normalisation) -> tuple[float, float]:
    match method:
        case Normalisation.Z_SCORE:
            return _mean_and_std(image)
        case Normalisation.PERCENTILE:
            low, high = _percentiles(image)
            return (low, high - low) if high > low else _minimum_and_range(image)
        case Normalisation.MIN_MAX:
            return _minimum_and_range(image)
        case Normalisation.NONE:
            return 0.0, 1.0


def _minimum_and_range(image: NDArray[Any]) -> tuple[float, float]:
    low, high = float(image.min()), float(image.max())
    return low, high - low


def _mean_and_std(image: NDArray[Any]) -> tuple[float, float]:
    low, value_range = _minimum_and_range(image)
    if value_range == 0:
        return low, 0.0  # the mean of equal values may be off by a rounding error, which dividing would amplify
    mean = sum(float(plane.sum(dtype=np.float64)) for plane in image) / image.size
    # Deviations are squared in a second pass: the mean of squares minus the squared mean loses all precision
    # when the values are far from 0.
    squares = sum(float(np.square(plane.astype(np.float64) - mean).sum()) for plane in image)
    return mean, float(np.sqrt(squares / image.size))


def _percentiles(image: NDArray[Any]) -> tuple[float, float]:
    if image.dtype == bool:
        image = image.view(np.uint8)  # numpy cannot interpolate booleans
    elif image.dtype == np.float16:
        image = image.astype(np.float32)  # interpolation in float16 would round to three digits
    low, high = np.percentile(image, (_LOW_PERCENTILE, _HIGH_PERCENTILE))
    return float(low), float(high)
