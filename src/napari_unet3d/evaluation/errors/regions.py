"""Regions of wrong voxels: one per mistake, without the boundary noise that would join them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.sample import VoxelSize
from napari_unet3d.evaluation.errors.distances import inner_distance
from napari_unet3d.evaluation.errors.types import Box, Position
from napari_unet3d.evaluation.errors.voxels import Places, connected_components

Numbers = NDArray[np.int32]

_NEIGHBOURS = [offset for offset in product((-1, 0, 1), repeat=3) if any(offset)]
_RELATIVE_ERROR = 1e-6  # of a depth, which is a square root
_AT_ONCE = 50_000  # voxels, few enough for the processor's cache
_SOME = 32  # voxels of a region that are looked at before all are


@dataclass(frozen=True, slots=True, eq=False)
class ErrorRegion:
    """Wrong voxels that hang together.

    Attributes
    ----------
    places : ndarray of int64, shape (voxel,)
        Where they are in the flat volume, ascending.
    box_zyx : tuple of tuple of int
        First voxel and the one after the last along z, y, x.
    depth_um : float
        Depth of the deepest.
    position_zyx : tuple of int
        The deepest; of several the one nearest to the middle.
    """

    places: Places
    box_zyx: Box
    depth_um: float
    position_zyx: Position


@dataclass(frozen=True, slots=True, eq=False)
class ErrorComponents:
    """All regions of wrong voxels that hang together, before noise is told from what is deeper.

    Attributes
    ----------
    places : ndarray of int64, shape (voxel,)
        Where the voxels are in the flat volume, ascending.
    numbers : ndarray of int32, shape (voxel,)
        The region of each, from 0.
    is_complete : ndarray of bool, shape (region,)
        Which regions touch nothing that is right, and so are no part of a thing, but all of it.
    shape : tuple of int
        Shape of the volume.
    """

    places: Places
    numbers: Numbers
    is_whole: NDArray[np.bool_]
    shape: tuple[int, ...]


def make_region(places: Places, depths: NDArray[np.float32], shape: Sequence[int]) -> ErrorRegion:
    """Find out what a region of voxels is like from the depth of each."""
    voxels = np.unravel_index(places, tuple(shape))
    deepest = np.flatnonzero(depths >= depths.max() * (1 - _RELATIVE_ERROR))
    from_middle = sum(np.abs(along[deepest] - along.mean()) for along in voxels)
    most_central = deepest[np.argmin(from_middle)]
    z, y, x = (int(along[most_central]) for along in voxels)
    return ErrorRegion(places, box_of(voxels), float(depths[most_central]), (z, y, x))


def box_of(voxels: Sequence[NDArray[np.int64]]) -> Box:
    """Return the box around voxels, whose places are given along z, y and x."""
    z, y, x = ((int(along.min()), int(along.max()) + 1) for along in voxels)
    return z, y, x


def adjacent(
    places: Places, numbers: Numbers, n_regions: int, is_right: Callable[..., Any], shape: Sequence[int]
) -> NDArray[np.bool_]:
    """Say which regions touch something that is right.

    Parameters
    ----------
    places : ndarray of int64, shape (voxel,)
        Where the voxels are in the flat volume.
    numbers : ndarray of int32, shape (voxel,)
        The region of each.
    n_regions : int
        How many there are.
    is_right : callable
        Says of places, and of the numbers of the regions beside them, whether they may be touched.
    shape : sequence of int
        Shape of the volume.

    Returns
    -------
    ndarray of bool, shape (region,)
        Whether a neighbour of any of its voxels is.
    """
    touches = np.zeros(n_regions, bool)
    last = np.array(shape) - 1
    # Nearly all touch something with a few voxels, of which the largest regions have very many more.
    for chosen in (_some_of_each(numbers, n_regions), slice(None)):
        mine, at = numbers[chosen], places[chosen]
        unknown = ~touches[mine]
        mine, voxels = mine[unknown], np.stack(np.unravel_index(at[unknown], tuple(shape)), axis=1)
        for offset in _NEIGHBOURS:
            beside = np.clip(voxels + offset, 0, last)
            touches[mine[is_right(np.ravel_multi_index(tuple(beside.T), tuple(shape)), mine)]] = True
            unknown = ~touches[mine]
            mine, voxels = mine[unknown], voxels[unknown]
    return touches


def _some_of_each(numbers: Numbers, n_regions: int) -> NDArray[np.int64]:
    """Return some voxels of each region, all where it has few."""
    steps = np.maximum(1, np.bincount(numbers, minlength=n_regions) // _SOME)
    return np.flatnonzero(np.arange(len(numbers)) % steps[numbers] == 0)


def by_number(numbers: NDArray[np.integer[Any]]) -> Iterator[NDArray[np.int64]]:
    """Return which voxels each number has, in the order of the numbers."""
    numbers = numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))  # the narrower, the sooner sorted
    order = np.argsort(numbers, kind="stable")
    in_order = numbers[order]
    ends = np.flatnonzero(in_order[1:] != in_order[:-1]) + 1
    for start, stop in pairwise([0, *ends.tolist(), len(numbers)]):
        if stop > start:
            yield order[start:stop]


def measure_thickness(places: Places, shape: Sequence[int], voxel_size_um: VoxelSize) -> NDArray[np.float32]:
    """Return the distance in µm of each voxel of a region from the region's own surface."""
    voxels = np.unravel_index(places, tuple(shape))
    inside = tuple(along - along.min() for along in voxels)
    mask = np.zeros([int(along.max()) + 1 for along in inside], bool)
    mask[inside] = True
    depths: NDArray[np.float32] = inner_distance(mask, voxel_size_um)[inside].astype(np.float32)
    return depths


