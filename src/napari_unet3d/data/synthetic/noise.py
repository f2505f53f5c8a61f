"""Gradient noise in 3D, evaluated for whole arrays: Perlin's improved noise and simplex noise.

Both take points in a plane and on a line, and compute the noise at all combinations of them. Perlin noise is
separable along the axes of its lattice, so that most of the work is done once for the plane.

Sources: K. Perlin, "Improving noise", SIGGRAPH 2002; S. Gustavson, "Simplex noise demystified", 2005.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Table = NDArray[np.uint8]

# Perlin (2002): the directions to the 12 edges of a cube; 4 of them (a tetrahedron) are repeated to have 16.
_GRADIENTS = np.array(
    [
        (1, 1, 0), (-1, 1, 0), (1, -1, 0), (-1, -1, 0), (1, 0, 1), (-1, 0, 1), (1, 0, -1), (-1, 0, -1),
        (0, 1, 1), (0, -1, 1), (0, 1, -1), (0, -1, -1), (1, 1, 0), (-1, 1, 0), (0, -1, 1), (0, -1, -1),
    ],
    dtype=np.float32,
)  # fmt: skip

# With a squared radius of 0.5 the kernel is continuous; Gustavson's 0.6 has small jumps between simplices.
_SIMPLEX_REACH = 0.5
_SIMPLEX_HEIGHT = 76.0  # scales the largest values close to 1


class Points(NamedTuple):
    """Coordinates of n points in a plane and m on a line, for their m × n combinations.

    Attributes
    ----------
    plane : ndarray of float, shape (2, n)
        Coordinates along the two axes that are not `line_axis`, in the order z, y, x.
    line : ndarray of float, shape (m,)
        Coordinates along `line_axis`.
    line_axis : int
        Index of the line's axis in (z, y, x).
    """

    plane: Floats
    line: Floats
    line_axis: int

    @property
    def plane_axes(self) -> tuple[int, int]:
        """The indices in (z, y, x) of the two axes of the plane."""
        first, second = (axis for axis in range(3) if axis != self.line_axis)
        return first, second


def noise_table(rng: np.random.Generator) -> Table:
    """Return a random permutation of 0 to 255, which determines the noise field."""
    return rng.permutation(np.arange(256, dtype=np.uint8))


def perlin(points: Points, table: Table) -> NDArray[np.float32]:
    """Compute Perlin's improved noise.

    Parameters
    ----------
    points : Points
        The points in cycles; lattice points are at integers.
    table : ndarray of uint8, shape (256,)
        From `noise_table`.

    Returns
    -------
    ndarray of float32, shape (m, n)
        About −1 to 1 (at most 1.04); 0 at lattice points. Periodic with 256 cycles.
    """
    cell, inside = _split(points.plane)
    weight = _ease(inside)
    line_cell, line_inside = _split(points.line)
    line_weight = _ease(line_inside)
    layers = np.arange(line_cell.min(), line_cell.max() + 2)  # lattice layers that the line passes
    across = np.zeros((len(layers), points.plane.shape[1]), np.float32)  # slope across and along the line,
    along = np.zeros_like(across)  # interpolated in each layer; the line's own part is added at the end
    first, second = points.plane_axes
    for i in (0, 1):
        for j in (0, 1):
            corner = {first: cell[0] + i, second: cell[1] + j, points.line_axis: layers[:, None]}
            gradient = _GRADIENTS[_hash(corner[0], corner[1], corner[2], table) & 15]
            share = (weight[0] if i else 1 - weight[0]) * (weight[1] if j else 1 - weight[1])
            across += share * (gradient[..., first] * (inside[0] - i) + gradient[..., second] * (inside[1] - j))
            along += share * gradient[..., points.line_axis]
    below = line_cell - layers[0]
    noise: NDArray[np.float32] = across[below] * (1 - line_weight)[:, None]
    noise += along[below] * ((1 - line_weight) * line_inside)[:, None]
    noise += across[below + 1] * line_weight[:, None]
    noise += along[below + 1] * (line_weight * (line_inside - 1))[:, None]
    return noise


def simplex(points: Points, table: Table) -> NDArray[np.float32]:
    """Compute simplex noise, which has no visible lattice directions.

    Parameters
    ----------
    points : Points
        The points in cycles.
    table : ndarray of uint8, shape (256,)
        From `noise_table`.

    Returns
    -------
    ndarray of float32, shape (m, n)
        About −1 to 1.
    """
    place = _combine(points)
    skewed = place.sum(axis=0, dtype=np.float64) / 3
    cell = np.floor(place + skewed).astype(np.int64)
    inside = place - (cell - cell.sum(axis=0) / 6)
    z, y, x = inside
    zy, zx, yx = ((z >= y).astype(np.int8), (z >= x).astype(np.int8), (y >= x).astype(np.int8))
    rank = np.stack([zy + zx, 1 - zy + yx, 2 - zx - yx])  # 2 for the longest side, 0 for the shortest
    noise = np.zeros(z.shape, np.float32)
    for corner in range(4):  # each step is along the longest remaining side
        step = rank >= 3 - corner
        offset = (inside - step + corner / 6).astype(np.float32)
        falloff = np.maximum(np.float32(_SIMPLEX_REACH) - np.square(offset).sum(axis=0), 0)
        lattice = cell + step
        gradient = _GRADIENTS[_hash(lattice[0], lattice[1], lattice[2], table) & 15]
        noise += falloff**4 * np.einsum("dmn,mnd->mn", offset, gradient)
    return noise * np.float32(_SIMPLEX_HEIGHT)


def _split(coordinates: Floats) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    cell = np.floor(coordinates)
    return cell.astype(np.int64), (coordinates - cell).astype(np.float32)


def _ease(t: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Perlin's quintic, whose first and second derivatives are 0 at 0 and 1."""
    return t * t * t * (t * (t * 6 - 15) + 10)


def _hash(z: NDArray[Any], y: NDArray[Any], x: NDArray[Any], table: Table) -> NDArray[np.uint8]:
    """Return the hashes of lattice points from the table; 8-bit integers wrap at 256."""
    by_z = table[z.astype(np.uint8)]
    by_zy = table[by_z + y.astype(np.uint8)]
    return table[by_zy + x.astype(np.uint8)]


def _combine(points: Points) -> Floats:
    """Return the coordinates z, y, x of all combinations, shape (3, m, n)."""
    full = np.empty((3, len(points.line), points.plane.shape[1]))
    full[points.line_axis] = points.line[:, None]
    for coordinates, axis in zip(points.plane, points.plane_axes, strict=True):
        full[axis] = coordinates
    return full
