"""Labels of a part of an image, placed where they belong: 3D Slicer saves segmentations without empty margins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.geometry import Geometry, similar_voxel_sizes
from napari_unet3d.data.sample import Shape3D

_SUFFIX = ".seg.nrrd"
_TOLERANCE = 0.02  # of a voxel


def is_cropped(path: str) -> bool:
    """Return whether a file may hold labels without the empty margins of its image."""
    return path.lower().endswith(_SUFFIX)


def place_labels(
    labels: NDArray[Any], own: Geometry, image: Geometry, shape: Shape3D
) -> tuple[NDArray[Any], tuple[int, int, int]] | None:
    """Return labels with the shape of their image, 0 outside, and where they begin in it.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x)
        Labels of a part.
    own, image : Geometry
        Where the part and the image lie, with the same directions.
    shape : tuple of int
        Shape of the image.

    Returns
    -------
    ndarray and tuple of int, or None
        None if it is not known where the part lies, or not exactly on the voxels of the image and inside it.
    """
    is_known = None not in (own.origin, image.origin, own.directions, image.directions)
    if not is_known or own.frame != image.frame or own.is_um != image.is_um or not similar_voxel_sizes(own, image):
        return None
    moved = np.asarray(own.origin, float) - np.asarray(image.origin, float)
    sizes = np.asarray(image.sizes, float)
    first = (np.linalg.inv(np.asarray(image.directions, float).T) @ moved)[::-1] / sizes
    start = np.rint(first)
    stop = start + labels.shape
    if not (np.abs(first - start) <= _TOLERANCE).all() or (start < 0).any() or (stop > shape).any():
        return None
    z, y, x = (int(index) for index in start)
    placed = np.zeros(shape, labels.dtype)
    placed[tuple(slice(at, at + length) for at, length in zip((z, y, x), labels.shape, strict=True))] = labels
    return placed, (z, y, x)
