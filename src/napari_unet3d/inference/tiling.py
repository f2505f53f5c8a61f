"""A volume of any size in overlapping tiles, whose answers are blended with Gaussian weights slab by slab.

Probabilities are blended, not logits. They are bounded, so that a tile that is very sure at its rim, where it sees
least, cannot outvote the others, and no overflow spreads. And the mean over tiles, over mirror images and the one that
the uncertainty is computed from are then the same kind of mean.

The weights are the window of nnU-Net (Isensee et al. 2021), a Gaussian whose standard deviation is an eighth of the
tile's side. They are products of one factor per axis, and so are their sums over all tiles, since tiles stand on a
grid: no map of counts is needed. Weights are not cut off at a least value, as they are by MONAI, which makes seams at
the faces of the volume.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.data.sample import Shape3D

Corner = tuple[int, int, int]
Flip = tuple[int, ...]
_SIGMAS_PER_SIDE = 8


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Where the tiles of a volume lie.

    Attributes
    ----------
    shape_zyx : tuple of int
        Shape of the volume.
    tile_zyx : tuple of int
        Shape of every tile.
    starts : tuple of tuple of int
        First voxels of the tiles along z, along y and along x, ascending; the tiles are all their combinations.
    """

    shape_zyx: Shape3D
    tile_zyx: Shape3D
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return prod(map(len, self.starts))

    def rows(self) -> Iterator[tuple[Corner, ...]]:
        """Return the first voxels (z, y, x) of the tiles of each slab, from the first z to the last."""
        for z in self.starts[0]:
            yield tuple((z, y, x) for y, x in product(*self.starts[1:]))


def tile_grid(shape: Shape3D, tile: Shape3D, overlap: float, total_stride: Shape3D) -> TileGrid:
    """Cover a volume with tiles.

    Parameters
    ----------
    shape : tuple of int
        Shape (z, y, x) of the volume.
    tile : tuple of int
        Shape (z, y, x) of a tile; an axis on which the volume is shorter gets tiles as long as the volume.
    overlap : float
        Part of its side that a tile shares with the next one, at least; from 0 to below 1.
    total_stride : tuple of int
        How many voxels along z, y, x become one at the bottom of the network. Tiles start at multiples of it, so
        that they see the same grid at the bottom; the last one along an axis ends with the volume.
    """
    z, y, x = (min(side, whole) for side, whole in zip(tile, shape, strict=True))
    tile = (z, y, x)
    of_z, of_y, of_x = (
        _starts(whole, side, overlap, stride) for whole, side, stride in zip(shape, tile, total_stride, strict=True)
    )
    return TileGrid(shape, tile, (of_z, of_y, of_x))


