"""Placement of objects at a cost that does not depend on the number of objects already placed.

Only the bounding box of a candidate position is tested. Candidates are first drawn from the whole volume; when it fills
up, from the empty cells of a coarse grid, so that narrow gaps are found and a full volume is recognised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet3d.data.sample import Shape3D

Mask = NDArray[np.bool_]
_EMPTY, _PARTLY, _FULL = np.uint8(0), np.uint8(1), np.uint8(2)
_BATCHES = (8, 64, *[256] * 14)  # candidates anywhere; few at first, since most volumes are nearly empty
_CELL_BATCHES = 48  # of 256 candidates each, from empty cells only
_PROBES = 48
_ADJACENT_TRIES = 24


@dataclass(frozen=True, slots=True)
class Footprint:
    """The voxels that an object occupies, with a reference voxel.

    Attributes
    ----------
    mask : ndarray of bool, shape (z, y, x)
        Voxels that no other object may overlap.
    anchor : ndarray of int, shape (3,)
        A voxel of the mask near its centre.
    has_core : bool
        Whether the mask contains a cube around the anchor that covers the grid cell of the anchor.
    probes : ndarray of int, shape (n, 3)
        A few voxels of the mask, which exclude most invalid candidates.
    """

    mask: Mask
    anchor: NDArray[np.int64]
    has_core: bool
    probes: NDArray[np.int64]

    @classmethod
    def of(cls, mask: Mask, cell_edge: int) -> Footprint:
        """Return the footprint of a mask for a grid with this cell edge."""
        middle = np.array(mask.shape) // 2
        reach = cell_edge - 1
        inside = (middle >= reach).all() and (middle + reach < mask.shape).all()
        core = mask[tuple(slice(m - reach, m + reach + 1) for m in middle)] if inside else np.zeros(1, bool)
        voxels = np.argwhere(mask)
        anchor = voxels[np.square(voxels - middle).sum(axis=1).argmin()]
        return cls(mask, anchor, bool(core.all()), voxels[:: max(1, len(voxels) // _PROBES)])


class OccupancyGrid:
    """The occupied and free space of a volume.

    Parameters
    ----------
    shape : tuple of int
        Voxels along z, y, x.
    gap : int
        Minimum number of free voxels between two objects in all directions, including diagonals.
    cell_edge : int
        Edge of the coarse grid's cells in voxels.
    """

    def __init__(self, shape: Shape3D, gap: int, cell_edge: int) -> None:
        self.shape = np.array(shape)
        self.cell_edge = cell_edge
        self._gap = gap
        self._taken = np.zeros(shape, bool)  # objects including their gaps
        self._cells = np.zeros(-(-self.shape // cell_edge), np.uint8)
        self._open: NDArray[np.int64] | None = None  # flat indices of the empty cells, computed at first use
        self._middles: list[NDArray[np.float64]] = []
        self._halves: list[NDArray[np.float64]] = []

    def fits(self, start: NDArray[np.int64], mask: Mask) -> bool:
        """Return whether `mask` is inside the volume and overlaps nothing if its corner is at `start`."""
        stop = start + mask.shape
        if (start < 0).any() or (stop > self.shape).any():
            return False
        window = self._taken[tuple(map(slice, start.tolist(), stop.tolist()))]
        return not np.logical_and(window, mask).any()

    def occupy(self, start: NDArray[np.int64], mask: Mask) -> None:
        """Mark the voxels of `mask` and the gap around them as occupied."""
        low = np.maximum(start - self._gap, 0)
        high = np.minimum(start + mask.shape + self._gap, self.shape)
        grown = np.zeros(high - low, np.uint8)
        inner = start - low
        grown[tuple(map(slice, inner.tolist(), (inner + mask.shape).tolist()))] = mask
        for axis in range(3 if self._gap else 0):
            grown = ndimage.maximum_filter1d(grown, 2 * self._gap + 1, axis=axis, mode="constant")
        self._taken[tuple(map(slice, low.tolist(), high.tolist()))] |= grown.view(bool)
        self._count_cells(low, high)
        half = (np.array(mask.shape) - 1) / 2
        self._middles.append(start + half)
        self._halves.append(half)

    def find(self, mask: Mask, rng: np.random.Generator) -> NDArray[np.int64] | None:
        """Draw a corner where `mask` fits, uniformly among all such positions; None if none was found."""
        if (self.shape < mask.shape).any():
            return None
        footprint = Footprint.of(mask, self.cell_edge)
        n_starts = self.shape - mask.shape + 1
        for count in _BATCHES:
            found = self._first_fit(rng.integers(0, n_starts, size=(count, 3)), footprint)
            if found is not None:
                return found
        for _ in range(_CELL_BATCHES if footprint.has_core else 0):
            starts = self._starts_in_empty_cells(footprint, rng)
            if len(starts) == 0:
                return None
            inside = (starts >= 0).all(axis=1) & (starts < n_starts).all(axis=1)
            found = self._first_fit(starts[inside], footprint)
            if found is not None:
                return found
        return None

    def find_adjacent(self, mask: Mask, rng: np.random.Generator) -> NDArray[np.int64] | None:
        """Return a corner where `mask` is adjacent to a placed object; None if none was found."""
        half = (np.array(mask.shape) - 1) / 2
        for _ in range(_ADJACENT_TRIES if self._middles else 0):
            number = int(rng.integers(len(self._middles)))
            direction = rng.standard_normal(3)
            direction /= np.linalg.norm(direction)
            apart = (half + self._halves[number] + self._gap + 1) / np.maximum(np.abs(direction), 1e-9)
            found: NDArray[np.int64] | None = None
            for distance in np.arange(apart.min(), 0, -0.5):  # at most one voxel along each axis
                start: NDArray[np.int64] = np.rint(self._middles[number] + direction * distance - half).astype(int)
                if not self.fits(start, mask):
                    break
                found = start
            if found is not None:
                return found
        return None

    def _first_fit(self, starts: NDArray[np.int64], footprint: Footprint) -> NDArray[np.int64] | None:
        state = self._cells[tuple(((starts + footprint.anchor) // self.cell_edge).T)]
        starts = starts[state == _EMPTY if footprint.has_core else state != _FULL]
        probed = starts[:, None] + footprint.probes
        starts = starts[~self._taken[probed[..., 0], probed[..., 1], probed[..., 2]].any(axis=1)]
        candidates: Iterator[NDArray[np.int64]] = iter(starts)
        return next((start for start in candidates if self.fits(start, footprint.mask)), None)

    def _starts_in_empty_cells(self, footprint: Footprint, rng: np.random.Generator) -> NDArray[np.int64]:
        flat = self._cells.reshape(-1)
        if self._open is None:
            self._open = np.flatnonzero(flat == _EMPTY)
        drawn = self._open[rng.integers(0, max(len(self._open), 1), size=256 if len(self._open) else 0)]
        still = flat[drawn] == _EMPTY
        if 2 * still.sum() < len(drawn):  # mostly outdated; updating at each halving costs one pass in total
            self._open = self._open[flat[self._open] == _EMPTY]
        cells = np.stack(np.unravel_index(drawn[still], self._cells.shape), axis=1)
        within = rng.integers(0, self.cell_edge, size=cells.shape)
        return cells * self.cell_edge + within - footprint.anchor

    def _count_cells(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> None:
        """Update the states of the cells that overlap a box from `low` to `high`."""
        first, last = low // self.cell_edge, -(-high // self.cell_edge)
        block = self._taken[tuple(map(slice, (first * self.cell_edge).tolist(), (last * self.cell_edge).tolist()))]
        touched = full = block
        for axis in range(3):
            edges = np.arange(0, block.shape[axis], self.cell_edge)
            touched = np.logical_or.reduceat(touched, edges, axis=axis)
            full = np.logical_and.reduceat(full, edges, axis=axis)
        cells = tuple(map(slice, first.tolist(), last.tolist()))
        self._cells[cells] = np.where(full, _FULL, np.where(touched, _PARTLY, _EMPTY))
