"""Resampling of a part of a volume, with the values that `resample.to_shape` computes there for all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet3d.data.boxes import Box
from napari_unet3d.data.sample import Shape3D

_SIGMAS_OF_KERNEL = 4.0  # as in scipy


@dataclass(frozen=True, slots=True)
class AxisPart:
    """Voxels of a resampled volume along one axis, and what they are computed from.

    Attributes
    ----------
    low, high : ndarray of int, shape (n,)
        The two voxels of the other grid between which each is interpolated.
    weight : ndarray of float32, shape (n,)
        The weight of the second one.
    sigma : float
        Standard deviation in voxels of the blur before the interpolation; 0 for none.
    needed : slice
        The voxels of the other grid that are needed, with those that are blurred into them.
    """

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    weight: NDArray[np.float32]
    sigma: float
    needed: slice


def axis_part(start: int, stop: int, old: int, new: int) -> AxisPart:
    """Return how some voxels of an axis are computed when its length changes.

    The positions are computed in float32, as torch does.

    Parameters
    ----------
    start, stop : int
        The voxels of the resampled axis.
    old, new : int
        Its lengths before and after.

    Examples
    --------
    >>> part = axis_part(1, 3, old=2, new=4)
    >>> part.low, part.weight, part.needed
    (array([0, 0]), array([0.25, 0.75], dtype=float32), slice(0, 2, None))
    """
    places = np.arange(start, stop)
    if old == new:
        return AxisPart(places, places, np.zeros(len(places), np.float32), 0.0, slice(start, stop))
    half = np.float32(0.5)
    position = np.maximum(np.float32(old) / np.float32(new) * (places.astype(np.float32) + half) - half, np.float32(0))
    low = np.minimum(position.astype(np.intp), old - 1)
    high = np.minimum(low + 1, old - 1)
    weight = np.clip(position - low.astype(np.float32), 0, 1, dtype=np.float32)
    sigma = max(0.0, (old / new - 1) / 2)
    radius = int(_SIGMAS_OF_KERNEL * sigma + 0.5)
    needed = slice(max(0, int(low[0]) - radius), min(old, int(high[-1]) + radius + 1))
    return AxisPart(low, high, weight, sigma, needed)


def box_parts(box: Box, old: Shape3D, new: Shape3D) -> tuple[AxisPart, AxisPart, AxisPart]:
    """Return `axis_part` along z, y and x for a box of a volume that is resampled from one shape to another."""
    z, y, x = (axis_part(side.start, side.stop, *lengths) for side, *lengths in zip(box, old, new, strict=True))
    return z, y, x


def needed_box(parts: Sequence[AxisPart]) -> Box:
    """Return the box of the other grid that is needed."""
    z, y, x = (part.needed for part in parts)
    return z, y, x


def resample_part(array: NDArray[Any], parts: Sequence[AxisPart]) -> NDArray[np.float32]:
    """Resample a part of a volume.

    Parameters
    ----------
    array : ndarray of any real number type, shape (z, y, x)
        The values of `needed_box`.
    parts : sequence of AxisPart
        What is computed along z, y, x.

    Returns
    -------
    ndarray of float32, shape (z, y, x)
        A new array.

    Examples
    --------
    >>> parts = box_parts(np.s_[0:1, 0:1, 1:4], (1, 1, 2), (1, 1, 4))
    >>> resample_part(np.array([[[0, 4]]]), parts)
    array([[[1., 3., 4.]]], dtype=float32)
    """
    result = array.astype(np.float32)
    sigma = [part.sigma for part in parts]
    if any(sigma):
        result = ndimage.gaussian_filter(result, sigma, mode="nearest")
    for axis in (2, 1, 0):
        part = parts[axis]
        shape = [-1 if each == axis else 1 for each in range(3)]
        weight = part.weight.reshape(shape)
        first = part.needed.start
        low, high = (np.take(result, places - first, axis) for places in (part.low, part.high))
        low *= 1 - weight
        high *= weight
        low += high
        result = low
    return result
