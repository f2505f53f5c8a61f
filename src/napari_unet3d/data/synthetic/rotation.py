"""Rotation of objects in a plane of two axes, rigid in µm also for anisotropic voxels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet3d.configs import SyntheticConfig
from napari_unet3d.data.geometry import VoxelSize

_EPSILON = 1e-6  # keeps voxels on the surface of a box despite rounding


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation in the plane of two axes.

    Attributes
    ----------
    axes : tuple of int
        Indices of the two axes in (z, y, x), in ascending order.
    degrees : float
        Angle; positive angles rotate the first axis towards the second.
    voxel_size_um : tuple of float
        Size of a voxel along z, y, x in µm.
    """

    axes: tuple[int, int]
    degrees: float
    voxel_size_um: VoxelSize

    @classmethod
    def draw(cls, config: SyntheticConfig, rng: np.random.Generator) -> Rotation:
        """Draw plane and angle at random from the settings."""
        first, second = sorted(config.rotation_planes[rng.integers(len(config.rotation_planes))].axes)
        return cls((first, second), rng.uniform(*config.rotation_degrees), config.voxel_size_um)

    @property
    def line_axis(self) -> int:
        """Index in (z, y, x) of the rotation axis."""
        return 3 - sum(self.axes)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The matrix, shape (2, 2), from offsets after the rotation to those before it, in voxels."""
        angle = np.deg2rad(self.degrees)
        size = np.array([self.voxel_size_um[axis] for axis in self.axes])
        back: NDArray[np.float64] = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        back *= size / size[:, None]
        return back

    def plane_offsets(self, half: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the offsets before the rotation, from the object's centre, of all voxels of its rotated box.

        Parameters
        ----------
        half : ndarray of float, shape (2,)
            Half of the object's size minus one along the two axes before the rotation, in voxels.

        Returns
        -------
        ndarray of float, shape (2, a, b)
            The rotated object fits into a and b voxels along the two axes.
        """
        reach = np.abs(np.linalg.inv(self.matrix)) @ half
        counts = np.floor(2 * reach + _EPSILON).astype(int) + 1
        first, second = (np.arange(n) - (n - 1) / 2 for n in counts)
        (a, b), (c, d) = self.matrix
        return np.stack([a * first[:, None] + b * second, c * first[:, None] + d * second])

    def to_zyx(self, box: NDArray[Any]) -> NDArray[Any]:
        """Return a box with axes (line, first, second) in the order (z, y, x)."""
        return box.transpose(np.argsort((self.line_axis, *self.axes)))


def rotate_array(
    array: NDArray[Any], rotation: Rotation, magnification: float
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Rotate and magnify an array by linear interpolation.

    Parameters
    ----------
    array : ndarray of any real number type, shape (z, y, x)
        Above 0 inside the object.
    rotation : Rotation
        The rotation.
    magnification : float
        Factor of the size.

    Returns
    -------
    mask : ndarray of bool, shape (z', y', x')
        Voxels that are at least half inside the object.
    values : ndarray of float32, shape (z', y', x')
        Intensities; the mean excludes voxels outside the object, so that its edge does not become dark.

    Examples
    --------
    >>> array = np.ones((1, 1, 5))
    >>> mask, _ = rotate_array(array, Rotation((1, 2), 90, (1.0, 1.0, 1.0)), 1)
    >>> mask.shape
    (1, 5, 1)
    """
    present = (array > 0).astype(np.float32)
    bright = np.where(array > 0, array, 0).astype(np.float32)
    size = np.array(array.shape)
    half = (np.maximum(np.rint(size * magnification), 1) - 1) / 2
    first, second = rotation.axes
    plane = rotation.plane_offsets(half[[first, second]])
    line = np.arange(2 * half[rotation.line_axis] + 1) - half[rotation.line_axis]
    offsets = np.empty((3, len(line), *plane.shape[1:]))
    offsets[rotation.line_axis] = line[:, None, None]
    offsets[first], offsets[second] = plane[:, None]
    stretch = (size - 1) / np.maximum(2 * half, 1)  # so that the outermost voxels coincide
    places = offsets * stretch[:, None, None, None] + ((size - 1) / 2)[:, None, None, None]
    share = rotation.to_zyx(ndimage.map_coordinates(present, places, order=1))
    values = rotation.to_zyx(ndimage.map_coordinates(bright, places, order=1))
    mask = share >= 0.5 - _EPSILON
    return mask, np.divide(values, share, out=np.zeros_like(values), where=mask)
