"""Split foreground into single objects: seeds, watershed, and merging of weakly separated basins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

from napari_unet3d.configs import PostProcessing
from napari_unet3d.data.geometry import Geometry

_OUTSIDE = np.float32(-2)  # below any height of the landscape, which ranges from -1 to 1


def split_instances(
    probability: NDArray[np.float32],
    maps: NDArray[np.floating[Any]],
    settings: PostProcessing,
    geometry: Geometry,
) -> NDArray[np.unsignedinteger[Any]]:
    """Return an id for each object of a prediction.

    Distance and boundary form a landscape in which objects are peaks: ``(1 - w) * distance - w * boundary`` with
    ``w = settings.boundary_weight``, smoothed by a Gaussian whose standard deviation is the shortest side of a voxel.
    A watershed (scikit-image) assigns the foreground to the local maxima. Then basins are merged, starting at the
    highest saddle, unless the lower peak rises by at least ``settings.seed_prominence`` above the saddle between
    them. The objects are those of a watershed from h-maxima as seeds (both select maxima by their dynamics, Grimaud
    1992), without the slow reconstruction.

    Every foreground voxel belongs to an object, and every connected component contains at least one object. Objects
    below the minimum volume are removed, and those whose distance is below ``settings.seed_confidence`` everywhere:
    an object of any size has a distance of 1 at its centre, while a speck of noise in the foreground hardly has any.

    Parameters
    ----------
    probability : ndarray of float32, shape (z, y, x)
        Probability of foreground.
    maps : ndarray of float16, shape (2, z, y, x)
        Boundary and distance, from 0 to 1; NaN counts as 0.
    settings : PostProcessing
        Threshold, minimum volume, and the settings for single objects.
    geometry : Geometry
        Voxel size, in µm or unknown.

    Returns
    -------
    ndarray of unsigned integers, shape (z, y, x)
        0 is background; objects are 1, 2, … in the order of their peaks along z, y, x, in the smallest type.

    Examples
    --------
    >>> from napari_unet3d.data.geometry import UNKNOWN
    >>> probability = np.array([[[0.9, 0.9, 0.1, 0.8, 0.8]]], dtype=np.float32)
    >>> boundary, distance = np.zeros((1, 1, 5)), probability
    >>> split_instances(probability, np.stack([boundary, distance]), PostProcessing(), UNKNOWN)
    array([[[1, 1, 0, 2, 2]]], dtype=uint8)
    """
    foreground = probability >= settings.threshold
    labels = np.zeros(foreground.shape, np.uint8)
    if not foreground.any():
        return labels
    box = ndimage.find_objects(foreground.view(np.uint8))[0]
    merged = separate_basins(foreground[box], maps[:, *box], settings, geometry)
    objects = _remove_noise(merged, distance_in(maps[:, *box]), settings, geometry)
    labels = labels.astype(objects.dtype)
    labels[box] = objects
    return labels


def distance_in(maps: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the distance of the maps (2, z, y, x), from 0 to 1."""
    distance: NDArray[np.float32] = np.clip(np.nan_to_num(maps[1].astype(np.float32)), 0, 1)
    return distance


def separate_basins(
    foreground: NDArray[np.bool_],
    maps: NDArray[np.floating[Any]],
    settings: PostProcessing,
    geometry: Geometry,
) -> NDArray[np.int32]:
    """Separate foreground into objects of any size, including what is removed as noise later.

    Parameters
    ----------
    foreground : ndarray of bool, shape (z, y, x)
        The foreground; at least one voxel is.
    maps, settings, geometry
        As of `split_instances`, with the shape of the foreground.

    Returns
    -------
    ndarray of int32, shape (z, y, x)
        0 is background; the numbers of the objects are not consecutive.
    """
    # One voxel of background on all sides: a constant volume has a maximum then, and index offsets never wrap around.
    inside = np.pad(foreground, 1)
    boundary, distance = np.clip(np.nan_to_num(maps.astype(np.float32)), 0, 1)
    landscape = np.pad(_landscape(boundary, distance, settings.boundary_weight, geometry), 1)
    landscape[~inside] = _OUTSIDE
    peaks, n_peaks = ndimage.label(local_maxima(landscape, connectivity=1) & inside)
    basins = watershed(-landscape, peaks, connectivity=1, mask=inside)
    peak_heights = np.full(n_peaks + 1, _OUTSIDE)
    peak_heights[peaks[peaks > 0]] = landscape[peaks > 0]  # all voxels of a peak have the same height
    merged = _merge_basins(basins, landscape, peak_heights, settings.seed_prominence)
    objects: NDArray[np.int32] = merged[basins][1:-1, 1:-1, 1:-1]
    return objects


