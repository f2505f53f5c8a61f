"""Regions of wrong voxels: one per error, without the boundary noise that would connect them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.evaluation.errors.distances import inner_distance
from napari_unet3d.evaluation.errors.types import Box, Position
from napari_unet3d.evaluation.errors.voxels import Places, connected_components

Numbers = NDArray[np.int32]

_NEIGHBOURS = [offset for offset in product((-1, 0, 1), repeat=3) if any(offset)]
RELATIVE_ERROR = 1e-6  # of a depth, which is a square root
_AT_ONCE = 50_000  # voxels, which fit into the cache of the processor
_SOME = 32  # voxels of a region that are checked before all of them


@dataclass(frozen=True, slots=True, eq=False)
class ErrorRegion:
    """Wrong voxels that are connected.

    Attributes
    ----------
    places : ndarray of int64, shape (voxel,)
        Their indices in the flattened volume, ascending.
    box_zyx : tuple of tuple of int
        Start and stop along z, y, x.
    depth : float
        Depth of the deepest voxel in the unit of `spacing`.
    position_zyx : tuple of int
        The deepest voxel; of several the one nearest to the centre.
    """

    places: Places
    box_zyx: Box
    depth: float
    position_zyx: Position


@dataclass(frozen=True, slots=True, eq=False)
class ErrorComponents:
    """All regions of connected wrong voxels, before boundary noise is separated from deeper errors.

    Attributes
    ----------
    places : ndarray of int64, shape (voxel,)
        Indices of the voxels in the flattened volume, ascending.
    numbers : ndarray of int32, shape (voxel,)
        The region of each, from 0.
    is_whole : ndarray of bool, shape (region,)
        Which regions touch no correct voxel of the same structure, so that they are the whole of it.
    shape : tuple of int
        Shape of the volume.
    """

    places: Places
    numbers: Numbers
    is_whole: NDArray[np.bool_]
    shape: tuple[int, ...]


def make_region(places: Places, depths: NDArray[np.float32], shape: Sequence[int]) -> ErrorRegion:
    """Return the region of some voxels from the depth of each."""
    voxels = np.unravel_index(places, tuple(shape))
    deepest = np.flatnonzero(depths >= depths.max() * (1 - RELATIVE_ERROR))
    from_centre = sum(np.abs(along[deepest] - along.mean()) for along in voxels)
    most_central = deepest[np.argmin(from_centre)]
    z, y, x = (int(along[most_central]) for along in voxels)
    return ErrorRegion(places, box_of(voxels), float(depths[most_central]), (z, y, x))


def box_of(voxels: Sequence[NDArray[np.int64]]) -> Box:
    """Return the bounding box of voxels from their coordinates along z, y and x."""
    z, y, x = ((int(along.min()), int(along.max()) + 1) for along in voxels)
    return z, y, x


def adjacent(
    places: Places, numbers: Numbers, n_regions: int, is_right: Callable[..., Any], shape: Sequence[int]
) -> NDArray[np.bool_]:
    """Return which regions touch a correct voxel.

    Parameters
    ----------
    places : ndarray of int64, shape (voxel,)
        Indices of the voxels in the flattened volume.
    numbers : ndarray of int32, shape (voxel,)
        The region of each.
    n_regions : int
        Number of regions.
    is_right : callable
        Return of voxels, and of the regions next to them, whether they are correct.
    shape : sequence of int
        Shape of the volume.

    Returns
    -------
    ndarray of bool, shape (region,)
        Whether any neighbour of its voxels is correct.
    """
    touches = np.zeros(n_regions, bool)
    last = np.array(shape) - 1
    # For nearly all regions a few voxels are sufficient, and the largest ones have very many.
    for chosen in (_some_of_each(numbers, n_regions), slice(None)):
        mine, at = numbers[chosen], places[chosen]
        unknown = ~touches[mine]
        mine, voxels = mine[unknown], np.stack(np.unravel_index(at[unknown], tuple(shape)), axis=1)
        for offset in _NEIGHBOURS:
            neighbours = np.clip(voxels + offset, 0, last)
            touches[mine[is_right(np.ravel_multi_index(tuple(neighbours.T), tuple(shape)), mine)]] = True
            unknown = ~touches[mine]
            mine, voxels = mine[unknown], voxels[unknown]
    return touches


def _some_of_each(numbers: Numbers, n_regions: int) -> NDArray[np.int64]:
    """Return some voxels of each region, or all if it has few."""
    steps = np.maximum(1, np.bincount(numbers, minlength=n_regions) // _SOME)
    return np.flatnonzero(np.arange(len(numbers)) % steps[numbers] == 0)


def by_number(numbers: NDArray[np.integer[Any]]) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of the voxels with each number, in the order of the numbers."""
    numbers = numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))  # narrower types are sorted faster
    order = np.argsort(numbers, kind="stable")
    in_order = numbers[order]
    ends = np.flatnonzero(in_order[1:] != in_order[:-1]) + 1
    for start, stop in pairwise([0, *ends.tolist(), len(numbers)]):
        if stop > start:
            yield order[start:stop]


