"""Distances between surfaces that are kept block by block on disk: exact, whatever the distance."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from napari_unet3d.data.boxes import Box, expand
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.evaluation.metrics.surfaces import PERCENTILE, SurfaceScores, highest_close, surface_of
from napari_unet3d.inference.blockwise.scoring.pair_parts import PairParts

Side = Literal["predicted", "true"]
Points = NDArray[np.int64]
_SIDES: tuple[Side, Side] = "predicted", "true"
_MARGIN = (2, 2, 2)  # what `surface_of` looks at; the voxel beyond the border of the volume mirrors the second one
_MOST_TREES = 16


class SurfacePoints:
    """The surface voxels of prediction and ground truth, in a file per block.

    Parameters
    ----------
    folder : Path
        A new folder.
    shape : tuple of int
        Shape (z, y, x) of the volume.
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of the distances.
    """

    def __init__(self, folder: Path, shape: Shape3D, spacing: VoxelSize) -> None:
        self._folder, self._shape, self._spacing = folder, shape, np.asarray(spacing, float)
        self._extents: dict[tuple[int | None, Side], dict[int, NDArray[np.int64]]] = {}
        self._tree = lru_cache(_MOST_TREES)(self._read_tree)
        folder.mkdir()

    def add(self, number: int, box: Box, parts: PairParts, values: list[int | None]) -> None:
        """Find the surface voxels of a block.

        Parameters
        ----------
        number : int
            The block.
        box : tuple of slice
            Where it is.
        parts : PairParts
            Prediction and ground truth.
        values : list of int or None
            The label values whose surfaces are needed; None is everything above 0.
        """
        region = expand(box, _MARGIN, self._shape)
        predicted, truth = parts.read(region)
        inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, region, strict=True))
        start = [side.start for side in box]
        arrays = {}
        for value in values:
            for side, labels in zip(_SIDES, (predicted, truth.labels), strict=True):
                mask = labels > 0 if value is None else labels == value
                if truth.label_mask is not None:
                    mask &= truth.label_mask
                points = np.argwhere(surface_of(mask, truth.label_mask)[inner]) + start
                if len(points):
                    arrays[f"{value}.{side}"] = points.astype(np.int32)
                    extent = np.stack([points.min(0), points.max(0)])
                    self._extents.setdefault((value, side), {})[number] = extent
        if arrays:
            np.savez(self._folder / f"{number}.npz", allow_pickle=False, **arrays)

    def compare(self, value: int | None, tolerance: float) -> SurfaceScores:
        """Return the scores of the surfaces of a label value, of masks that differ; see `compare_surfaces`."""
        if not all(self._extents.get((value, side)) for side in _SIDES):
            return SurfaceScores(hd95=None, nsd=0.0)
        found = []
        for side, other in (_SIDES, _SIDES[::-1]):
            counts = DistanceCounts()
            for number in self._extents[value, side]:
                counts.add(self._distances(number, value, side, other))
            found.append(counts)
        highest = highest_close(tolerance)
        n_close = sum(counts.n_up_to(highest) for counts in found)
        return SurfaceScores(
            hd95=max(counts.percentile(PERCENTILE) for counts in found),
            nsd=n_close / sum(counts.n_all for counts in found),
        )

    def _distances(self, number: int, value: int | None, side: Side, other: Side) -> NDArray[np.float64]:
        """Return the distances of the surface voxels of a block from the nearest one of the other surface."""
        own = self._read(number, value, side)
        there = self._read(number, value, other)
        apart = ~np.isin(self._flat(own), self._flat(there), assume_unique=True)
        distances = np.zeros(len(own))
        if apart.any():
            distances[apart] = self._nearest(own[apart], value, other)
        return distances

    def _nearest(self, points: Points, value: int | None, other: Side) -> NDArray[np.float64]:
        best = np.full(len(points), np.inf)
        extent = np.stack([points.min(0), points.max(0)])
        for gap, number in self._by_gap(extent, value, other):
            if gap >= best.max():
                break
            low, high = self._extents[value, other][number]
            here = np.maximum(np.maximum(low - points, points - high), 0) * self._spacing
            near = np.flatnonzero(np.sqrt((here**2).sum(1)) < best)
            if not len(near):
                continue
            tree, targets = self._tree(number, value, other)
            _, nearest = tree.query(points[near] * self._spacing)
            # Computed anew, so that equal steps have equal distances wherever they are.
            steps = np.abs(points[near] - targets[nearest]) * self._spacing
            best[near] = np.minimum(best[near], np.sqrt((steps**2).sum(1)))
        return best

    def _by_gap(self, extent: Points, value: int | None, other: Side) -> Iterator[tuple[float, int]]:
        """Yield blocks with the other surface, and their distance from a box, the nearest first."""
        extents = self._extents[value, other]
        numbers, boxes = np.array(list(extents)), np.stack(list(extents.values()))
        gaps = np.maximum(np.maximum(boxes[:, 0] - extent[1], extent[0] - boxes[:, 1]), 0) * self._spacing
        lengths = np.sqrt((gaps**2).sum(1))
        for index in np.argsort(lengths, kind="stable"):
            yield float(lengths[index]), int(numbers[index])

    def _read_tree(self, number: int, value: int | None, side: Side) -> tuple[Any, Points]:
        points = self._read(number, value, side)
        return KDTree(points * self._spacing, balanced_tree=False, compact_nodes=False), points

    def _read(self, number: int, value: int | None, side: Side) -> Points:
        if number not in self._extents.get((value, side), {}):
            return np.zeros((0, 3), np.int64)
        with np.load(self._folder / f"{number}.npz", allow_pickle=False) as file:
            points: Points = file[f"{value}.{side}"].astype(np.int64)
        return points

    def _flat(self, points: Points) -> Points:
        flat: Points = np.ravel_multi_index(tuple(points.T), self._shape).astype(np.int64)
        return flat


class DistanceCounts:
    """How often each distance occurs: as exact as a list of all, and small, since steps on a grid repeat.

    Examples
    --------
    >>> counts = DistanceCounts()
    >>> counts.add(np.array([0.0, 1.0, 1.0]))
    >>> counts.add(np.array([3.0]))
    >>> counts.n_all, counts.n_up_to(1.0), counts.percentile(50)
    (4, 3, 1.0)
    """

    def __init__(self) -> None:
        self._values, self._counts = np.zeros(0), np.zeros(0, np.int64)

    def add(self, distances: NDArray[np.float64]) -> None:
        """Add distances."""
        values, counts = np.unique(distances, return_counts=True)
        every, indices = np.unique(np.concatenate([self._values, values]), return_inverse=True)
        both = np.concatenate([self._counts, counts])
        self._values, self._counts = every, np.bincount(indices, both, len(every)).astype(np.int64)

    @property
    def n_all(self) -> int:
        """How many distances there are."""
        return int(self._counts.sum())

    def n_up_to(self, highest: float) -> int:
        """Return how many distances are at most a number."""
        return int(self._counts[self._values <= highest].sum())

    def percentile(self, percent: float) -> float:
        """Return a percentile as `numpy.percentile` does, with linear interpolation."""
        at = (self.n_all - 1) * percent / 100
        first = int(at)
        ends = np.searchsorted(np.cumsum(self._counts), [first, min(first + 1, self.n_all - 1)], side="right")
        low, high = self._values[ends]
        return float(low + (high - low) * (at - first))
