"""Make the mesh of an object: marching cubes in its bounding box, then Taubin smoothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.errors import UserError

# The pass band of Taubin (1995), "A signal processing approach to fair surface design": a step inwards and a slightly
# larger one outwards, so that steps of voxels are removed and the volume stays.
_INWARDS, _OUTWARDS = 0.5, -0.53


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """The closed surface of an object.

    Attributes
    ----------
    number : int
        The number of the object in the labels.
    vertices : ndarray of float64, shape (vertex, 3)
        Positions along z, y, x in voxels of the volume; integers are centres of voxels. `placed` turns them into x, y
        and z of the world.
    faces : ndarray of int64, shape (face, 3)
        The vertices of each triangle. Seen from outside, they are counter-clockwise where x, y and z are right-handed.
    """

    number: int
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]

    def placed(self, geometry: Geometry) -> Mesh:
        """Return the mesh with x, y, z of the world instead of z, y, x in voxels.

        They are in µm, with orientation and origin of the volume. Where the voxel size is not known in µm, they are in
        voxels from the first one (see `Geometry.spacing`).
        """
        lengths = (self.vertices * geometry.spacing)[:, ::-1]
        if not geometry.is_calibrated:
            return Mesh(self.number, lengths, self.faces)
        directions = np.eye(3) if geometry.directions is None else np.array(geometry.directions)
        places = lengths @ directions + np.array(geometry.origin or (0.0, 0.0, 0.0))
        is_mirrored = np.linalg.det(directions) < 0
        return Mesh(self.number, places, self.faces[:, ::-1] if is_mirrored else self.faces)


def make_mesh(labels: NDArray[Any], number: int, box: Box, smoothing: int) -> Mesh:
    """Return the mesh of an object.

    It is closed also at the border of the volume, and each edge belongs to two triangles. Smoothing changes no
    connection, so thin parts stay.

    Parameters
    ----------
    labels : ndarray of integers, shape (z, y, x)
        All labels.
    number : int
        The object, which is in the box.
    box : tuple of slice
        The box around it.
    smoothing : int
        Number of smoothing steps.

    Raises
    ------
    UserError
        If the object is not in its box, since labels of a viewer were edited meanwhile.

    Examples
    --------
    >>> mesh = make_mesh(np.ones((1, 1, 1), int), 1, (slice(0, 1),) * 3, smoothing=0)
    >>> len(mesh.vertices), len(mesh.faces), mesh.vertices.min(0).tolist()
    (6, 8, [-0.5, -0.5, -0.5])
    """
    from skimage.measure import marching_cubes

    mask = np.pad(labels[box] == number, 1).astype(np.float32)
    if not mask.any():
        raise UserError(f"Object {number} is not there any more, since the labels were edited. Start again.")
    # Lorensen's variant, since every edge of its surfaces belongs to two faces; in Lewiner's, some belong to four.
    vertices, faces, _, _ = marching_cubes(mask, 0.5, method="lorensen", gradient_direction="descent")
    vertices = vertices.astype(np.float64) + [side.start - 1 for side in box]
    faces = faces.astype(np.int64)
    return Mesh(number, smooth(vertices, faces, smoothing), faces)


def smooth(vertices: NDArray[np.float64], faces: NDArray[np.int64], n_steps: int) -> NDArray[np.float64]:
    """Smooth a closed mesh by Taubin's method.

    Parameters
    ----------
    vertices : ndarray of float64, shape (vertex, 3)
        Positions; the result is the same in any units, also where they differ between axes.
    faces : ndarray of int, shape (face, 3)
        Triangles.
    n_steps : int
        Number of steps.

    Returns
    -------
    ndarray of float64, shape (vertex, 3)
        New positions.
    """
    if n_steps == 0:
        return vertices
    from scipy import sparse

    one, other = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    # Every edge is there twice, once in each direction, so the matrix is symmetric.
    shape = len(vertices), len(vertices)
    neighbours = sparse.csr_array((np.ones(len(one)), (one, other)), shape=shape)
    n_neighbours = np.asarray(neighbours.sum(axis=1)).reshape(-1, 1)
    for _ in range(n_steps):
        for factor in (_INWARDS, _OUTWARDS):
            vertices = vertices + factor * (neighbours @ vertices / n_neighbours - vertices)
    return vertices
