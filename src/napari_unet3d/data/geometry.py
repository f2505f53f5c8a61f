"""Orientation and origin of volumes, as NIfTI, NRRD and MetaImage files have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.errors import UserError

_TOLERANCE = 0.02  # of unit vectors, about 1°; rounding in formats is much smaller
_ALONG_AXIS = 0.99998  # within a third of a degree, so that different orientations have different descriptions
_AXES = (("L", "R"), ("P", "A"), ("I", "S"))


@dataclass(frozen=True, slots=True)
class Geometry:
    """Orientation and origin of a volume.

    Attributes
    ----------
    directions : tuple of tuple of float
        Unit vectors along x, y and z of the array; their components point right, anterior and superior.
    origin_um : tuple of float, or None
        The centre of the first voxel in µm (right, anterior, superior); None if the file has none.
    frame : str
        The file format whose coordinates these are. Geometries are only compared within a frame, since files without
        anatomical orientation have the default axes of their format: right and anterior in NIfTI, left and posterior
        in NRRD and MetaImage.
    """

    directions: tuple[tuple[float, ...], ...]
    origin_um: tuple[float, ...] | None
    frame: str

    @property
    def orientation(self) -> str:
        """The directions of x, y and z: letters as in RAS, or vectors for oblique volumes.

        >>> make_geometry(np.diag([0.5, 0.5, 2.0]), None, "NIfTI").orientation
        'R, A, S'
        """
        return ", ".join(map(_describe_direction, self.directions))


def make_geometry(matrix: NDArray[Any], origin_um: Sequence[float] | None, frame: str) -> Geometry | None:
    """Return a geometry; None if a column of the matrix is not a direction.

    Parameters
    ----------
    matrix : ndarray of float, shape (3, 3)
        Its columns are the directions of x, y and z, its rows right, anterior and superior.
    origin_um : sequence of float, or None
        The centre of the first voxel in µm, in the order of the rows.
    frame : str
        See `Geometry`.
    """
    lengths = np.linalg.norm(matrix, axis=0)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        return None
    directions = tuple(tuple(map(float, column)) for column in (matrix / lengths).T)
    return Geometry(directions, None if origin_um is None else tuple(map(float, origin_um)), frame)


def _describe_direction(direction: Sequence[float]) -> str:
    axis = int(np.argmax(np.abs(direction)))
    if abs(direction[axis]) > _ALONG_AXIS:
        return _AXES[axis][int(direction[axis] > 0)]
    return "(" + " ".join(f"{part + 0.0:.3g}" for part in direction) + ")"


def check_same_orientation(image_name: str, image: Geometry | None, name: str, other: Geometry | None) -> None:
    """Check that labels or a mask have the orientation of their image.

    Parameters
    ----------
    image_name, name : str
        Names of the two files, for the message.
    image, other : Geometry or None
        Their geometries; None and different frames are not compared.

    Raises
    ------
    UserError
        If the orientations differ.
    """
    if image is None or other is None or image.frame != other.frame:
        return
    if not np.allclose(image.directions, other.directions, rtol=0, atol=_TOLERANCE):
        raise UserError(
            f"The orientation of {name} differs from that of its image {image_name}: x, y and z point to "
            f"{other.orientation} instead of {image.orientation}. Save both with the same axes, for example by "
            "resampling one to the other."
        )


def origin_notice(
    image_name: str, image: Geometry | None, name: str, other: Geometry | None, voxel_size_um: Sequence[float]
) -> str | None:
    """Return a message with both origins if they differ by more than half a voxel, else None."""
    if image is None or other is None or image.frame != other.frame:
        return None
    if image.origin_um is None or other.origin_um is None:
        return None
    if np.allclose(image.origin_um, other.origin_um, rtol=1e-6, atol=min(voxel_size_um) / 2):
        return None
    origins = [" ".join(f"{length + 0.0:.6g}" for length in origin) for origin in (image.origin_um, other.origin_um)]
    return (
        f"The origin of {image_name} is ({origins[0]}) µm and that of {name} ({origins[1]}) µm; they are combined "
        "voxel by voxel, so check that both are of the same volume."
    )
