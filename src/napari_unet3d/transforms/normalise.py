"""Grey values of one volume brought to one scale; the method is stored in the model and repeated at prediction."""

from __future__ import annotations

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
    """How grey values of one volume are brought to one scale: ``(value - offset) / spread``."""

    shift: float
    scale: float

    def apply(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Bring grey values of the volume, or of a part of it, to the scale.

        Parameters
        ----------
        image : ndarray of any real number type, shape (z, y, x)
            Grey values; they are not changed.

        Returns
        -------
        ndarray of float32, shape (z, y, x)
            A new array.
        """
        if image.dtype.kind in "ui" and image.dtype.itemsize <= 2:
            narrow: NDArray[np.float32] = np.subtract(image, np.float32(self.shift), dtype=np.float32)
            narrow *= np.float32(1 / self.scale)
            return narrow
        # Slice by slice in float64: wide numbers keep their differences, and no second copy of a volume is made.
        result = np.empty(image.shape, dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for plane, scaled in zip(image, result, strict=True):
                scaled[...] = (plane.astype(np.float64) - self.shift) / self.scale
        return result

    def apply_on_device(self, image: torch.Tensor) -> torch.Tensor:
        """Do the same as `apply` on the device of a tensor, which must know float64 for numbers wider than 16 bits."""
        if not image.dtype.is_floating_point and image.dtype is not torch.bool and image.dtype.itemsize <= 2:
            # As float32, like numpy: torch would compute with Python's own numbers.
            offset, factor = float(np.float32(self.shift)), float(np.float32(1 / self.scale))
            return image.to(torch.float32).sub_(offset).mul_(factor)
        # By a tensor: CUDA would multiply by the reciprocal of a number, which may round otherwise.
        spread = torch.full((), self.scale, dtype=torch.float64, device=image.device)
        return image.to(torch.float64, copy=True).sub_(self.shift).div_(spread).to(torch.float32)


def fit_scale(image: NDArray[Any], method: Normalisation) -> IntensityScale:
    """Find how the grey values of one volume are brought to one scale.

    Parameters
    ----------
    image : ndarray of any real number type, shape (z, y, x)
        Finite grey values.
    method : Normalisation
        - z-score: mean 0 and standard deviation 1.
        - percentile: the 1st percentile becomes 0 and the 99th becomes 1; values beyond them are kept. Where
          the two are equal, as in a volume with very few bright voxels, it is min-max.
        - min-max: the smallest value becomes 0 and the largest 1.
        - none: the values as they are.

    Returns
    -------
    IntensityScale
        A volume of one single grey value becomes 0 everywhere, except with none.

    Raises
    ------
    UserError
        When the values are so large that the result is no finite float32.
    """
    low, high = float(image.min()), float(image.max())
    with np.errstate(over="ignore", invalid="ignore"):
        offset, spread = _shift_and_scale(image, method)
        scaled = (np.array([low, high]) - offset) / (spread or 1.0)
    if not (np.isfinite(spread) and (np.abs(scaled) <= np.finfo(np.float32).max).all()):
        raise UserError(
            f"The grey values go from {low:g} to {high:g}, too far to be brought to one scale "
            f"({method.value}); replace fill values by ordinary grey values first."
        )
    return IntensityScale(offset, spread or 1.0)


def normalise(image: NDArray[Any], method: Normalisation) -> NDArray[np.float32]:
    """Bring the grey values of one volume, shape (z, y, x), to one scale; see `fit_scale`.

    Returns
    -------
    ndarray of float32, shape (z, y, x)
        A new array.

    Raises
    ------
    UserError
        As `fit_scale`.
    """
    return fit_scale(image, method).apply(image)


def _shift_and_scale(image: NDArray[Any], method: Normalisation) -> tuple[float, float]:
    match method:
        case Normalisation.Z_SCORE:
            return _mean_and_deviation(image)
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


def _mean_and_deviation(image: NDArray[Any]) -> tuple[float, float]:
    low, value_range = _minimum_and_range(image)
    if value_range == 0:
        return low, 0.0  # the rounded mean of equal values may miss them by a little, which would be blown up
    mean = sum(float(plane.sum(dtype=np.float64)) for plane in image) / image.size
    # Deviations are squared in a second pass: the mean of squares minus the squared mean loses all digits
    # when the values lie far from 0.
    squares = sum(float(np.square(plane.astype(np.float64) - mean).sum()) for plane in image)
    return mean, float(np.sqrt(squares / image.size))


def _percentiles(image: NDArray[Any]) -> tuple[float, float]:
    if image.dtype == bool:
        image = image.view(np.uint8)  # numpy interpolates no booleans
    elif image.dtype == np.float16:
        image = image.astype(np.float32)  # between two values it would round to three digits
    low, high = np.percentile(image, (_LOW_PERCENTILE, _HIGH_PERCENTILE))
    return float(low), float(high)
