"""Positions of patches: random for training, partly on foreground; a fixed grid of tiles for validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.sample import Shape3D
from napari_unet3d.training.loading.targets import IGNORE_INDEX

Condition = Callable[[NDArray[Any]], NDArray[np.bool_]]

_MAX_CANDIDATES = 20_000  # per class and volume; more would not make the sampling more even


@dataclass(frozen=True, slots=True)
class Tile:
    """A patch of a grid.

    Attributes
    ----------
    start : tuple of int
        First voxel (z, y, x).
    first_uncovered : tuple of int
        First voxel (z, y, x) within the tile that no earlier tile covers.
    """

    start: Shape3D
    first_uncovered: Shape3D


def grid_tiles(shape: Shape3D, patch: Shape3D) -> list[Tile]:
    """Cover a volume with adjacent tiles of one shape; the last one of an axis is shifted inwards and overlaps.

    Parameters
    ----------
    shape, patch : tuple of int
        Shapes (z, y, x) of the volume and of a tile, which must not be larger.
    """

    def along(side: int, tile: int) -> list[tuple[int, int]]:
        starts = [min(start, side - tile) for start in range(0, side, tile)]
        return [(start, 0 if start % tile == 0 else tile - side % tile) for start in starts]

    starts = product(*(along(side, tile) for side, tile in zip(shape, patch, strict=True)))
    return [Tile((z[0], y[0], x[0]), (z[1], y[1], x[1])) for z, y, x in starts]


class PatchSampler:
    """Draws the positions of patches in one volume.

    Parameters
    ----------
    targets : ndarray of uint8, shape (z, y, x)
        The first channel of the targets: 0 background, then classes, `IGNORE_INDEX` where nothing is annotated.
    seed : int
        Seed for choosing candidates among very many foreground voxels.
    """

    def __init__(self, targets: NDArray[np.uint8], seed: int) -> None:
        rng = np.random.default_rng(seed)
        per_plane = np.stack([np.bincount(plane.ravel(), minlength=256) for plane in targets])
        self.n_voxels_of: NDArray[np.int64] = per_plane.sum(axis=0)
        self._shape = targets.shape
        values = [value for value in range(1, IGNORE_INDEX) if self.n_voxels_of[value]]
        is_sparse = self.n_voxels_of[IGNORE_INDEX] > 0
        wanted: list[tuple[Condition, NDArray[np.int64]]] = [
            (partial(np.equal, value), per_plane[:, value]) for value in values
        ]
        if is_sparse:
            wanted.append((partial(np.not_equal, IGNORE_INDEX), per_plane[:, :IGNORE_INDEX].sum(axis=1)))
        found = _some_voxels(targets, wanted, rng)
        self._foreground = found[: len(values)]
        self._annotated = found[-1] if is_sparse else None

    @property
    def n_annotated(self) -> int:
        """Number of annotated voxels."""
        return int(self.n_voxels_of[:IGNORE_INDEX].sum())

    def draw(self, rng: np.random.Generator, patch: Shape3D, *, on_foreground: bool) -> Shape3D:
        """Draw the first voxel (z, y, x) of a patch.

        Parameters
        ----------
        rng : Generator
            Random generator.
        patch : tuple of int
            Shape (z, y, x) of the patch, not larger than the volume.
        on_foreground : bool
            Place the middle half of the patch on a voxel of a class, each class with the same probability, if there is
            one. Otherwise the patch is anywhere or, if not all voxels are annotated, around any annotated voxel.
        """
        last_start = np.array(self._shape) - np.array(patch)
        voxels = self._annotated
        if on_foreground and self._foreground:
            voxels = self._foreground[rng.integers(len(self._foreground))]
        if voxels is None:
            start = rng.integers(last_start + 1)
        else:
            middle = np.unravel_index(voxels[rng.integers(len(voxels))], self._shape)
            start = np.array(middle) - np.floor(np.array(patch) * rng.uniform(0.25, 0.75, 3)).astype(int)
        z, y, x = np.clip(start, 0, last_start).tolist()
        return z, y, x


def _some_voxels(
    targets: NDArray[np.uint8], wanted: Sequence[tuple[Condition, NDArray[np.int64]]], rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Return flat indices of voxels that meet each condition, or of a random subset; plane by plane to save memory.

    Parameters
    ----------
    targets : ndarray of uint8, shape (z, y, x)
        The targets, which are read once.
    wanted : sequence of (condition, ndarray)
        The conditions, and how many voxels of each plane meet them.
    rng : Generator
        Chooses among very many voxels.
    """
    ranks, ends = [], []
    for _, counts in wanted:
        total = int(counts.sum())
        is_chosen = total > _MAX_CANDIDATES
        ranks.append(np.sort(rng.integers(total, size=_MAX_CANDIDATES)) if is_chosen else np.arange(total))
        ends.append(np.cumsum(counts))
    found: list[list[NDArray[np.int64]]] = [[np.empty(0, np.int64)] for _ in wanted]
    for number, plane in enumerate(targets if wanted else ()):
        for place, (condition, counts) in enumerate(wanted):
            end = int(ends[place][number])
            before = end - int(counts[number])
            own = ranks[place]
            in_plane = own[np.searchsorted(own, before) : np.searchsorted(own, end)] - before
            if len(in_plane):
                found[place].append(number * plane.size + np.flatnonzero(condition(plane))[in_plane])
    return [np.concatenate(each) for each in found]
