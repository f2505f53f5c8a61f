"""The tolerance within which surfaces agree, and up to which errors are boundary noise: one default for all of it."""

from __future__ import annotations

import math

from napari_unet3d.data.geometry import VoxelSize

_DIGITS = 2


def default_tolerance(spacing: VoxelSize) -> float:
    """Return the smallest side of a voxel, rounded up to two digits: what is one voxel off there is boundary noise.

    Annotations are no more exact than that, while an error of two voxels, or of one along a coarser axis, is listed.

    Parameters
    ----------
    spacing : tuple of float
        Size of a voxel along z, y, x, in µm, or in voxels where the voxel size is unknown.

    Examples
    --------
    >>> default_tolerance((2.0, 0.5, 0.5)), default_tolerance((0.3, 0.1625, 0.1625)), default_tolerance((1, 1, 1))
    (0.5, 0.17, 1.0)
    """
    smallest = float(min(spacing))
    decimals = decimals_of(smallest)
    # Rounded before, so that 0.29 stays what it is although 100 times that is slightly more than 29.
    steps = math.ceil(round(smallest * 10.0**decimals, 6))
    return float(round(steps / 10.0**decimals, max(decimals, 0)))


def decimals_of(length: float) -> int:
    """Return how many decimals of a length above 0 the default tolerance has; negative for large ones."""
    return _DIGITS - 1 - math.floor(math.log10(length))


def tolerance_for(spacing: VoxelSize, chosen: float | None) -> float:
    """Return the chosen tolerance, or the default for voxels of a size where none is chosen.

    Examples
    --------
    >>> tolerance_for((2.0, 0.5, 0.5), None), tolerance_for((2.0, 0.5, 0.5), 0.0)
    (0.5, 0.0)
    """
    return default_tolerance(spacing) if chosen is None else chosen