def find_cores(
    regions: ErrorComponents, depths: NDArray[np.float32], voxel_size_um: VoxelSize, tolerance_um: float
) -> NDArray[np.bool_]:
    """Tell mistakes from boundary noise, which is what never goes deeper than the tolerance.

    What is whole is never taken apart, and is noise only if it is no longer than twice the tolerance: something long
    and thin that was missed is no noise, however thin.

    Parameters
    ----------
    regions : Connected
        The wrong voxels.
    depths : ndarray of float32, shape (voxel,)
        Distance of each from the surface that it should have kept to in µm.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    tolerance_um : float
        Depth of boundary noise in µm.

    Returns
    -------
    ndarray of bool, shape (voxel,)
        Which are no noise.
    """
    places, numbers = regions.places, regions.numbers
    highest = deepest_noise(tolerance_um)
    is_core: NDArray[np.bool_] = depths > highest
    whole = np.flatnonzero(regions.is_whole[numbers])
    if len(whole):
        whole = whole[np.argsort(numbers[whole], kind="stable")]
        starts = np.flatnonzero(np.diff(numbers[whole], prepend=-1))
        is_kept = np.logical_or.reduceat(is_core[whole], starts)
        for along, size in zip(np.unravel_index(places[whole], regions.shape), voxel_size_um, strict=True):
            length = (np.maximum.reduceat(along, starts) - np.minimum.reduceat(along, starts) + 1) * size
            is_kept |= length > 2 * highest
        is_core[whole] = np.repeat(is_kept, np.diff(starts, append=len(whole)))
    return is_core


def split_components(regions: ErrorComponents, is_core: NDArray[np.bool_], n_steps: int) -> tuple[Numbers, int]:
    """Return one region for each mistake.

    Where noise joins deeper parts, as when a prediction is a little too wide everywhere, each of these is a region of
    its own, with the noise right around it.

    Parameters
    ----------
    regions : Connected
        The wrong voxels.
    is_core : ndarray of bool, shape (voxel,)
        Which are no noise.
    n_steps : int
        How far around a mistake noise belongs to it, in voxels.

    Returns
    -------
    tuple of ndarray of int32, shape (voxel,), and int
        Numbers from 1 of the mistakes, 0 for what else is noise, and how many mistakes there are.
    """
    places, numbers = regions.places, regions.numbers
    cores, n_cores = connected_components(places[is_core], numbers[is_core], regions.shape)
    rank = np.empty(n_cores, np.int32)
    by_size = np.argsort(np.bincount(cores, minlength=n_cores), kind="stable")
    rank[by_size] = np.arange(1, n_cores + 1)  # the largest is stronger
    parts = np.zeros(len(places), np.int32)
    parts[is_core] = rank[cores]
    region_of = np.zeros(n_cores + 1, np.int32)
    region_of[parts[is_core]] = numbers[is_core]
    has_core = np.zeros(len(regions.is_whole), bool)
    has_core[numbers[is_core]] = True
    noise = np.flatnonzero(~is_core & has_core[numbers])
    if len(noise) and n_steps:
        _grow(parts, noise, region_of, regions, n_steps)
    return parts, n_cores


def _grow(parts: Numbers, noise: NDArray[np.int64], region_of: Numbers, regions: ErrorComponents, n_steps: int) -> None:
    """Return the noise around each part to it, the strongest first, step by step, in place."""
    wide = tuple(side + 2 for side in regions.shape)
    at = np.ravel_multi_index(tuple(along + 1 for along in np.unravel_index(regions.places, regions.shape)), wide)
    strides = np.array((wide[1] * wide[2], wide[2], 1))
    labels = np.zeros(wide, np.int32).reshape(-1)
    labels[at] = parts
    for _ in range(n_steps):
        strongest = np.zeros(len(noise), np.int32)
        for start in range(0, len(noise), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            here, mine = at[noise[some]], regions.numbers[noise[some]]
            for stride in (np.array(_NEIGHBOURS) @ strides).tolist():
                beside = labels[here + stride]
                beside[region_of[beside] != mine] = 0
                np.maximum(strongest[some], beside, out=strongest[some])
        labels[at[noise]] = parts[noise] = strongest
        noise = noise[strongest == 0]
        if not len(noise):
            break


def deepest_noise(tolerance_um: float) -> float:
    """Return a tolerance, and a little more: a depth of exactly the tolerance is noise, however it is rounded."""
    return tolerance_um * (1 + _RELATIVE_ERROR)


def steps_of(tolerance_um: float, voxel_size_um: VoxelSize) -> int:
    """Return how many voxels a tolerance is long at most."""
    return ceil(tolerance_um / min(voxel_size_um))
