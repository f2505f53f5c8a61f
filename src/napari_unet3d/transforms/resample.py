"""Resampling of volumes to another voxel size, and of probabilities back to the grid of their image.

Two grids of one volume cover the same box: the outer faces of their first and last voxels coincide, so nothing shifts
between them, however often a volume is resampled back and forth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.sample import Shape3D, format_shape
from napari_unet3d.errors import UserError

_MAX_VOXELS = 2**40
_SAME_SIZE = 0.01  # relative; smaller differences do not change a grid
_MIN_SIDE = 2


def shape_at_spacing(shape: Shape3D, voxel_size_um: VoxelSize, spacing_um: VoxelSize) -> Shape3D:
    """Compute the shape of a volume at another voxel size.

    Parameters
    ----------
    shape : tuple of int
        Shape (z, y, x) of the volume.
    voxel_size_um : tuple of float
        Its voxel size along z, y, x in µm.
    spacing_um : tuple of float
        The new voxel size (z, y, x) in µm; axes that agree within 1 % keep their length.

    Returns
    -------
    tuple of int
        The nearest whole numbers of voxels, at least 2.

    Raises
    ------
    UserError
        If it has more than 2⁴⁰ voxels, which no computer can hold: one of the voxel sizes must be wrong.

    Examples
    --------
    >>> shape_at_spacing((20, 256, 256), voxel_size_um=(2.0, 0.5, 0.5), spacing_um=(1.0, 1.0, 1.0))
    (40, 128, 128)
    """
    z, y, x = (
        side if abs(new / old - 1) <= _SAME_SIZE else max(_MIN_SIDE, round(side * old / new))
        for side, old, new in zip(shape, voxel_size_um, spacing_um, strict=True)
    )
    if z * y * x > _MAX_VOXELS:
        raise UserError(
            f"At the voxel size {_format_sizes(spacing_um)} of the network, a volume of {format_shape(shape)} voxels "
            f"of {_format_sizes(voxel_size_um)} would have {z * y * x:.1e} voxels. One of the voxel sizes is wrong: "
            "correct it, or choose another model."
        )
    return z, y, x


def _format_sizes(sizes: VoxelSize) -> str:
    return f"{' × '.join(f'{size:g}' for size in sizes)} µm"


def to_spacing(
    array: NDArray[Any], voxel_size_um: VoxelSize, spacing_um: VoxelSize, *, is_labels: bool
) -> NDArray[Any]:
    """Resample a volume to another voxel size; training and prediction both do so before normalisation.

    Parameters
    ----------
    array : ndarray, shape (z, y, x) or (channel, z, y, x)
        Intensities or labels.
    voxel_size_um : tuple of float
        Its voxel size along z, y, x in µm.
    spacing_um : tuple of float
        The new voxel size (z, y, x) in µm; axes that agree within 1 % keep their length.
    is_labels : bool
        As for `to_shape`.

    Returns
    -------
    ndarray, with z, y and x as computed by `shape_at_spacing`
        The array itself if no axis changes.

    Examples
    --------
    >>> labels = np.zeros((20, 256, 256), np.uint8)
    >>> to_spacing(labels, (2.0, 0.5, 0.5), (1.0, 1.0, 1.0), is_labels=True).shape
    (40, 128, 128)
    """
    z, y, x = array.shape[-3:]
    return to_shape(array, shape_at_spacing((z, y, x), voxel_size_um, spacing_um), is_labels=is_labels)


def to_shape(array: NDArray[Any], shape: Shape3D, *, is_labels: bool) -> NDArray[Any]:
    """Resample a volume to a grid of another shape that covers the same box.

    Parameters
    ----------
    array : ndarray, shape (z, y, x) or (channel, z, y, x)
        Intensities, probabilities or labels; each channel is resampled by itself.
    shape : tuple of int
        Shape (z, y, x) of the result.
    is_labels : bool
        Labels are resampled by nearest neighbour and keep their type. Anything else is interpolated linearly, to
        float32; an axis that becomes shorter is first blurred by a Gaussian with a standard deviation of
        (old / new - 1) / 2 voxels against aliasing, as in `skimage.transform.resize`.

    Returns
    -------
    ndarray, of the given shape
        The array itself if it has that shape already.

    Examples
    --------
    >>> to_shape(np.array([[[1, 5, 5, 9]]]), (1, 1, 2), is_labels=True)
    array([[[5, 9]]])
    """
    if array.shape[-3:] == shape:
        return array
    if array.ndim == 4:
        return np.stack([to_shape(channel, shape, is_labels=is_labels) for channel in array])
    if is_labels:
        return resize_to_nearest(array, shape)
    sigma = [max(0.0, (old / new - 1) / 2) for old, new in zip(array.shape, shape, strict=True)]
    if any(sigma):
        array = ndimage.gaussian_filter(array.astype(np.float32, copy=False), sigma, mode="nearest")
    return resize_linearly(array, shape)


def resize_linearly(array: NDArray[Any], shape: Shape3D) -> NDArray[np.float32]:
    """Resize a volume (z, y, x) by linear interpolation, without anti-aliasing.

    Examples
    --------
    >>> resize_linearly(np.array([[[0, 4]]]), (1, 1, 4))
    array([[[0., 1., 3., 4.]]], dtype=float32)
    """
    volume = torch.from_numpy(np.require(array, np.float32, ["C", "W"]))[None, None]
    # Both grids cover the same box, with voxel centres half a voxel inside it, so nothing shifts between them.
    resized = torch.nn.functional.interpolate(volume, size=shape, mode="trilinear", align_corners=False)
    result: NDArray[np.float32] = resized[0, 0].numpy()
    return result


def resize_to_nearest(array: NDArray[Any], shape: Shape3D) -> NDArray[Any]:
    """Resize a volume (z, y, x) by nearest neighbour; no value is in the result that was not there before.

    Examples
    --------
    >>> resize_to_nearest(np.array([[[3, 8]]]), (1, 1, 4))
    array([[[3, 3, 8, 8]]])
    """
    indices = [
        ((np.arange(new) + 0.5) * old / new).astype(np.intp) for old, new in zip(array.shape, shape, strict=True)
    ]
    return array[np.ix_(*indices)]
