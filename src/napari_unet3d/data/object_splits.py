"""Splits of an object in labels: between points, or along a cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.object_edits import (
    FULL,
    ObjectChange,
    ObjectEdit,
    Position,
    free_numbers,
    object_box,
    voxel_of,
)
from napari_unet3d.errors import UserError


def split_at_points(
    labels: NDArray[Any],
    number: int,
    points: Sequence[Position],
    spacing: VoxelSize,
    reserved: int | None = None,
) -> ObjectEdit:
    """Split an object into as many as there are points, each of which holds one of them.

    The borders run through the narrowest places between the points: each point climbs to where the object is thickest,
    and from there the distance to the surface is flooded (watershed). Points that climb to the same place share a bulge
    without a narrow place; then each voxel belongs to the nearest point.

    Parameters
    ----------
    labels : ndarray of integers, shape (z, y, x)
        All labels.
    number : int
        The object.
    points : sequence of tuple of int
        Voxels (z, y, x) of the object.
    spacing : tuple of float
        Size of a voxel along z, y, x.
    reserved : int, optional
        A number that is not used; see `free_numbers`.

    Returns
    -------
    ObjectEdit
        The largest part keeps the number.

    Raises
    ------
    UserError
        If there are fewer than two points, or one is not in the object.
    """
    from scipy import ndimage

    distinct = list(dict.fromkeys(points))
    if len(distinct) < 2:
        raise UserError(f"There is {len(distinct)} point in object {number}; click one in each part that it has.")
    box = object_box(labels, number)
    mask = labels[box] == number
    if outside := [point for point in distinct if labels[point] != number]:
        raise UserError(
            f"The point at z, y, x = {outside[0]} is not in object {number}. Clear the points, click again."
        )
    start = np.array([side.start for side in box])
    seeds = [(point - start).tolist() for point in np.array(distinct)]
    # A rim of background, so that the border of the volume is a surface, too.
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), spacing)[1:-1, 1:-1, 1:-1]
    paths = [_climb(depth, mask, seed) for seed in seeds]
    if len({path[-1] for path in paths}) < len(paths):
        parts = _nearest(mask, seeds, spacing)
    else:
        parts = _flooded(-depth, mask, paths)
    return _as_edit(labels, number, box, parts, reserved)


def split_along_cut(
    labels: NDArray[Any],
    number: int,
    line: tuple[Sequence[float], Sequence[float]],
    direction: Sequence[float],
    reserved: int | None = None,
) -> ObjectEdit:
    """Split an object in two along a line that goes through it along a direction, like a knife.

    Parameters
    ----------
    labels : ndarray of integers, shape (z, y, x)
        All labels.
    number : int
        The object.
    line : tuple of two sequences of float
        Beginning and end of the line in voxels (z, y, x).
    direction : sequence of float
        The direction in voxels (z, y, x) along which it cuts, such as the axis of sight.
    reserved : int, optional
        A number that is not used; see `free_numbers`.

    Returns
    -------
    ObjectEdit
        The larger part keeps the number.

    Raises
    ------
    UserError
        If the cut does not divide the object.
    """
    from scipy import ndimage
    from skimage.segmentation import watershed

    box = object_box(labels, number)
    mask = labels[box] == number
    cut, side = _knife(mask.shape, box, line, direction)
    cut &= mask
    pieces, n_pieces = ndimage.label(mask & ~cut, FULL)
    at_cut = set(np.unique(pieces[ndimage.binary_dilation(cut, FULL)]).tolist()) - {0}
    indices = list(range(1, n_pieces + 1))
    is_behind = dict(zip(indices, ndimage.mean(side, pieces, indices) > 0, strict=True)) if indices else {}
    first, second = ({each for each in at_cut if is_behind[each] is np.bool_(behind)} for behind in (False, True))
    if not (first and second):
        raise UserError(
            f"The cut does not divide object {number}. Draw it right across the object, from background to background."
        )
    markers = np.zeros(mask.shape, np.int32)  # pieces that were apart before stay with the first
    markers[pieces > 0] = 1
    markers[np.isin(pieces, list(second))] = 2
    parts = watershed(np.zeros(mask.shape, np.uint8), markers, mask=mask)
    return _as_edit(labels, number, box, parts, reserved)


def _knife(
    shape: tuple[int, ...], box: Box, line: tuple[Sequence[float], Sequence[float]], direction: Sequence[float]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return the voxels of a cut, thick enough to part voxels that share a corner, and on which side of it all are."""
    start, end = np.asarray(line[0], float), np.asarray(line[1], float)
    along, through = end - start, np.asarray(direction, float)
    normal = np.cross(along, through)
    if np.linalg.norm(normal) < 1e-9:
        raise UserError("The cut has no length. Press the mouse button beside the object and drag across it.")
    normal /= np.linalg.norm(normal)
    grid = np.indices(shape, float) + np.array([side.start for side in box]).reshape(3, 1, 1, 1)
    relative = grid - start.reshape(3, 1, 1, 1)
    side: NDArray[np.float64] = np.tensordot(normal, relative, 1)
    # Where on the line a voxel is, seen along the direction.
    across = np.cross(through, normal)
    place = np.tensordot(across, relative, 1) / float(across @ along)
    margin = 0.5 / np.linalg.norm(along)
    is_cut = (np.abs(side) <= 0.5 * np.abs(normal).sum() + 1e-6) & (place >= -margin) & (place <= 1 + margin)
    return is_cut, side


