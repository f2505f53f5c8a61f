"""Where a volume lies: its voxel size, orientation and origin, and which of them the source gave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.errors import UserError

VoxelSize = tuple[float, float, float]
PartialVoxelSize = tuple[float | None, float | None, float | None]
Directions = tuple[VoxelSize, VoxelSize, VoxelSize]

_TOLERANCE = 0.02  # of unit vectors, about 1°; rounding in formats is much smaller
_ALONG_AXIS = 0.99998  # within a third of a degree, so that different orientations have different descriptions
_ANATOMICAL = (("L", "R"), ("P", "A"), ("I", "S"))
_WORLD = (("-x", "x"), ("-y", "y"), ("-z", "z"))
_IDENTITY: Directions = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Geometry:
    """Voxel size, orientation and origin of a volume; what the source did not give is None.

    Attributes
    ----------
    sizes : tuple of float or None
        Size of a voxel along z, y, x, each positive, or None where it is unknown.
    is_um : bool
        Whether sizes and origin are in µm; otherwise the source gave numbers without a unit of length.
    directions : tuple of tuple of float, or None
        Unit vectors along x, y and z of the array, with components along x, y and z of the world; in files with
        anatomical coordinates these point right, anterior and superior. None if the source has no orientation.
    origin : tuple of float, or None
        The centre of the first voxel along x, y and z of the world.
    frame : str
        The coordinates of directions and origin, such as ``"NIfTI"``. Places are only compared within a frame, since
        files without anatomical orientation have the default axes of their format: right and anterior in NIfTI, left
        and posterior in NRRD and MetaImage.
    space : str
        What the format calls its coordinate system, kept when a result is written in the same format.

    Examples
    --------
    >>> Geometry((2.0, 0.5, 0.5)).voxel_size_um, Geometry((2.0, 0.5, 0.5)).unit
    ((2.0, 0.5, 0.5), 'µm')
    >>> unknown_z = Geometry((None, 0.5, 0.5))
    >>> unknown_z.voxel_size_um, unknown_z.spacing, unknown_z.unit
    ((None, 0.5, 0.5), (1.0, 1.0, 1.0), 'voxels')
    >>> Geometry().voxel_size_um is None
    True
    """

    sizes: PartialVoxelSize = (None, None, None)
    is_um: bool = True
    directions: Directions | None = None
    origin: VoxelSize | None = None
    frame: str = ""
    space: str = ""

    @property
    def voxel_size_um(self) -> PartialVoxelSize | None:
        """Size of a voxel along z, y, x in µm, None where it is unknown; None if it is unknown along all axes."""
        return self.sizes if self.is_um and any(size is not None for size in self.sizes) else None

    @property
    def is_calibrated(self) -> bool:
        """Whether the voxel size in µm is known along all axes."""
        return self.is_um and None not in self.sizes

    @property
    def spacing(self) -> VoxelSize:
        """The size of a voxel along z, y, x to compute distances with, in `unit`.

        If the voxel size is not known in µm, the shortest side is 1: the other sides are longer if the source gave
        their lengths without a unit, and otherwise 1, too.
        """
        z, y, x = self.sizes
        if z is None or y is None or x is None:
            return 1.0, 1.0, 1.0
        unit = 1.0 if self.is_um else min(z, y, x)
        return z / unit, y / unit, x / unit

    @property
    def unit(self) -> str:
        """The unit of `spacing`: ``"µm"``, or ``"voxels"`` if the voxel size is not known in µm."""
        return "µm" if self.is_calibrated else "voxels"

    @property
    def voxel_volume(self) -> float:
        """The volume of a voxel: in µm³ if the voxel size is known in µm, else 1, so that volumes count voxels."""
        z, y, x = self.spacing
        return z * y * x if self.is_calibrated else 1.0

    @property
    def volume_unit(self) -> str:
        """The unit of volumes: ``"µm³"``, or ``"voxels"`` if the voxel size is not known in µm."""
        return "µm³" if self.is_calibrated else "voxels"

    @property
    def origin_um(self) -> VoxelSize | None:
        """The origin in µm; None if it is unknown."""
        return self.origin if self.is_um else None

    @property
    def orientation(self) -> str:
        """The directions of x, y and z: letters as in RAS, world axes, or vectors for oblique volumes.

        >>> make_geometry((2.0, 0.5, 0.5), np.eye(3), None, "NIfTI").orientation
        'R, A, S'
        """
        names = _ANATOMICAL if self.frame in ("NIfTI", "ITK") else _WORLD
        return ", ".join(_describe_direction(direction, names) for direction in self.directions or _IDENTITY)

    def with_sizes_um(self, sizes: Sequence[float | None]) -> Geometry:
        """Return the same place with another voxel size along z, y, x in µm; an origin without a unit is dropped."""
        z, y, x = sizes
        return replace(self, sizes=(z, y, x), is_um=True, origin=self.origin_um)

    def cropped(self, start_zyx: Sequence[int], step_zyx: Sequence[int] = (1, 1, 1)) -> Geometry:
        """Return the place of a part that begins at a voxel, with every n-th voxel along each axis.

        >>> make_geometry((2.0, 0.5, 0.5), np.eye(3), (10.0, 20.0, 30.0), "NIfTI").cropped((1, 0, 4)).origin
        (12.0, 20.0, 32.0)
        """
        steps = [None if size is None else size * step for size, step in zip(self.sizes, step_zyx, strict=True)]
        z, y, x = steps
        return replace(self, sizes=(z, y, x), origin=self.position(start_zyx))

    def position(self, voxel_zyx: Sequence[float]) -> VoxelSize | None:
        """Return the position (x, y, z) of a voxel in the world; None if origin or voxel size are unknown."""
        if self.origin is None or None in self.sizes:
            return None
        lengths = [float(index) * float(size or 0) for index, size in zip(voxel_zyx, self.sizes, strict=True)][::-1]
        x, y, z = np.asarray(self.origin) + np.asarray(self.directions or _IDENTITY).T @ lengths
        return float(x), float(y), float(z)


UNKNOWN = Geometry()
"""The geometry of a volume of which nothing is known."""


def make_geometry(
    sizes: Sequence[float | None],
    matrix: NDArray[Any] | None = None,
    origin: Sequence[float] | NDArray[Any] | None = None,
    frame: str = "",
    *,
    is_um: bool = True,
    space: str = "",
) -> Geometry:
    """Return a geometry of numbers from a file; sizes and directions that are impossible are unknown.

    Parameters
    ----------
    sizes : sequence of float or None
        Size of a voxel along z, y, x; unknown unless positive and finite.
    matrix : ndarray of float, shape (3, 3), optional
        Its columns are the directions of x, y and z of the array, its rows x, y and z of the world.
    origin : sequence of float, optional
        The centre of the first voxel, in the order of the rows.
    frame, space, is_um
        See `Geometry`.
    """
    z, y, x = (float(size) if size is not None and 0 < size < math.inf else None for size in sizes)
    if not is_um and (z, y, x) == (1.0, 1.0, 1.0):  # what software writes that knows no voxel size
        z = y = x = None
    directions = None if matrix is None else _unit_vectors(np.asarray(matrix, dtype=float))
    first = None if origin is None or not np.isfinite(origin).all() else _triple(origin)
    return Geometry((z, y, x), is_um, directions, first, frame, space)


def _unit_vectors(matrix: NDArray[np.float64]) -> Directions | None:
    with np.errstate(over="ignore"):  # of lengths that no direction has
        lengths = np.linalg.norm(matrix, axis=0)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        return None
    x, y, z = (_triple(column) for column in (matrix / lengths).T)
    return x, y, z


def _triple(numbers: Sequence[float] | NDArray[Any]) -> VoxelSize:
    x, y, z = (float(number) + 0.0 for number in numbers)  # without -0
    return x, y, z


def _describe_direction(direction: Sequence[float], names: Sequence[tuple[str, str]]) -> str:
    axis = int(np.argmax(np.abs(direction)))
    if abs(direction[axis]) > _ALONG_AXIS:
        return names[axis][int(direction[axis] > 0)]
    return "(" + " ".join(f"{part + 0.0:.3g}" for part in direction) + ")"


def describe_voxel_size(geometry: Geometry) -> str:
    """Return the voxel size along z, y, x as text.

    >>> describe_voxel_size(Geometry((2.0, 0.5, 0.5))), describe_voxel_size(Geometry((None, 0.5, 0.5)))
    ('2 × 0.5 × 0.5 µm', 'unknown × 0.5 × 0.5 µm')
    >>> describe_voxel_size(Geometry((2.0, 0.5, 0.5), is_um=False)), describe_voxel_size(Geometry())
    ('2 × 0.5 × 0.5 without a unit', 'unknown')
    """
    if all(size is None for size in geometry.sizes):
        return "unknown"
    numbers = " × ".join("unknown" if size is None else f"{size:.4g}" for size in geometry.sizes)
    return numbers + (" µm" if geometry.is_um else " without a unit")


def turn_onto(array: NDArray[Any], own: Geometry, target: Geometry) -> tuple[NDArray[Any], Geometry]:
    """Swap and flip the axes of an array so that they run as those of another volume.

    Parameters
    ----------
    array : ndarray, shape (z, y, x)
        The values.
    own, target : Geometry
        The geometry of the array, and the one whose directions it shall have.

    Returns
    -------
    ndarray, Geometry
        A view of the array and its geometry; both unchanged if the directions are the same, are not known for both,
        or are of different frames.

    Raises
    ------
    ValueError
        If the directions differ by something else than swapped and flipped axes.
    """
    if own.directions is None or target.directions is None or own.frame != target.frame:
        return array, own
    if np.allclose(own.directions, target.directions, rtol=0, atol=_TOLERANCE):
        return array, own
    along = np.array(target.directions) @ np.linalg.inv(own.directions)  # [axis of the target, own axis]
    signed = np.rint(along)
    is_turn = np.abs(signed).sum(0).tolist() == np.abs(signed).sum(1).tolist() == [1, 1, 1]
    if not is_turn or not np.allclose(along, signed, rtol=0, atol=_TOLERANCE):
        raise ValueError("the axes are neither the same nor swapped or flipped")
    axes_xyz = np.abs(signed).argmax(1)  # for each axis of the target, the own one
    is_flipped = signed.sum(1) < 0
    order, flips = (2 - axes_xyz)[::-1].tolist(), is_flipped[::-1]  # z, y, x
    first = np.zeros(3)
    for axis, flip in zip(order, flips, strict=True):
        first[axis] = array.shape[axis] - 1 if flip else 0
    turned = np.flip(array.transpose(order), tuple(axis for axis in range(3) if flips[axis]))
    z, y, x = (own.sizes[axis] for axis in order)
    origin = own.origin if not first.any() else own.position(first.tolist())
    return turned, replace(own, sizes=(z, y, x), directions=target.directions, origin=origin)


def different_orientation(image_name: str, image: Geometry, name: str, other: Geometry) -> UserError:
    """Return the error for labels whose orientation differs from that of their image by more than swapped axes."""
    return UserError(
        f"The orientation of {name} differs from that of its image {image_name}: x, y and z point to "
        f"{other.orientation} instead of {image.orientation}. Save both with the same axes, for example by "
        "resampling one to the other."
    )


def similar_voxel_sizes(one: Geometry, other: Geometry) -> bool:
    """Return whether two voxel sizes are the same except for rounding.

    >>> similar_voxel_sizes(Geometry((2.0, 0.5, 0.5)), Geometry((2.0, 0.5000001, 0.5)))
    True
    """
    return bool(np.allclose(one.spacing, other.spacing, rtol=1e-3, atol=0))


def grid_notices(image_name: str, image: Geometry, name: str, other: Geometry) -> list[str]:
    """Return messages that name voxel sizes or origins of an image and its labels if they differ."""
    notices = []
    if image.is_calibrated and other.is_calibrated and not similar_voxel_sizes(image, other):
        notices.append(
            f"{image_name} has voxels of {describe_voxel_size(image)} and {name} of {describe_voxel_size(other)}; the "
            "voxel size of the image is used, so check that both are of the same volume."
        )
    if image.frame != other.frame or image.is_um != other.is_um or image.origin is None or other.origin is None:
        return notices
    shortest = min((size for size in image.sizes if size is not None), default=1.0)
    if not np.allclose(image.origin, other.origin, rtol=1e-6, atol=shortest / 2):
        origins = [" ".join(f"{length + 0.0:.6g}" for length in origin) for origin in (image.origin, other.origin)]
        unit = " µm" if image.is_um else ""
        notices.append(
            f"The origin of {image_name} is ({origins[0]}){unit} and that of {name} ({origins[1]}){unit}; they are "
            "combined voxel by voxel, so check that both are of the same volume."
        )
    return notices
