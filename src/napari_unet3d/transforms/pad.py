"""Volumes whose sides the network cannot halve often enough are cropped, resized or padded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import ResizeMode
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.errors import UserError
from napari_unet3d.transforms.resample import resize_linearly, resize_to_nearest

_LEAST_AT_BOTTOM = 2  # instance norm has no spread to divide by when a single voxel is left


def divisible_shape(shape: Shape3D, total_stride: Shape3D, mode: ResizeMode) -> Shape3D:
    """Find the shape that a volume takes on for the network.

    Parameters
    ----------
    shape : tuple of int
        Shape (z, y, x) of the volume.
    total_stride : tuple of int
        How many voxels along z, y, x become one at the bottom of the network.
    fit : Fit
        Crop goes down to a multiple of the total stride, pad goes up, resize goes to the nearest one.

    Returns
    -------
    tuple of int
        Multiples of the total stride, so large that 2 voxels per axis are left at the bottom.

    Raises
    ------
    UserError
        When a volume to be cropped is smaller than that.
    """
    least = minimum_shape(total_stride)
    if mode is ResizeMode.CROP and any(side < needed for side, needed in zip(shape, least, strict=True)):
        raise UserError(
            f"The volume {shape} is too small to be cropped: this network needs at least {least} voxels. "
            "Choose pad or resize, or a network with fewer levels."
        )
    z, y, x = (
        max(needed, (side + _added_before_rounding(stride, mode)) // stride * stride)
        for side, stride, needed in zip(shape, total_stride, least, strict=True)
    )
    return z, y, x


def _added_before_rounding(stride: int, fit: ResizeMode) -> int:
    return {ResizeMode.CROP: 0, ResizeMode.RESIZE: stride // 2, ResizeMode.PAD: stride - 1}[fit]


def minimum_shape(total_stride: Shape3D) -> Shape3D:
    """Return the smallest shape (z, y, x) that leaves 2 voxels per axis at the bottom of the network."""
    z, y, x = (_LEAST_AT_BOTTOM * stride for stride in total_stride)
    return z, y, x


def halve_longest_side(shape: Shape3D, total_stride: Shape3D, least_side: int = 0) -> Shape3D | None:
    """Halve the longest side of a patch or tile that can be made shorter.

    Parameters
    ----------
    shape : tuple of int
        Its shape (z, y, x), multiples of the total stride.
    total_stride : tuple of int
        How many voxels along z, y, x become one at the bottom of the network.
    least_side : int
        No side is made shorter than this, nor than the network needs.

    Returns
    -------
    tuple of int or None
        None when every side is as short as it may be.
    """
    shorter = [
        max(needed, least_side, side // 2 // stride * stride)
        for side, stride, needed in zip(shape, total_stride, minimum_shape(total_stride), strict=True)
    ]
    axis = max((axis for axis in range(3) if shorter[axis] < shape[axis]), key=lambda axis: shape[axis], default=None)
    if axis is None:
        return None
    z, y, x = (new if number == axis else old for number, (old, new) in enumerate(zip(shape, shorter, strict=True)))
    return z, y, x


def to_divisible(array: NDArray[Any], shape: Shape3D, mode: ResizeMode, *, is_labels: bool) -> NDArray[Any]:
    """Bring a volume to the shape that `divisible_shape` gave.

    Crop keeps the middle and pad adds the same on both sides (at an odd number one more behind). Padding
    mirrors image and labels at the border, which looks like data and keeps them true to each other, where a
    rim of zeros would show the network an edge that no volume has.

    Parameters
    ----------
    array : ndarray, shape (z, y, x)
        Grey values or labels.
    shape : tuple of int
        Shape (z, y, x) of the result.
    fit : Fit
        How.
    is_labels : bool
        Labels are resized to the nearest voxel and keep their type; images linearly, to float32.

    Returns
    -------
    ndarray, of the given shape
        The array itself when it has that shape already; a view when it is cropped.
    """
    if array.shape == shape:
        return array
    match mode:
        case ResizeMode.CROP:
            return array[_middle(array.shape, shape)]
        case ResizeMode.PAD:
            before = [(new - old) // 2 for old, new in zip(array.shape, shape, strict=True)]
            after = [new - old - left for old, new, left in zip(array.shape, shape, before, strict=True)]
            return np.pad(array, list(zip(before, after, strict=True)), mode="symmetric")
        case ResizeMode.RESIZE:
            return resize_to_nearest(array, shape) if is_labels else resize_linearly(array, shape)


def valid_region(shape: Shape3D, fitted: Shape3D, mode: ResizeMode) -> tuple[slice, ...]:
    """Return the part of a fitted volume that comes from the volume, and not from padding.

    Parameters
    ----------
    shape : tuple of int
        Shape (z, y, x) of the volume.
    fitted : tuple of int
        Shape (z, y, x) that `divisible_shape` gave for it.
    fit : Fit
        How it was fitted; a cropped or resized volume has no padding.
    """
    return _middle(fitted, shape) if mode is ResizeMode.PAD else tuple(slice(0, side) for side in fitted)


def _middle(outer: tuple[int, ...], inner: tuple[int, ...]) -> tuple[slice, ...]:
    starts = [(whole - part) // 2 for whole, part in zip(outer, inner, strict=True)]
    return tuple(slice(start, start + part) for start, part in zip(starts, inner, strict=True))