def _climb(depth: NDArray[np.float64], mask: NDArray[np.bool_], seed: list[int]) -> list[Position]:
    """Return the way of the steepest ascent from a voxel to where the object is thickest, as voxels."""
    z, y, x = seed
    way: list[Position] = [(z, y, x)]
    while True:
        low = [max(0, at - 1) for at in way[-1]]
        around = tuple(slice(first, at + 2) for first, at in zip(low, way[-1], strict=True))
        there = np.where(mask[around], depth[around], -1)
        z, y, x = (
            int(at) + first for at, first in zip(np.unravel_index(there.argmax(), there.shape), low, strict=True)
        )
        if depth[z, y, x] <= depth[way[-1]]:
            return way
        way.append((z, y, x))


def _flooded(height: NDArray[np.float64], mask: NDArray[np.bool_], paths: Sequence[list[Position]]) -> NDArray[Any]:
    from skimage.segmentation import watershed

    markers = np.zeros(mask.shape, np.int32)
    for number, path in enumerate(paths, start=1):
        markers[tuple(np.array(path).T)] = number
    for number, path in enumerate(paths, start=1):  # where ways meet, each point stays with its own part
        markers[path[0]] = number
    parts: NDArray[Any] = watershed(height, markers, mask=mask)
    return parts


def _nearest(mask: NDArray[np.bool_], seeds: Sequence[list[int]], spacing: VoxelSize) -> NDArray[Any]:
    voxels = np.argwhere(mask) * spacing
    distances = np.stack([((voxels - np.multiply(seed, spacing)) ** 2).sum(1) for seed in seeds])
    parts = np.zeros(mask.shape, np.int32)
    parts[mask] = 1 + distances.argmin(0)
    return parts


def _as_edit(labels: NDArray[Any], number: int, box: Box, parts: NDArray[Any], reserved: int | None) -> ObjectEdit:
    before = labels[box].copy()
    after = before.copy()
    sizes = np.bincount(parts.ravel())[1:]
    order = (1 + np.argsort(-sizes, kind="stable")).tolist()
    # What no point reaches is another piece of the object, and stays with the largest part.
    numbers = [number, *free_numbers(labels, len(order) - 1, reserved)]
    for part, own in zip(order, numbers, strict=True):
        after[parts == part] = own
    volumes = ", ".join(f"{own} ({sizes[part - 1]} voxels)" for part, own in zip(order, numbers, strict=True))
    places = tuple(voxel_of(after == own, box) for own in numbers)
    change = ObjectChange(box, before, after)
    return ObjectEdit("split", f"Split object {number} into {volumes}.", (change,), tuple(numbers), places)
