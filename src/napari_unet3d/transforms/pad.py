"""Volumes cropped, resized or padded so that the network can downsample every axis often enough."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import ResizeMode
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.errors import UserError
from napari_unet3d.transforms.resample import resize_linearly, resize_to_nearest

_MIN_SIDE_AT_BOTTOM = 2  # instance norm needs more than a single voxel to compute a standard deviation


def divisible_shape(shape: Shape3D, total_stride: Shape3D, mode: ResizeMode) -> Shape3D:
    """Compute the shape in which the network sees a volume.

    Parameters
    ----------
    shape : tuple of int
        Shape (z, y, x) of the volume.
    total_stride : tuple of int
        Downsampling factor along z, y, x from the input to the bottom of the network.
    mode : ResizeMode
        Crop rounds down to a multiple of the total stride, pad rounds up, resize rounds to the nearest.

    Returns
    -------
    tuple of int
        Multiples of the total stride, large enough for 2 voxels per axis at the bottom.

    Raises
    ------
    UserError
        If a volume is too small to be cropped to that.

    Examples
    --------
    >>> divisible_shape((30, 100, 100), (4, 16, 16), ResizeMode.PAD)
    (32, 112, 112)
    >>> divisible_shape((30, 100, 100), (4, 16, 16), ResizeMode.CROP)
    (28, 96, 96)
    """
    smallest = minimum_shape(total_stride)
    if mode is ResizeMode.CROP and any(side < needed for side, needed in zip(shape, smallest, strict=True)):
        raise UserError(
            f"The volume {shape} is too small to be cropped: this network needs at least {smallest} voxels. "
            "Choose pad or resize, or a network with fewer levels."
        )
    z, y, x = (
        max(needed, (side + _added_before_rounding(stride, mode)) // stride * stride)
        for side, stride, needed in zip(shape, total_stride, smallest, strict=True)
    )
    return z, y, x


def _added_before_rounding(stride: int, mode: ResizeMode) -> int:
    return {ResizeMode.CROP: 0, ResizeMode.RESIZE: stride // 2, ResizeMode.PAD: stride - 1}[mode]


def minimum_shape(total_stride: Shape3D) -> Shape3D:
    """Return the smallest shape (z, y, x) that leaves 2 voxels per axis at the bottom of the network.

    Examples
    --------
    >>> minimum_shape((4, 16, 16))
    (8, 32, 32)
    """
    z, y, x = (_MIN_SIDE_AT_BOTTOM * stride for stride in total_stride)
    return z, y, x


def halve_longest_side(shape: Shape3D, total_stride: Shape3D, min_side: int = 0) -> Shape3D | None:
    """Halve the longest side of a patch or tile that can still be made shorter.

    Parameters
    ----------
    shape : tuple of int
        Its shape (z, y, x), multiples of the total stride.
    total_stride : tuple of int
        Downsampling factor along z, y, x from the input to the bottom of the network.
    min_side : int
        No side becomes shorter than this, or than the network needs.

    Returns
    -------
    tuple of int or None
        None if no side can be made shorter.

    Examples
    --------
    >>> halve_longest_side((32, 128, 96), (4, 16, 16))
    (32, 64, 96)
    """
    shorter = [
        max(needed, min_side, side // 2 // stride * stride)
        for side, stride, needed in zip(shape, total_stride, minimum_shape(total_stride), strict=True)
    ]
    longest = max(
        (axis for axis in range(3) if shorter[axis] < shape[axis]), key=lambda axis: shape[axis], default=None
    )
    if longest is None:
        return None
    z, y, x = (new if axis == longest else old for axis, (old, new) in enumerate(zip(shape, shorter, strict=True)))
    return z, y, x


def to_divisible(array: NDArray[Any], shape: Shape3D, mode: ResizeMode, *, is_labels: bool) -> NDArray[Any]:
    """Crop, resize or pad a volume to the shape that `divisible_shape` returned.

    Crop keeps the centre. Pad adds the same number of voxels on both sides (if the number is odd, one more at the
    end) and fills them by reflection. That looks like real data and keeps image and labels consistent; zeros would
    show the network an edge that does not exist.

    Parameters
    ----------
    array : ndarray, shape (z, y, x) or (channel, z, y, x)
        Intensities or labels.
    shape : tuple of int
        Shape (z, y, x) of the result.
    mode : ResizeMode
        Crop, resize or pad.
    is_labels : bool
        Labels are resized by nearest neighbour and keep their type; images linearly, to float32.

    Returns
    -------
    ndarray, of the given shape
        The array itself if it has that shape already; a view if it is cropped.

    Examples
    --------
    >>> to_divisible(np.arange(3).reshape(1, 1, 3), (1, 1, 6), ResizeMode.PAD, is_labels=True)
    array([[[0, 0, 1, 2, 2, 1]]])
    """
    if array.shape[-3:] == shape:
        return array
    match mode:
        case ResizeMode.CROP:
            z, y, x = _centre(array.shape[-3:], shape)
            return array[..., z, y, x]
        case ResizeMode.PAD:
            own = array.shape[-3:]
            before = [(new - old) // 2 for old, new in zip(own, shape, strict=True)]
            after = [new - old - start for old, new, start in zip(own, shape, before, strict=True)]
            kept = [(0, 0)] * (array.ndim - len(own))  # channels
            return np.pad(array, [*kept, *zip(before, after, strict=True)], mode="symmetric")
        case ResizeMode.RESIZE if array.ndim == 4:
            return np.stack([to_divisible(channel, shape, mode, is_labels=is_labels) for channel in array])
        case ResizeMode.RESIZE:
            return resize_to_nearest(array, shape) if is_labels else resize_linearly(array, shape)


def valid_region(shape: Shape3D, divisible: Shape3D, mode: ResizeMode) -> tuple[slice, ...]:
    """Return the region of a cropped, resized or padded volume that is not padding.

    Parameters
    ----------
    shape : tuple of int
        Shape (z, y, x) of the original volume.
    divisible : tuple of int
        The shape (z, y, x) that `divisible_shape` returned for it.
    mode : ResizeMode
        How the volume was changed; only a padded one has padding.

    Examples
    --------
    >>> valid_region((5, 8, 8), (8, 8, 8), ResizeMode.PAD)
    (slice(1, 6, None), slice(0, 8, None), slice(0, 8, None))
    """
    return _centre(divisible, shape) if mode is ResizeMode.PAD else tuple(slice(0, side) for side in divisible)


def _centre(outer: tuple[int, ...], inner: tuple[int, ...]) -> tuple[slice, ...]:
    starts = [(outer_side - inner_side) // 2 for outer_side, inner_side in zip(outer, inner, strict=True)]
    return tuple(slice(start, start + side) for start, side in zip(starts, inner, strict=True))
