"""Volumes brought to another voxel size, and probabilities brought back to the grid of their image.

Two grids of one volume fill the same box: the outer faces of their first and last voxels coincide, so that nothing
shifts between them, however often a volume goes forth and back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet3d.data.sample import Shape3D, VoxelSize

_SAME_SIZE = 0.01  # relative; no grid is changed for less
_LEAST_SIDE = 2


def shape_at_spacing(shape: Shape3D, voxel_size_um: VoxelSize, spacing_um: VoxelSize) -> Shape3D:
    """Find the shape that a volume has at another voxel size.

    Parameters
    ----------
    shape : tuple of int
        Shape (z, y, x) of the volume.
    voxel_size_um : tuple of float
        Its voxel size along z, y, x in µm.
    spacing_um : tuple of float
        The voxel size (z, y, x) in µm that is wanted; axes that agree with it within 1 % stay.

    Returns
    -------
    tuple of int
        The nearest whole numbers of voxels, at least 2.
    """
    z, y, x = (
        side if abs(new / old - 1) <= _SAME_SIZE else max(_LEAST_SIDE, round(side * old / new))
        for side, old, new in zip(shape, voxel_size_um, spacing_um, strict=True)
    )
    return z, y, x


def to_spacing(
    array: NDArray[Any], voxel_size_um: VoxelSize, spacing_um: VoxelSize, *, is_labels: bool
) -> NDArray[Any]:
    """Bring a volume to another voxel size; training and prediction both do it before normalisation.

    Parameters
    ----------
    array : ndarray, shape (z, y, x)
        Grey values or labels.
    voxel_size_um : tuple of float
        Its voxel size along z, y, x in µm.
    spacing_um : tuple of float
        The voxel size (z, y, x) in µm that is wanted; axes that agree with it within 1 % stay.
    is_labels : bool
        As for `to_shape`.

    Returns
    -------
    ndarray, shape (z, y, x) as `shape_at_spacing` says
        The array itself when no axis changes.
    """
    z, y, x = array.shape
    return to_shape(array, shape_at_spacing((z, y, x), voxel_size_um, spacing_um), is_labels=is_labels)


def to_shape(array: NDArray[Any], shape: Shape3D, *, is_labels: bool) -> NDArray[Any]:
    """Resample a volume on a grid of another shape in the same box.

    Parameters
    ----------
    array : ndarray, shape (z, y, x)
        Grey values, probabilities or labels.
    shape : tuple of int
        Shape (z, y, x) of the result.
    is_labels : bool
        Labels take the nearest voxel and keep their type. Others are interpolated linearly, to float32; before an
        axis is made shorter, it is blurred by a Gaussian with a standard deviation of (old / new - 1) / 2 voxels, as
        `skimage.transform.resize` does, so that what is too fine for the new grid does not become a pattern.

    Returns
    -------
    ndarray, of the given shape
        The array itself when it has that shape already.
    """
    if array.shape == shape:
        return array
    if is_labels:
        return resize_to_nearest(array, shape)
    blur = [max(0.0, (old / new - 1) / 2) for old, new in zip(array.shape, shape, strict=True)]
    if any(blur):
        array = ndimage.gaussian_filter(array.astype(np.float32, copy=False), blur, mode="nearest")
    return resize_linearly(array, shape)


def resize_linearly(array: NDArray[Any], shape: Shape3D) -> NDArray[np.float32]:
    """Interpolate a volume (z, y, x) linearly at the voxel centres of a grid of another shape in the same box."""
    volume = torch.from_numpy(np.require(array, np.float32, ["C", "W"]))[None, None]
    # Both grids span the same box, voxel centres half a voxel inside: nothing shifts between them.
    resized = torch.nn.functional.interpolate(volume, size=shape, mode="trilinear", align_corners=False)
    result: NDArray[np.float32] = resized[0, 0].numpy()
    return result


def resize_to_nearest(array: NDArray[Any], shape: Shape3D) -> NDArray[Any]:
    """Take, for each voxel of a grid of another shape in the same box, the value (z, y, x) that lies nearest."""
    indices = [
        ((np.arange(new) + 0.5) * old / new).astype(np.intp) for old, new in zip(array.shape, shape, strict=True)
    ]
    return array[np.ix_(*indices)]