def measure_thickness(places: Places, shape: Sequence[int], spacing: VoxelSize) -> NDArray[np.float32]:
    """Return the distance of each voxel of a region from the surface of the region in the unit of `spacing`."""
    voxels = np.unravel_index(places, tuple(shape))
    inside = tuple(along - along.min() for along in voxels)
    mask = np.zeros([int(along.max()) + 1 for along in inside], bool)
    mask[inside] = True
    depths: NDArray[np.float32] = inner_distance(mask, spacing)[inside].astype(np.float32)
    return depths


def find_cores(
    regions: ErrorComponents, depths: NDArray[np.float32], spacing: VoxelSize, tolerance: float
) -> NDArray[np.bool_]:
    """Return which voxels are deeper than the tolerance, and therefore no boundary noise.

    A whole structure is never divided, and is noise only if it is not longer than twice the tolerance: a long and thin
    structure that was missed is no noise, however thin it is.

    Parameters
    ----------
    regions : ErrorComponents
        The wrong voxels.
    depths : ndarray of float32, shape (voxel,)
        Distance of each from the surface of the ground truth in the unit of `spacing`.
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of the distances.
    tolerance : float
        Depth of boundary noise in the unit of `spacing`.

    Returns
    -------
    ndarray of bool, shape (voxel,)
        Which voxels are no noise.
    """
    places, numbers = regions.places, regions.numbers
    highest = deepest_noise(tolerance)
    is_core: NDArray[np.bool_] = depths > highest
    whole = np.flatnonzero(regions.is_whole[numbers])
    if len(whole):
        whole = whole[np.argsort(numbers[whole], kind="stable")]
        starts = np.flatnonzero(np.diff(numbers[whole], prepend=-1))
        is_kept = np.logical_or.reduceat(is_core[whole], starts)
        for along, size in zip(np.unravel_index(places[whole], regions.shape), spacing, strict=True):
            length = (np.maximum.reduceat(along, starts) - np.minimum.reduceat(along, starts) + 1) * size
            is_kept |= length > 2 * highest
        is_core[whole] = np.repeat(is_kept, np.diff(starts, append=len(whole)))
    return is_core


def split_components(regions: ErrorComponents, is_core: NDArray[np.bool_], n_steps: int) -> tuple[Numbers, int]:
    """Return one region for each error.

    Where noise connects deeper parts, such as when a prediction is slightly too wide everywhere, each of them is a
    separate region, with the noise next to it.

    Parameters
    ----------
    regions : ErrorComponents
        The wrong voxels.
    is_core : ndarray of bool, shape (voxel,)
        Which voxels are no noise.
    n_steps : int
        Distance in voxels up to which noise belongs to the error next to it.

    Returns
    -------
    tuple of ndarray of int32, shape (voxel,), and int
        The error of each voxel, from 1, or 0 for other noise; and the number of errors.
    """
    places, numbers = regions.places, regions.numbers
    cores, n_cores = connected_components(places[is_core], numbers[is_core], regions.shape)
    rank = np.empty(n_cores, np.int32)
    by_size = np.argsort(np.bincount(cores, minlength=n_cores), kind="stable")
    rank[by_size] = np.arange(1, n_cores + 1)  # larger ones take precedence
    parts = np.zeros(len(places), np.int32)
    parts[is_core] = rank[cores]
    region_of = np.zeros(n_cores + 1, np.int32)
    region_of[parts[is_core]] = numbers[is_core]
    has_core = np.zeros(len(regions.is_whole), bool)
    has_core[numbers[is_core]] = True
    noise = np.flatnonzero(~is_core & has_core[numbers])
    if len(noise) and n_steps:
        grow(parts, noise, region_of, regions, n_steps)
    return parts, n_cores


def grow(parts: Numbers, noise: NDArray[np.int64], region_of: Numbers, regions: ErrorComponents, n_steps: int) -> None:
    """Assign the noise around each part to it step by step, in place; larger parts take precedence."""
    wide = tuple(side + 2 for side in regions.shape)
    at = np.ravel_multi_index(tuple(along + 1 for along in np.unravel_index(regions.places, regions.shape)), wide)
    strides = np.array((wide[1] * wide[2], wide[2], 1))
    labels = np.zeros(wide, np.int32).reshape(-1)
    labels[at] = parts
    for _ in range(n_steps):
        largest = np.zeros(len(noise), np.int32)
        for start in range(0, len(noise), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            here, mine = at[noise[some]], regions.numbers[noise[some]]
            for stride in (np.array(_NEIGHBOURS) @ strides).tolist():
                neighbours = labels[here + stride]
                neighbours[region_of[neighbours] != mine] = 0
                np.maximum(largest[some], neighbours, out=largest[some])
        labels[at[noise]] = parts[noise] = largest
        noise = noise[largest == 0]
        if not len(noise):
            break


def deepest_noise(tolerance: float) -> float:
    """Return slightly more than a tolerance: a depth of exactly the tolerance is noise, however it is rounded."""
    return tolerance * (1 + RELATIVE_ERROR)


def steps_of(tolerance: float, spacing: VoxelSize) -> int:
    """Return the length of a tolerance in voxels, along the axis with the smallest ones."""
    return ceil(tolerance / min(spacing))
