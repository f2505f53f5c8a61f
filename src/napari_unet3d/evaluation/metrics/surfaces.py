"""Distances between the surfaces of two masks: Hausdorff distance (HD95) and surface Dice (NSD)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.geometry import VoxelSize

Mask = NDArray[np.bool_]

PERCENTILE = 95
"""The percentile of HD95."""
_RELATIVE_ERROR = 1e-6  # so that a distance of exactly the tolerance counts, however its square root is rounded


@dataclass(frozen=True, slots=True)
class SurfaceScores:
    """Distances between two surfaces.

    Attributes
    ----------
    hd95 : float or None
        95th percentile of the distances from one surface to the other, the larger of both directions; None when
        only one of the masks has a surface.
    nsd : float
        Fraction of both surfaces that is within the tolerance of the other one, from 0 to 1.
    """

    hd95: float | None
    nsd: float


def compare_surfaces(
    predicted: Mask, target: Mask, spacing: VoxelSize, tolerance: float, annotated: Mask | None = None
) -> SurfaceScores:
    """Compare the surfaces of two masks.

    Distances run from the centre of a surface voxel to that of the nearest one of the other mask, and every surface
    voxel counts the same; see `surface_of`. HD95 is the 95th percentile (Huttenlocher et al. 1993; the larger of the
    two directions, as in `monai.metrics.compute_hausdorff_distance`), NSD the normalised surface Dice of Nikolov et
    al. 2018 with the weights of `monai.metrics.compute_surface_dice`. Two masks that are equal (both empty, for
    example) have HD95 0 and NSD 1. If only one has a surface, or neither has one but the masks differ, HD95 is not
    defined and NSD is 0.

    Time and memory grow with the surfaces, not with the volume: only voxels that are on one surface and not on the
    other are looked up, in a k-d tree.

    Parameters
    ----------
    predicted, target : ndarray of bool, shape (z, y, x)
        Prediction and ground truth; exchanging them changes nothing.
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of the distances.
    tolerance : float
        Distance in the unit of `spacing` up to which surfaces count as the same; 0 requires the same voxels.
    annotated : ndarray of bool, shape (z, y, x), optional
        Where the ground truth is known; without it, everywhere.
    """
    if annotated is not None:
        predicted, target = predicted & annotated, target & annotated
    box = _common_box(predicted, target)
    if box is None or np.array_equal(predicted, target):
        return SurfaceScores(hd95=0.0, nsd=1.0)
    one, other = (_surface_in(box, mask, annotated) for mask in (predicted, target))
    if not one.any() or not other.any():
        return SurfaceScores(hd95=None, nsd=0.0)
    forward, backward = _distances(one, other, spacing), _distances(other, one, spacing)
    highest = highest_close(tolerance)
    n_close = np.count_nonzero(forward <= highest) + np.count_nonzero(backward <= highest)
    return SurfaceScores(
        hd95=float(max(np.percentile(forward, PERCENTILE), np.percentile(backward, PERCENTILE))),
        nsd=n_close / (forward.size + backward.size),
    )


def highest_close(tolerance: float) -> float:
    """Return slightly more than a tolerance: a distance of exactly the tolerance counts, however it is rounded."""
    return tolerance * (1 + _RELATIVE_ERROR)


def surface_of(mask: Mask, annotated: Mask | None = None) -> Mask:
    """Return the voxels of a mask of which at least one of the six faces touches another value.

    Everything outside of the volume counts as background, as it does in MONAI: a mask that reaches the border of the
    volume has a surface there. A face towards voxels that are not annotated is no surface, because it is not known
    what is behind it. Where the annotation is a single slice at the border, the border beyond it is no surface either
    (the neighbour on the opposite side decides); otherwise the whole slice would be one.

    Parameters
    ----------
    mask : ndarray of bool, shape (z, y, x)
        False where nothing is annotated.
    annotated : ndarray of bool, shape (z, y, x), optional
        Where the mask is known; without it, everywhere.

    Returns
    -------
    ndarray of bool, shape (z, y, x)
        True on the surface.
    """
    touches_background = ~np.pad(mask, 1)
    if annotated is not None:
        touches_background &= np.pad(annotated, 1, mode="reflect")
    surface = np.zeros_like(mask)
    for axis in range(3):
        for start in (0, 2):
            neighbours = [slice(1, -1)] * 3
            neighbours[axis] = slice(start, start + mask.shape[axis])
            surface |= touches_background[tuple(neighbours)]
    return surface & mask


def _surface_in(box: tuple[slice, ...], mask: Mask, annotated: Mask | None) -> Mask:
    return surface_of(mask[box], None if annotated is None else annotated[box])


def _common_box(predicted: Mask, target: Mask) -> tuple[slice, ...] | None:
    """Return the smallest box around both masks, two voxels wider, or None if both are empty."""
    # Two, since the voxel beyond the border of the volume mirrors the second one.
    box: list[slice] = []
    for axis in range(3):
        others = tuple(number for number in range(3) if number != axis)
        indices = np.flatnonzero(predicted.any(axis=others) | target.any(axis=others))
        if not indices.size:
            return None
        box.append(slice(max(0, int(indices[0]) - 2), int(indices[-1]) + 3))
    return tuple(box)


def _distances(surface: Mask, other: Mask, spacing: VoxelSize) -> NDArray[np.float64]:
    """Return the distance from each voxel of a surface to the nearest one of another, in the unit of `spacing`."""
    distances = np.zeros(np.count_nonzero(surface))
    apart = ~other[surface]
    if apart.any():
        # Points on a grid are evenly distributed: an unbalanced tree is built faster and searched equally fast.
        import scipy  # not before it is needed: the command's help lists metrics

        tree = scipy.spatial.KDTree(_centres(other, spacing), balanced_tree=False, compact_nodes=False)
        distances[apart], _ = tree.query(_centres(surface & ~other, spacing))
    return distances


def _centres(mask: Mask, spacing: VoxelSize) -> NDArray[np.float64]:
    centres: NDArray[np.float64] = np.multiply(np.argwhere(mask), spacing, dtype=np.float64)
    return centres
