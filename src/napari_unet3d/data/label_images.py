"""Whether an array that is called an image holds labels: a mask, classes, or objects with their ids."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WINDOW = 128  # voxels; longest side of a window
_N_PLANES = 6  # that are looked at in memory
_N_LAZY_PLANES = 3  # of an array that is read from files, chunk by chunk
_MOST_CHUNK_BYTES = 2**25  # of such an array that are read at once
_WHOLE = 1e-4  # how far a floating-point label may be from a whole number
_LOWEST = -1  # a common value of voxels that are not annotated
_LEAST_EQUAL = 0.5  # of the neighbours of a label have the same one, on average over the labels
_LEAST_JUMPS = 0.1  # of the steps between labels skip a value
_FEW = 4  # values; so few need not skip any, such as 1 for a cell and 2 for its nucleus


def looks_like_labels(data: Any) -> bool:
    """Return whether an array is likely to hold labels rather than intensities or probabilities, from a few windows.

    Labels are whole numbers. There are two of them, as in a mask, or most of the neighbours of a voxel have the same
    one, and where they have not, values change abruptly rather than gradually.

    Parameters
    ----------
    data : array, shape (…, y, x)
        Of any number type; also one of dask, zarr or h5py, of which a few chunks are read. Where a single chunk is
        large, it is not read, and the answer is no.

    Returns
    -------
    bool
        False also for an array with a single value, which says nothing.

    Examples
    --------
    >>> cells = np.kron(np.array([[[0, 7], [4, 2]]]), np.ones((4, 9, 9), int))
    >>> looks_like_labels(cells), looks_like_labels(cells.astype(float)), looks_like_labels(cells / 7)
    (True, True, False)
    >>> looks_like_labels(np.random.default_rng(0).integers(0, 256, (4, 20, 20)))
    False
    """
    dtype, shape = np.dtype(data.dtype), tuple(data.shape)
    if dtype.kind not in "buif" or len(shape) < 2 or 0 in shape:
        return False
    if dtype.kind == "b":
        return True
    windows: list[NDArray[Any]] = []
    for window in _windows(data):
        if not _is_whole(window):
            return False
        windows.append(np.rint(window).astype(np.int64) if dtype.kind == "f" else window)
    return bool(windows) and _are_patches(windows)


def _windows(data: Any) -> Iterator[NDArray[Any]]:
    """Yield windows of some planes, of shape (y, x) and at most 128 voxels wide: about something that is not 0."""
    is_lazy = not isinstance(data, np.ndarray)
    if is_lazy and _chunk_bytes(data) > _MOST_CHUNK_BYTES:
        return
    *leading, height, width = data.shape
    n_planes = prod(leading)
    n_windows = min(_N_LAZY_PLANES if is_lazy else _N_PLANES, n_planes)
    for number in np.linspace(0, n_planes - 1, n_windows + 2)[1:-1].round().astype(int):
        index = np.unravel_index(number, leading) if leading else ()
        plane = tuple(int(each) for each in index)
        y, x = (height // 2, width // 2) if is_lazy else _place_of_something(data[plane])
        rows, columns = _range_about(y, height), _range_about(x, width)
        yield np.asarray(data[(*plane, rows, columns)])


def _chunk_bytes(data: Any) -> int:
    """Return the bytes of the largest chunk of an array; of one that does not say, those of the whole."""
    chunks = getattr(data, "chunks", None) or data.shape
    sides = [max(side) if isinstance(side, tuple) else int(side) for side in chunks]
    return int(prod(sides) * np.dtype(data.dtype).itemsize)


def _place_of_something(plane: NDArray[Any]) -> tuple[int, int]:
    """Return the middle of a plane or, if a coarse look finds only 0 there, a place that is not 0."""
    steps = [max(1, ceil(side / _WINDOW)) for side in plane.shape]
    coarse = plane[:: steps[0], :: steps[1]]
    middle = tuple(side // 2 for side in coarse.shape)
    found = np.argwhere(coarse != 0)
    if not len(found):
        return plane.shape[0] // 2, plane.shape[1] // 2
    nearest = found[np.abs(found - middle).sum(axis=1).argmin()]
    return int(nearest[0] * steps[0]), int(nearest[1] * steps[1])


def _range_about(middle: int, side: int) -> slice:
    start = int(np.clip(middle - _WINDOW // 2, 0, max(0, side - _WINDOW)))
    return slice(start, min(side, start + _WINDOW))


def _is_whole(values: NDArray[Any]) -> bool:
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or (np.abs(values) >= 2**53).any():
            return False
        if (np.abs(values - np.rint(values)) > _WHOLE).any():
            return False
    return bool(values.min() >= _LOWEST - _WHOLE)


def _are_patches(windows: list[NDArray[Any]]) -> bool:
    """Return whether the values of windows form patches with abrupt borders."""
    values, ranks = np.unique(np.concatenate([window.ravel() for window in windows]), return_inverse=True)
    if len(values) < 2:
        return False
    if len(values) == 2:
        return True
    ends = np.cumsum([window.size for window in windows])[:-1]
    pairs: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for window, part in zip(windows, np.split(ranks.ravel(), ends), strict=True):
        plane = part.reshape(window.shape)
        pairs += [(plane[:-1].ravel(), plane[1:].ravel()), (plane[:, :-1].ravel(), plane[:, 1:].ravel())]
    one, other = (np.concatenate(side) for side in zip(*pairs, strict=True))
    n_pairs = np.bincount(one, minlength=len(values))
    n_equal = np.bincount(one[one == other], minlength=len(values))
    seen = (n_pairs > 0) & (values != 0)  # background is alike in images, too
    if not seen.any() or (n_equal[seen] / n_pairs[seen]).mean() < _LEAST_EQUAL:
        return False
    steps = np.abs(one - other)[one != other]
    return len(values) <= _FEW or (steps > 1).mean() >= _LEAST_JUMPS
