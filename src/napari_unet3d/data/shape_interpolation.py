"""Shapes between painted slices: interpolated from the signed distances to the borders of both."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import scipy  # submodules are loaded on first use, not when a dock opens
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box

_SLAB = 32  # slices


@dataclass(frozen=True, slots=True, eq=False)
class FilledGap:
    """Labels between two painted slices.

    Attributes
    ----------
    axis, first, last : int
        The axis, and the indices of the two painted slices along it.
    box : Box
        Where the labels are.
    labels : ndarray of unsigned integers, shape (z, y, x) of the box
        What is to be painted; 0 where nothing is, which includes what is painted already.
    left_out : tuple of int
        Label values that only one of the two slices has.
    """

    axis: int
    first: int
    last: int
    box: Box
    labels: NDArray[np.unsignedinteger[Any]]
    left_out: tuple[int, ...]


def is_painted(plane: NDArray[Any]) -> bool:
    """Return whether a slice is painted over an area, rather than crossed by the lines that other slices are in it.

    Parameters
    ----------
    plane : ndarray of integers, shape (row, column)
        Labels; 0 where nothing is painted.

    Examples
    --------
    >>> plane = np.zeros((5, 5), int)
    >>> plane[2] = 1
    >>> is_painted(plane)
    False
    >>> plane[3, :2] = 2
    >>> is_painted(plane)
    True
    """
    if not plane.any():
        return False
    there = plane != 0
    pairs = there[1:] & there[:-1]
    return bool((pairs[:, 1:] & pairs[:, :-1]).any())


def gaps_around(labels: NDArray[Any], axis: int, index: int) -> list[tuple[int, int]]:
    """Return the gaps between painted slices that a slice is in, or that it borders on if it is painted.

    Parameters
    ----------
    labels : ndarray of integers, shape (z, y, x)
        Labels; 0 where nothing is painted.
    axis, index : int
        The slice.

    Returns
    -------
    list of tuple of int
        Indices of the painted slices before and after each gap; at most two gaps, each of at least one slice.

    Examples
    --------
    >>> labels = np.zeros((9, 4, 4), int)
    >>> labels[[1, 4, 8], :2, :2] = 1
    >>> gaps_around(labels, 0, 6), gaps_around(labels, 0, 4), gaps_around(labels, 0, 0)
    ([(4, 8)], [(1, 4), (4, 8)], [])
    """
    planes = np.moveaxis(labels, axis, 0)
    before = _first_painted(planes, range(index - 1, -1, -1))
    after = _first_painted(planes, range(index + 1, len(planes)))
    here = _first_painted(planes, range(index, index + 1))
    known = [at for at in (before, here, after) if at is not None]
    return [(one, other) for one, other in pairwise(known) if other - one > 1]


def _first_painted(planes: NDArray[Any], indices: range) -> int | None:
    """Return the first painted one of some slices, which are copied slab by slab: those along x are scattered."""
    for start in range(0, len(indices), _SLAB):
        part = indices[start : start + _SLAB]
        lowest = min(part)
        slab = np.ascontiguousarray(planes[lowest : max(part) + 1])
        found = next((at for at in part if is_painted(slab[at - lowest])), None)
        if found is not None:
            return found
    return None


def interpolate_gap(
    labels: NDArray[Any], axis: int, first: int, last: int, spacing: tuple[float, float, float]
) -> FilledGap:
    """Interpolate the shapes of two painted slices for the slices between them.

    For each label value that both slices have, the signed distance to its border (positive inside) changes linearly
    from one slice to the other. A voxel gets the value with the largest distance, if that is positive. Shapes that do
    not overlap therefore shrink away from both sides.

    Parameters
    ----------
    labels : ndarray of unsigned integers, shape (z, y, x)
        Labels; 0 where nothing is painted. What is painted in the gap stays.
    axis, first, last : int
        The axis, and the two slices along it.
    spacing : tuple of float
        Size of a voxel along z, y, x.

    Examples
    --------
    >>> labels = np.zeros((3, 9, 9), np.uint8)
    >>> labels[0, 3:6, 3:6] = labels[2, 1:8, 1:8] = 2
    >>> gap = interpolate_gap(labels, 0, 0, 2, (1, 1, 1))
    >>> int((gap.labels == 2).sum()), gap.labels[0, 4].tolist()
    (25, [0, 0, 2, 2, 2, 2, 2, 0, 0])
    """
    planes = np.moveaxis(labels, axis, 0)
    rows, columns = _region(planes[first], planes[last])
    one, other = planes[first][rows, columns], planes[last][rows, columns]
    values = [{*np.unique(plane).tolist()} - {0} for plane in (one, other)]
    common = sorted(values[0] & values[1])
    sampling = [size for number, size in enumerate(spacing) if number != axis]
    distances = [[_signed_distance(plane == value, sampling) for plane in (one, other)] for value in common]
    filled = np.zeros((last - first - 1, *one.shape), labels.dtype)
    for number, index in enumerate(range(first + 1, last)):
        part = (index - first) / (last - first)
        largest = np.zeros(one.shape)
        for value, (near, far) in zip(common, distances, strict=True):
            mixed = (1 - part) * near + part * far
            wins = mixed > largest
            filled[number][wins] = value
            largest[wins] = mixed[wins]
        filled[number][planes[index][rows, columns] != 0] = 0
    sides = [rows, columns]
    sides.insert(axis, slice(first + 1, last))
    left_out = tuple(sorted(values[0] ^ values[1]))
    return FilledGap(axis, first, last, (sides[0], sides[1], sides[2]), np.moveaxis(filled, 0, axis), left_out)


def _region(one: NDArray[Any], other: NDArray[Any]) -> tuple[slice, slice]:
    """Return the part of two slices where something is painted, with a margin of one voxel, which counts as outside."""
    there = (one != 0) | (other != 0)
    sides = []
    for along in (1, 0):
        found = np.flatnonzero(there.any(axis=along))
        start, stop = (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0)
        sides.append(slice(max(0, start - 1), min(there.shape[1 - along], stop + 1)))
    return sides[0], sides[1]


def _signed_distance(mask: NDArray[np.bool_], sampling: list[float]) -> NDArray[np.float64]:
    """Return the distance to the border of a mask, positive inside; infinite where there is no border."""
    if mask.all():
        return np.full(mask.shape, float(np.hypot(*np.multiply(mask.shape, sampling))))
    edt = scipy.ndimage.distance_transform_edt
    distance: NDArray[np.float64] = edt(mask, sampling=sampling) - edt(~mask, sampling=sampling)
    return distance
