"""Connected regions of wrong voxels: one per mistake, without the boundary noise that would join them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet3d.data.sample import VoxelSize
from napari_unet3d.evaluation.error_voxels import WrongVoxels
from napari_unet3d.evaluation.true_surfaces import Voxels, thickness

AreWhole = Callable[[WrongVoxels, NDArray[np.int32], int], NDArray[np.bool_]]

_NEIGHBOURS = [offset for offset in product((-1, 0, 1), repeat=3) if any(offset)]
_TOUCHING = np.ones((3, 3, 3), bool)
_RELATIVE_ERROR = 1e-6  # a depth of exactly the tolerance is noise, however its square root is rounded


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Wrong voxels that hang together.

    Attributes
    ----------
    voxels : ndarray of int32, shape (voxel, 3)
        Places z, y, x.
    depth_um : float
        Depth of the deepest.
    deepest : int
        Which of them that is; of several the one nearest to the middle.
    is_whole : bool
        Whether it touches nothing that is right, and so is no part of a thing, but all of it.
    """

    voxels: Voxels
    depth_um: float
    deepest: int
    is_whole: bool


@dataclass(frozen=True, slots=True, eq=False)
class Connected:
    """Wrong voxels that hang together, before noise is told from what is deeper.

    Attributes
    ----------
    group : WrongVoxels
        What is wrong with them.
    voxels : ndarray of int32, shape (voxel, 3)
        Places z, y, x.
    is_whole : bool
        Whether it is no part of a thing, but all of it.
    """

    group: WrongVoxels
    voxels: Voxels
    is_whole: bool


def connected_regions(group: WrongVoxels, are_whole: AreWhole) -> Iterator[Connected]:
    """Take wrong voxels apart into regions that hang together.

    Voxels that touch with a face, an edge or a corner do: a thin thing that runs across the grid is one mistake then,
    and not as many as it has steps.

    Parameters
    ----------
    group : WrongVoxels
        The voxels.
    are_whole : callable
        Says of regions, given as the group, the number of each voxel's region from 0 and how many there are, which
        ones are whole things.
    """
    numbers, n_regions = _connected(group.voxels)
    is_whole = are_whole(group, numbers, n_regions)
    voxels = group.voxels[np.argsort(numbers, kind="stable")]
    ends = np.cumsum(np.bincount(numbers, minlength=n_regions)).tolist()
    for number, (start, stop) in enumerate(pairwise([0, *ends])):
        yield Connected(group, voxels[start:stop], bool(is_whole[number]))


def _connected(voxels: Voxels) -> tuple[NDArray[np.int32], int]:
    """Give the number of each voxel's region, from 0, and how many regions there are."""
    start = voxels.min(axis=0)
    places = tuple((voxels - start).T)
    mask = np.zeros(voxels.max(axis=0) - start + 1, bool)
    mask[places] = True
    labels, n_regions = ndimage.label(mask, _TOUCHING)
    return labels[places] - 1, n_regions


def touching(voxels: Voxels, numbers: NDArray[np.int32], n_regions: int, right: Any, shape: Any) -> NDArray[np.bool_]:
    """Say which regions touch something.

    Parameters
    ----------
    voxels : ndarray of int32, shape (voxel, 3)
        Places z, y, x.
    numbers : ndarray of int32, shape (voxel,)
        The region of each.
    n_regions : int
        How many there are.
    right : callable
        Says of voxels, given as a tuple of three indices, whether they are what may be touched.
    shape : tuple of int
        Shape of the volume.

    Returns
    -------
    ndarray of bool, shape (region,)
        Whether a neighbour of any of its voxels is.
    """
    touches = np.zeros(n_regions, bool)
    last = np.array(shape) - 1
    for offset in _NEIGHBOURS:
        unknown = ~touches[numbers]
        voxels, numbers = voxels[unknown], numbers[unknown]
        beside = np.clip(voxels + np.array(offset, np.int32), 0, last)
        touches[numbers[right(tuple(beside.T))]] = True
    return touches


def separate(
    region: Connected, depths: NDArray[np.float32], voxel_size_um: VoxelSize, tolerance_um: float
) -> Iterator[Region]:
    """Give one region for each mistake, and nothing for boundary noise.

    Boundary noise is what never goes deeper than the tolerance. Where noise joins deeper parts, as when a prediction
    is a little too wide everywhere, each of these is a region of its own, with the noise right around it. What is
    whole is never taken apart, and is noise only if it is no longer than twice the tolerance: something long and thin
    that was missed is no noise, however thin.

    Parameters
    ----------
    region : Connected
        Voxels that hang together.
    depths : ndarray of float32, shape (voxel,)
        Distance of each from the surface that it should have kept to in µm.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    tolerance_um : float
        Depth of boundary noise in µm.
    """
    voxels, highest = region.voxels, tolerance_um * (1 + _RELATIVE_ERROR)
    is_deep = depths > highest
    if region.is_whole:
        length = (np.ptp(voxels, axis=0) + 1) * voxel_size_um
        if is_deep.any() or length.max() > 2 * highest:
            yield _region(voxels, depths, is_whole=True)
    elif is_deep.all():
        yield _region(voxels, depths, is_whole=False)
    elif is_deep.any():
        parts = _parts(voxels, is_deep, ceil(tolerance_um / min(voxel_size_um)))
        order = np.argsort(parts, kind="stable")
        ends = np.cumsum(np.bincount(parts))
        for start, stop in pairwise(ends):
            mine = order[start:stop]
            yield _region(voxels[mine], depths[mine], is_whole=False)


def measure_thickness(voxels: Voxels, voxel_size_um: VoxelSize) -> NDArray[np.float32]:
    """Give the distance in µm of each voxel of a region from the region's own surface."""
    start = voxels.min(axis=0)
    places = tuple((voxels - start).T)
    mask = np.zeros(voxels.max(axis=0) - start + 1, bool)
    mask[places] = True
    depths: NDArray[np.float32] = thickness(mask, voxel_size_um)[places].astype(np.float32)
    return depths


def _region(voxels: Voxels, depths: NDArray[np.float32], *, is_whole: bool) -> Region:
    deepest = np.flatnonzero(depths >= depths.max() * (1 - _RELATIVE_ERROR))
    from_middle = np.abs(voxels[deepest] - voxels.mean(axis=0)).sum(axis=1)
    most_central = int(deepest[np.argmin(from_middle)])
    return Region(voxels, float(depths[most_central]), most_central, is_whole)


def _parts(voxels: Voxels, is_deep: NDArray[np.bool_], n_steps: int) -> NDArray[np.int32]:
    """Give numbers from 1 to the deep parts of a region, with the noise within some steps; 0 is other noise."""
    start = voxels.min(axis=0) - 1
    places = tuple((voxels - start).T)
    cores, n_cores = _connected(voxels[is_deep])
    rank = np.empty(n_cores, np.int32)
    rank[np.argsort(np.bincount(cores), kind="stable")] = np.arange(1, n_cores + 1)  # the largest is stronger
    labels = np.zeros(voxels.max(axis=0) - start + 2, np.int32)
    labels[tuple(place[is_deep] for place in places)] = rank[cores]
    is_open = ~is_deep
    for _ in range(n_steps):
        noise = voxels[is_open] - start
        if not len(noise):
            break
        strongest = np.zeros(len(noise), np.int32)
        for offset in _NEIGHBOURS:
            np.maximum(strongest, labels[tuple((noise + np.array(offset, np.int32)).T)], out=strongest)
        labels[tuple(noise.T)] = strongest
        is_open = labels[places] == 0
    parts: NDArray[np.int32] = labels[places]
    return parts
