"""Where patches lie: drawn for training, part of them on foreground; fixed for validation, covering the volume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.sample import Shape3D
from napari_unet3d.training.loading.targets import IGNORE_INDEX

_MOST_PLACES = 20_000  # per class and volume; more would not make the draw any more even


@dataclass(frozen=True, slots=True)
class Tile:
    """A fixed place in a volume.

    Attributes
    ----------
    start : tuple of int
        First voxel (z, y, x).
    fresh : tuple of int
        First voxel within the tile (z, y, x) that no tile before it has covered.
    """

    start: Shape3D
    first_uncovered: Shape3D


def grid_tiles(shape: Shape3D, patch: Shape3D) -> list[Tile]:
    """Cover a volume with tiles of one shape that touch; the last of an axis is moved inwards and overlaps.

    Parameters
    ----------
    shape, patch : tuple of int
        Shapes (z, y, x) of the volume and of a tile, which is not larger.
    """

    def along(side: int, part: int) -> list[tuple[int, int]]:
        starts = [min(start, side - part) for start in range(0, side, part)]
        return [(start, 0 if start % part == 0 else part - side % part) for start in starts]

    places = product(*(along(side, part) for side, part in zip(shape, patch, strict=True)))
    return [Tile((z[0], y[0], x[0]), (z[1], y[1], x[1])) for z, y, x in places]


class PatchSampler:
    """Draws the places of patches in one volume.

    Parameters
    ----------
    targets : ndarray of uint8, shape (z, y, x)
        The first channel of the targets: 0 background, then classes, `IGNORED` where nothing is annotated.
    seed : int
        Which of very many foreground voxels are candidates.
    """

    def __init__(self, targets: NDArray[np.uint8], seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.n_voxels_of: NDArray[np.int64] = np.zeros(256, np.int64)
        for plane in targets:
            self.n_voxels_of += np.bincount(plane.ravel(), minlength=256)
        self._shape = targets.shape
        self._foreground = [
            _some_voxels(targets, partial(np.equal, value), rng)
            for value in range(1, IGNORE_INDEX)
            if self.n_voxels_of[value]
        ]
        is_sparse = self.n_voxels_of[IGNORE_INDEX] > 0
        self._annotated = _some_voxels(targets, partial(np.not_equal, IGNORE_INDEX), rng) if is_sparse else None

    @property
    def n_annotated(self) -> int:
        """How many voxels hold a label."""
        return int(self.n_voxels_of[:IGNORE_INDEX].sum())

    def draw(self, rng: np.random.Generator, patch: Shape3D, *, on_foreground: bool) -> Shape3D:
        """Draw the first voxel (z, y, x) of a patch.

        Parameters
        ----------
        rng : Generator
            Source of the draw.
        patch : tuple of int
            Shape of the patch (z, y, x), not larger than the volume.
        on_foreground : bool
            Put a voxel of a class, each being as likely, into the middle half of the patch, where there is one;
            else the patch lies anywhere, or around any annotated voxel when not all are.
        """
        room = np.array(self._shape) - np.array(patch)
        voxels = self._annotated
        if on_foreground and self._foreground:
            voxels = self._foreground[rng.integers(len(self._foreground))]
        if voxels is None:
            start = rng.integers(room + 1)
        else:
            middle = np.unravel_index(voxels[rng.integers(len(voxels))], self._shape)
            start = np.array(middle) - np.floor(np.array(patch) * rng.uniform(0.25, 0.75, 3)).astype(int)
        z, y, x = np.clip(start, 0, room).tolist()
        return z, y, x


def _some_voxels(
    targets: NDArray[np.uint8], wanted: Callable[[NDArray[Any]], NDArray[np.bool_]], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return flat indices of wanted voxels, all or a random part; plane by plane, as a volume of indices is huge."""
    counts = [int(np.count_nonzero(wanted(plane))) for plane in targets]
    total = sum(counts)
    ranks = np.sort(rng.integers(total, size=_MOST_PLACES)) if total > _MOST_PLACES else np.arange(total)
    return np.concatenate(list(_ranked_voxels(targets, wanted, counts, ranks)))


def _ranked_voxels(
    targets: NDArray[np.uint8],
    wanted: Callable[[NDArray[Any]], NDArray[np.bool_]],
    counts: list[int],
    ranks: NDArray[np.int64],
) -> Iterator[NDArray[np.int64]]:
    before = 0
    for number, (plane, count) in enumerate(zip(targets, counts, strict=True)):
        mine = ranks[np.searchsorted(ranks, before) : np.searchsorted(ranks, before + count)] - before
        before += count
        yield number * plane.size + np.flatnonzero(wanted(plane))[mine] if len(mine) else np.empty(0, np.int64)
