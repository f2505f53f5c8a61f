"""Where a volume lies in the world, as NIfTI, NRRD and MetaImage files say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.errors import UserError

_ALIKE = 0.02  # of unit vectors, about 1°; formats round much less
_ALONG_AXIS = 0.99998  # within a third of a degree, so that what is not alike has no words alike
_AXES = (("L", "R"), ("P", "A"), ("I", "S"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the voxels of a volume lie.

    Attributes
    ----------
    directions : tuple of tuple of float
        Unit vectors along x, y and z of the array, each to the right, to the front (anterior) and up (superior).
    origin_um : tuple of float, or None
        The centre of the first voxel in µm, to the right, to the front and up; None when the file does not say.
    frame : str
        Places compare only within one frame: files that know no anatomy are written with the axes of their format,
        which run to the right and front in NIfTI, and to the left and back in NRRD and MetaImage.
    """

    directions: tuple[tuple[float, ...], ...]
    origin_um: tuple[float, ...] | None
    frame: str

    @property
    def words(self) -> str:
        """The directions of x, y and z: letters as in RAS, or vectors where a volume lies oblique."""
        return ", ".join(map(_direction_words, self.directions))


def make_place(matrix: NDArray[Any], origin_um: Sequence[float] | None, frame: str) -> Place | None:
    """Return a place, or None unless the columns of the matrix are directions.

    Parameters
    ----------
    matrix : ndarray of float, shape (3, 3)
        Its columns lead along x, y and z, its rows to the right, to the front and up.
    origin_um : sequence of float, or None
        The centre of the first voxel in µm, in the order of the rows.
    frame : str
        See `Place`.
    """
    lengths = np.linalg.norm(matrix, axis=0)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        return None
    directions = tuple(tuple(map(float, column)) for column in (matrix / lengths).T)
    return Place(directions, None if origin_um is None else tuple(map(float, origin_um)), frame)


def _direction_words(direction: Sequence[float]) -> str:
    axis = int(np.argmax(np.abs(direction)))
    if abs(direction[axis]) > _ALONG_AXIS:
        return _AXES[axis][int(direction[axis] > 0)]
    return "(" + " ".join(f"{part + 0.0:.3g}" for part in direction) + ")"


def check_same_directions(image_words: str, image: Place | None, words: str, other: Place | None) -> None:
    """Raise a `UserError` if labels or a mask are known to run in other directions than their image.

    Parameters
    ----------
    image_words, words : str
        What the two files are called.
    image, other : Place or None
        Where they lie; None, and another frame, tell nothing.
    """
    if image is None or other is None or image.frame != other.frame:
        return
    if not np.allclose(image.directions, other.directions, rtol=0, atol=_ALIKE):
        raise UserError(
            f"{words} runs in other directions than its image {image_words}: x, y, z to {other.words} and to "
            f"{image.words}. Save both with the same axes, for instance by resampling one onto the other."
        )


def origin_notice(
    image_words: str, image: Place | None, words: str, other: Place | None, voxel_size_um: Sequence[float]
) -> str | None:
    """Return a sentence with both origins if they lie more than half a voxel apart, else None."""
    if image is None or other is None or image.frame != other.frame:
        return None
    if image.origin_um is None or other.origin_um is None:
        return None
    if np.allclose(image.origin_um, other.origin_um, rtol=1e-6, atol=min(voxel_size_um) / 2):
        return None
    places = [" ".join(f"{length + 0.0:.6g}" for length in place) for place in (image.origin_um, other.origin_um)]
    return (
        f"{image_words} begins at ({places[0]}) µm and {words} at ({places[1]}) µm; they are paired voxel by voxel, so "
        "check that both are of the same volume."
    )
