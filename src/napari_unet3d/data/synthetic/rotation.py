"""Turning an object in a plane of two axes, rigidly in µm also where voxels are not cubes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet3d.configs import SyntheticConfig
from napari_unet3d.data.sample import VoxelSize

_ROUNDING = 1e-6  # keeps a voxel that lies on the rim of a box but for rounding


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation in the plane of two axes.

    Attributes
    ----------
    axes : tuple of int
        Positions of the two axes in (z, y, x), in ascending order.
    degrees : float
        Angle; positive turns the first axis towards the second.
    voxel_size_um : tuple of float
        Size of a voxel along z, y, x in µm.
    """

    axes: tuple[int, int]
    degrees: float
    voxel_size_um: VoxelSize

    @classmethod
    def draw(cls, config: SyntheticConfig, rng: np.random.Generator) -> Rotation:
        """Draw the plane and the angle from the ranges of `config`."""
        first, second = sorted(config.rotation_planes[rng.integers(len(config.rotation_planes))].axes)
        return cls((first, second), rng.uniform(*config.rotation_degrees), config.voxel_size_um)

    @property
    def line_axis(self) -> int:
        """Position in (z, y, x) of the axis that stays as it is."""
        return 3 - sum(self.axes)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The matrix, shape (2, 2), that takes an offset after the turn to the one before, both in voxels."""
        angle = np.deg2rad(self.degrees)
        size = np.array([self.voxel_size_um[axis] for axis in self.axes])
        back: NDArray[np.float64] = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        back *= size / size[:, None]
        return back

    def plane_offsets(self, half: NDArray[np.float64]) -> NDArray[np.float64]:
        """Offsets from the object's centre, before the turn, of every voxel of its turned box.

        Parameters
        ----------
        half : ndarray of float, shape (2,)
            Half of the object's size minus one along the two axes, before the turn, in voxels.

        Returns
        -------
        ndarray of float, shape (2, a, b)
            a and b voxels along the two axes after the turn hold the whole object.
        """
        reach = np.abs(np.linalg.inv(self.matrix)) @ half
        counts = np.floor(2 * reach + _ROUNDING).astype(int) + 1
        first, second = (np.arange(n) - (n - 1) / 2 for n in counts)
        (a, b), (c, d) = self.matrix
        return np.stack([a * first[:, None] + b * second, c * first[:, None] + d * second])

    def to_zyx(self, box: NDArray[Any]) -> NDArray[Any]:
        """Bring a box with the axes (line, first, second) into the order (z, y, x)."""
        return box.transpose(np.argsort((self.line_axis, *self.axes)))


def rotate_array(
    array: NDArray[Any], turn: Rotation, magnification: float
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Turn and magnify a given array by linear interpolation.

    Parameters
    ----------
    array : ndarray of any real number type, shape (z, y, x)
        The object is where it is above 0.
    turn : Turn
        The rotation.
    magnification : float
        A factor on its size.

    Returns
    -------
    mask : ndarray of bool, shape (z', y', x')
        Where at least half of the interpolated voxel is object.
    values : ndarray of float32, shape (z', y', x')
        Brightness; zeros around the object are left out of the mean, so that its rim does not grow dark.
    """
    present = (array > 0).astype(np.float32)
    bright = np.where(array > 0, array, 0).astype(np.float32)
    size = np.array(array.shape)
    half = (np.maximum(np.rint(size * magnification), 1) - 1) / 2
    first, second = turn.axes
    plane = turn.plane_offsets(half[[first, second]])
    line = np.arange(2 * half[turn.line_axis] + 1) - half[turn.line_axis]
    offsets = np.empty((3, len(line), *plane.shape[1:]))
    offsets[turn.line_axis] = line[:, None, None]
    offsets[first], offsets[second] = plane[:, None]
    stretch = (size - 1) / np.maximum(2 * half, 1)  # the outermost voxels of both boxes coincide
    places = offsets * stretch[:, None, None, None] + ((size - 1) / 2)[:, None, None, None]
    share = turn.to_zyx(ndimage.map_coordinates(present, places, order=1))
    values = turn.to_zyx(ndimage.map_coordinates(bright, places, order=1))
    mask = share >= 0.5 - _ROUNDING
    return mask, np.divide(values, share, out=np.zeros_like(values), where=mask)