def min_voxel_count(min_volume: float, geometry: Geometry) -> float:
    """Return the number of voxels in a volume, minus a tolerance for rounding errors.

    Examples
    --------
    >>> round(min_voxel_count(10, Geometry((2.0, 0.5, 0.5))))
    20
    """
    return min_volume / geometry.voxel_volume * (1 - 1e-9)


def _landscape(
    boundary: NDArray[np.float32], distance: NDArray[np.float32], boundary_weight: float, geometry: Geometry
) -> NDArray[np.float32]:
    rough = (1 - boundary_weight) * distance - boundary_weight * boundary
    sigma = min(geometry.spacing)
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(
        rough, [sigma / size for size in geometry.spacing], mode="nearest"
    )
    return smooth


def _merge_basins(
    basins: NDArray[np.int32],
    landscape: NDArray[np.float32],
    peak_heights: NDArray[np.float32],
    min_prominence: float,
) -> NDArray[np.int32]:
    """Return the basin that each basin is merged into, or itself if its peak is prominent enough."""
    parents = np.arange(len(peak_heights))

    def find_root(basin: int) -> int:
        while parents[basin] != basin:
            parents[basin] = parents[parents[basin]]  # path compression
            basin = int(parents[basin])
        return basin

    for first, second, saddle_height in zip(*_saddles(basins, landscape), strict=True):
        low, high = sorted((find_root(first), find_root(second)), key=lambda basin: (peak_heights[basin], -basin))
        if peak_heights[low] - saddle_height < min_prominence:
            parents[low] = high
    return np.array([find_root(basin) for basin in range(len(parents))], np.int32)


def _saddles(basins: NDArray[np.int32], landscape: NDArray[np.float32]) -> tuple[list[int], list[int], list[float]]:
    """Return pairs of adjacent basins and the height of the highest saddle between them, highest first.

    The height at a face between two voxels is that of the lower one. Where three basins meet, two saddles can be the
    same voxel; the order is then decided by the height of the other voxel, since the numbering of the basins would
    treat a mirrored volume differently.
    """
    flat, height = basins.ravel(), landscape.ravel()
    voxels = np.flatnonzero(flat)
    pairs, lower, upper = [], [], []
    for axis in range(3):
        step = int(np.prod(basins.shape[axis + 1 :]))
        basin, neighbour = flat[voxels], flat[voxels + step]
        meet = np.flatnonzero((basin != neighbour) & (neighbour > 0))
        faces = voxels[meet]
        pairs.append(np.sort([basin[meet], neighbour[meet]], axis=0))
        lower.append(np.minimum(height[faces], height[faces + step]))
        upper.append(np.maximum(height[faces], height[faces + step]))
    pair, saddle_height = np.concatenate(pairs, axis=1), np.concatenate(lower)
    order = np.lexsort((pair[1], pair[0], -np.concatenate(upper), -saddle_height))
    key = pair[0].astype(np.int64) * (int(flat.max()) + 1) + pair[1]
    best = order[np.sort(np.unique(key[order], return_index=True)[1])]
    return pair[0][best].tolist(), pair[1][best].tolist(), saddle_height[best].tolist()


def _remove_noise(
    objects: NDArray[np.int32], distance: NDArray[np.float32], settings: PostProcessing, geometry: Geometry
) -> NDArray[np.unsignedinteger[Any]]:
    counts = np.bincount(objects.ravel())
    has_centre = np.bincount(objects[distance >= settings.seed_confidence], minlength=len(counts)) > 0
    keep = has_centre & (counts >= min_voxel_count(settings.min_volume, geometry))
    keep[0] = False
    ids = np.where(keep, np.cumsum(keep), 0)
    return ids.astype(np.min_scalar_type(int(ids.max())))[objects]
