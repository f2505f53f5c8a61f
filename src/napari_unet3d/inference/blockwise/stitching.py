"""Fragments of blocks become objects: matched at faces, joined, measured, and numbered; all tables are files.

Nothing per object is a Python object: fragments, edges and objects are arrays, the large ones memory-mapped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

Pairs = NDArray[np.int64]
_SUMMED = ("n_voxels", "sum_", "intensity_")
_SMALLEST = ("start_",)
_CHUNK = 2**20  # rows that are in memory at a time


def pairs_by_overlap(own: NDArray[Any], other: NDArray[Any]) -> Pairs:
    """Return the fragments of a face that are mostly the same fragment of the block behind it.

    Parameters
    ----------
    own : ndarray of unsigned integers
        The fragments of a block in the slice at a face.
    other : ndarray of unsigned integers, of the same shape
        The same voxels as the block behind the face sees them.

    Returns
    -------
    ndarray of int64, shape (n, 2)
        The numbers of both.

    Examples
    --------
    >>> pairs_by_overlap(np.array([1, 1, 1, 2, 2]), np.array([7, 7, 0, 0, 9]))
    array([[1, 7],
           [2, 9]])
    """
    inside = own > 0
    if not inside.any():
        return np.empty((0, 2), np.int64)
    own, other = own[inside].astype(np.int64), other[inside].astype(np.int64)
    totals = np.bincount(own)
    pairs, counts = np.unique(np.stack([own, other]), axis=1, return_counts=True)
    is_same = (pairs[1] > 0) & (2 * counts >= totals[pairs[0]])
    found: Pairs = pairs[:, is_same].T
    return found


def pairs_by_value(lower: NDArray[Any], upper: NDArray[Any], lower_values: Any, upper_values: Any) -> Pairs:
    """Return the fragments on both sides of a face that touch, also at edges and corners, and have the same value.

    Parameters
    ----------
    lower, upper : ndarray of integers, shape (u, v)
        Fragments of the slices before and after the face.
    lower_values, upper_values : ndarray of integers, shape (u, v)
        The labels there.
    """
    n_u, n_v = lower.shape
    found = [np.empty((0, 2), np.int64)]
    for du in (-1, 0, 1):
        for dv in (-1, 0, 1):
            here = slice(max(0, -du), n_u - max(0, du)), slice(max(0, -dv), n_v - max(0, dv))
            there = slice(max(0, du), n_u - max(0, -du)), slice(max(0, dv), n_v - max(0, -dv))
            meet = (lower[here] > 0) & (upper[there] > 0) & (lower_values[here] == upper_values[there])
            found.append(np.stack([lower[here][meet], upper[there][meet]], axis=1).astype(np.int64))
    pairs: Pairs = np.unique(np.concatenate(found), axis=0)
    return pairs


def join(n_fragments: int, pairs: Pairs) -> tuple[int, NDArray[np.int32]]:
    """Return the number of objects, and the object of each fragment, both counted from 0.

    Parameters
    ----------
    n_fragments : int
        Number of fragments.
    pairs : ndarray of int64, shape (n, 2)
        Fragments, counted from 0, that belong to one object; may be memory-mapped.

    Examples
    --------
    >>> join(5, np.array([[0, 3], [3, 4]]))
    (3, array([0, 1, 2, 0, 0], dtype=int32))
    """
    index = np.int32 if n_fragments < 2**31 else np.int64
    first, second = (pairs[:, side].astype(index) for side in range(2))
    edges = sparse.coo_matrix((np.ones(len(pairs), np.int8), (first, second)), shape=(n_fragments, n_fragments))
    n_objects, objects = csgraph.connected_components(edges.tocsr(), directed=False)
    return int(n_objects), objects


def append_pairs(path: Path, pairs: Pairs) -> None:
    """Append pairs to a file."""
    with path.open("ab") as file:
        file.write(np.ascontiguousarray(pairs, np.int64).tobytes())


def read_pairs(path: Path) -> Pairs:
    """Return the pairs of a file, memory-mapped."""
    if not path.exists() or not path.stat().st_size:
        return np.empty((0, 2), np.int64)
    pairs: Pairs = np.memmap(path, np.int64, "r").reshape(-1, 2)
    return pairs


class ObjectColumns:
    """What was measured of all objects, one memory-mapped file per column.

    Parameters
    ----------
    folder : Path
        Folder for the files; those of an earlier start are replaced.
    n_objects : int
        Number of objects.
    """

    def __init__(self, folder: Path, n_objects: int) -> None:
        self._folder, self._n_objects = folder, n_objects
        self._columns: dict[str, Any] = {}
        folder.mkdir(exist_ok=True)

    def __getitem__(self, name: str) -> Any:
        """Return a column."""
        return self._columns[name]

    def __contains__(self, name: str) -> bool:
        """Return whether something was measured."""
        return name in self._columns

    def add(self, objects: NDArray[np.integer[Any]], table: Mapping[str, NDArray[Any]]) -> None:
        """Add the measurements of fragments to those of their objects.

        Parameters
        ----------
        objects : ndarray of int, shape (n,)
            The object of each fragment.
        table : mapping of str to ndarray, shape (n,)
            See `fragments.measure`; sums are added, of first voxels the smallest and of others the largest is kept.
        """
        for name, values in table.items():
            if name not in self._columns:
                column = open_memmap(self._folder / f"{name}.npy", "w+", values.dtype, (self._n_objects,))
                column[:] = np.iinfo(values.dtype).max if name.startswith(_SMALLEST) else 0
                self._columns[name] = column
            is_sum = name.startswith(_SUMMED)
            operation = np.add if is_sum else np.minimum if name.startswith(_SMALLEST) else np.maximum
            operation.at(self._columns[name], objects, values)

    def rows(self, names: Sequence[str]) -> Iterator[tuple[slice, dict[str, NDArray[Any]]]]:
        """Yield some columns, so many rows at a time that they fit into memory."""
        for start in range(0, self._n_objects, _CHUNK):
            part = slice(start, min(start + _CHUNK, self._n_objects))
            yield part, {name: np.array(self._columns[name][part]) for name in names}


def number_objects(columns: ObjectColumns, n_objects: int, min_voxels: float, min_confidence: float | None) -> Any:
    """Return the number of each object from 1, or 0 for those that are removed as too small or as noise.

    Parameters
    ----------
    columns : ObjectColumns
        What was measured.
    n_objects : int
        Number of objects.
    min_voxels : float
        Smallest number of voxels that is kept.
    min_confidence : float, optional
        Smallest confidence that is kept, for single objects.

    Returns
    -------
    ndarray of int64, shape (n_objects,)
    """
    keep = np.asarray(columns["n_voxels"]) >= min_voxels if n_objects else np.zeros(0, bool)
    if min_confidence is not None and n_objects:
        keep &= np.asarray(columns["confidence"]) >= min_confidence
    return np.where(keep, np.cumsum(keep), 0)