def _starts(whole: int, side: int, overlap: float, stride: int) -> tuple[int, ...]:
    step = max(stride, int(side * (1 - overlap)) // stride * stride)
    return (*range(0, whole - side, min(step, side)), whole - side)


def mirror_flips() -> tuple[Flip, ...]:
    """Return the axes of a batch (tile, channel, z, y, x) to flip for each of the eight mirror images; the first none."""
    return tuple(
        tuple(axis for axis, is_flipped in zip((2, 3, 4), flipped, strict=True) if is_flipped)
        for flipped in product((False, True), repeat=3)
    )


def gaussian_window(side: int) -> NDArray[np.float64]:
    """Return the weights of a tile along one axis: 1 in its middle, above 0 at its ends."""
    from_middle = np.arange(side) - (side - 1) / 2
    return np.exp(-0.5 * (from_middle * _SIGMAS_PER_SIDE / side) ** 2)


class GaussianBlend:
    """The open slab: weighted sums of the tiles' answers for as many slices as a tile has.

    The sums form a ring along z: slice z of the volume is kept at z modulo the tile's side, until no further tile
    covers it.

    Parameters
    ----------
    grid : TileGrid
        Where the tiles lie.
    n_channels : int
        Channels of an answer.
    device : torch.device
        Where the sums are kept.
    """

    def __init__(self, grid: TileGrid, n_channels: int, device: torch.device) -> None:
        self._grid = grid
        # Along an axis with a single tile all weights of a voxel are the same, and leaving them out is exact.
        windows = [
            gaussian_window(side) if len(starts) > 1 else np.ones(side)
            for side, starts in zip(grid.tile_zyx, grid.starts, strict=True)
        ]
        self._window = _outer(*windows).to(device)
        totals = [
            _total(whole, starts, window)
            for whole, starts, window in zip(grid.shape_zyx, grid.starts, windows, strict=True)
        ]
        self._total_z, self._total_yx = totals[0], _outer(*totals[1:]).to(device)
        self._sums = torch.zeros(n_channels, grid.tile_zyx[0], *grid.shape_zyx[1:], device=device)

    @property
    def device(self) -> torch.device:
        """Where the sums are kept."""
        return self._sums.device

    def move_to(self, device: torch.device) -> None:
        """Keep the sums on another device from now on."""
        self._sums, self._window, self._total_yx = (
            tensor.to(device) for tensor in (self._sums, self._window, self._total_yx)
        )

    def add(self, corner: Corner, answer: torch.Tensor, share: float) -> None:
        """Add the answer of a tile; no memory is taken for it.

        Parameters
        ----------
        corner : tuple of int
            First voxel (z, y, x) of the tile.
        answer : Tensor of float32, shape (channel, z, y, x)
            Probabilities, on the device of the sums.
        share : float
            Part of the tile's answer that this is; the parts of a tile must add up to 1.
        """
        z, y, x = corner
        side_z, side_y, side_x = self._grid.tile_zyx
        first = z % side_z  # the tile's first slice in the ring
        n_behind = side_z - first
        columns = self._sums[:, :, y : y + side_y, x : x + side_x]
        columns[:, first:].addcmul_(answer[:, :n_behind], self._window[:n_behind], value=share)
        columns[:, :first].addcmul_(answer[:, n_behind:], self._window[n_behind:], value=share)

    def close(self, first: int, end: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Return the slices from `first` to before `end` with their mean answers (channel, y, x), and forget them."""
        for z in range(first, end):
            sums = self._sums[:, z % self._grid.tile_zyx[0]]
            mean = sums / (self._total_yx * self._total_z[z].item())
            sums.zero_()
            yield z, mean.cpu().numpy()


def _outer(*factors: NDArray[np.float64]) -> torch.Tensor:
    product_ = factors[0]
    for factor in factors[1:]:
        product_ = np.multiply.outer(product_, factor)
    return torch.from_numpy(product_.astype(np.float32))


def _total(whole: int, starts: Sequence[int], window: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros(whole)
    for start in starts:
        total[start : start + len(window)] += window
    return total


class Tiling:
    """The prediction of one volume, batch by batch; memory is taken for the open slab and one batch only.

    Parameters
    ----------
    volume : ndarray of float32, shape (z, y, x)
        Normalised grey values, fitted to the network.
    grid : TileGrid
        Its tiles.
    flips : sequence of tuple of int
        The mirror images of each tile that are averaged; see `mirror_flips`.
    blend : Blend
        The open slab.
    take : callable
        Called with z and the mean answer (channel, y, x) of each slice, in the order of z, as soon as it is final.

    Attributes
    ----------
    n_done, n_total : int
        Tiles that are predicted and all of them, each counted once for every mirror image.
    """

    def __init__(
        self,
        volume: NDArray[np.float32],
        grid: TileGrid,
        flips: Sequence[Flip],
        blend: GaussianBlend,
        on_slice: Callable[[int, NDArray[np.float32]], Any],
    ) -> None:
        self._volume = torch.from_numpy(volume)
        self.grid, self.blend, self._take = grid, blend, on_slice
        self._share = 1 / len(flips)
        self._waiting = deque((flip, deque(row)) for row in grid.rows() for flip in flips)
        self._n_open_flips = self._n_flips = len(flips)
        self._ends = deque(zip(grid.starts[0], (*grid.starts[0][1:], grid.shape_zyx[0]), strict=True))
        self.n_done, self.n_total = 0, len(flips) * grid.n_tiles

    def n_next(self, n_tiles: int) -> int:
        """Count the tiles of the next batch when there are at most `n_tiles` in it; batches end with their slab."""
        return min(n_tiles, len(self._waiting[0][1]))

    def step(self, network: Callable[[torch.Tensor], torch.Tensor], device: torch.device, n_tiles: int) -> None:
        """Predict the next tiles; when memory is too small for it, nothing has happened, and it can be tried again.

        Parameters
        ----------
        network : callable
            Gives probabilities (tile, channel, z, y, x) for grey values (tile, 1, z, y, x), both float32.
        device : torch.device
            Where the network is.
        n_tiles : int
            How many tiles to predict at most.
        """
        flip, row = self._waiting[0]
        corners = [row[number] for number in range(self.n_next(n_tiles))]
        tiles = torch.stack([self._volume[self._box(corner)] for corner in corners])[:, None].to(device)
        answers = _flipped(network(_flipped(tiles, flip)), flip).to(self.blend.device)
        for corner, answer in zip(corners, answers, strict=True):
            self.blend.add(corner, answer, self._share)
            row.popleft()
        self.n_done += len(corners)
        if not row:
            self._waiting.popleft()
            self._end_row()

    def _box(self, corner: Corner) -> tuple[slice, ...]:
        return tuple(slice(start, start + side) for start, side in zip(corner, self.grid.tile_zyx, strict=True))

    def _end_row(self) -> None:
        self._n_open_flips -= 1
        if self._n_open_flips == 0:
            self._n_open_flips = self._n_flips
            for z, mean in self.blend.close(*self._ends.popleft()):
                self._take(z, mean)


def _flipped(tensor: torch.Tensor, axes: Flip) -> torch.Tensor:
    return tensor.flip(axes) if axes else tensor
