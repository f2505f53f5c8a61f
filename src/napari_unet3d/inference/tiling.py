"""Predict a volume of any size in overlapping tiles that are blended with Gaussian weights, slab by slab.

Probabilities are blended, not logits. They are bounded, so a tile that is very confident near its border, where it
has least context, cannot outweigh the others, and an overflow does not spread. The mean over tiles and the mean over
mirror images, from which the uncertainty is computed, are then also the same kind of mean.

The weights are those of nnU-Net (Isensee et al. 2021), a Gaussian whose standard deviation is an eighth of the side of
the tile. They are products of one factor per axis, and because the tiles form a grid, so are their sums over all
tiles: no count map is needed. Weights are not clipped to a minimum, as MONAI does, because that causes seams at the
faces of the volume.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.inference.tile_grid import Corner, TileGrid

Flip = tuple[int, ...]
_SIGMAS_PER_SIDE = 8
_HALO_WEIGHT = 1e-6  # relative; not 0, so that the outermost voxels, which one tile alone covers, have a value


def mirror_flips() -> tuple[Flip, ...]:
    """Return the axes of a batch (tile, channel, z, y, x) to flip for each of the eight mirror images.

    Examples
    --------
    >>> mirror_flips()
    ((), (4,), (3,), (3, 4), (2,), (2, 4), (2, 3), (2, 3, 4))
    """
    return tuple(
        tuple(axis for axis, is_flipped in zip((2, 3, 4), flipped, strict=True) if is_flipped)
        for flipped in product((False, True), repeat=3)
    )


def gaussian_window(side: int) -> NDArray[np.float64]:
    """Return the weights of a tile along one axis: 1 at its centre, above 0 at its ends.

    Examples
    --------
    >>> gaussian_window(5).round(3)
    array([0.006, 0.278, 1.   , 0.278, 0.006])
    """
    from_centre = np.arange(side) - (side - 1) / 2
    return np.exp(-0.5 * (from_centre * _SIGMAS_PER_SIDE / side) ** 2)


class GaussianBlend:
    """Weighted sums of tile outputs, for the slab of slices that can still receive tiles.

    The sums are a ring buffer along z, as long as a tile: slice z of the volume is stored at z modulo that length until
    no further tile covers it.

    Parameters
    ----------
    grid : TileGrid
        Positions of the tiles.
    n_channels : int
        Output channels of the network.
    device : torch.device
        Where the sums are kept.
    """

    def __init__(self, grid: TileGrid, n_channels: int, device: torch.device) -> None:
        self._grid = grid
        # Along an axis with a single tile, the weights would cancel out; leaving them out avoids rounding errors.
        windows = [
            _window(side, halo) if is_weighted else np.ones(side)
            for side, halo, is_weighted in zip(grid.tile_zyx, grid.halo_zyx, grid.is_weighted, strict=True)
        ]
        self._window = _outer(*windows).to(device)
        totals = [
            _total_weights(side, starts, window)
            for side, starts, window in zip(grid.shape_zyx, grid.starts, windows, strict=True)
        ]
        self._total_z, self._total_yx = totals[0], _outer(*totals[1:]).to(device)
        self._sums = torch.zeros(n_channels, grid.tile_zyx[0], *grid.shape_zyx[1:], device=device)

    @property
    def device(self) -> torch.device:
        """Where the sums are kept."""
        return self._sums.device

    def move_to(self, device: torch.device) -> None:
        """Move the sums to another device."""
        self._sums, self._window, self._total_yx = (
            tensor.to(device) for tensor in (self._sums, self._window, self._total_yx)
        )

    def add(self, corner: Corner, output: torch.Tensor, weight: float) -> None:
        """Add the output for a tile in place, without allocating memory.

        Parameters
        ----------
        corner : tuple of int
            First voxel (z, y, x) of the tile.
        output : Tensor of float32, shape (channel, z, y, x)
            Probabilities, on the device of the sums.
        weight : float
            Weight of this output among all outputs for the tile, which must add up to 1.
        """
        z, y, x = corner
        side_z, side_y, side_x = self._grid.tile_zyx
        first = z % side_z  # position of the tile's first slice in the ring buffer
        n_until_end = side_z - first
        columns = self._sums[:, :, y : y + side_y, x : x + side_x]
        columns[:, first:].addcmul_(output[:, :n_until_end], self._window[:n_until_end], value=weight)
        columns[:, :first].addcmul_(output[:, n_until_end:], self._window[n_until_end:], value=weight)

    def pop_slices(self, first: int, end: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield z and the mean output (channel, y, x) of the slices from `first` to before `end`, and clear them."""
        for z in range(first, end):
            sums = self._sums[:, z % self._grid.tile_zyx[0]]
            mean = sums / (self._total_yx * self._total_z[z].item())
            sums.zero_()
            yield z, mean.cpu().numpy()


def _window(side: int, halo: int) -> NDArray[np.float64]:
    window = gaussian_window(side)
    window[:halo] *= _HALO_WEIGHT
    window[side - halo :] *= _HALO_WEIGHT
    return window


def _outer(*factors: NDArray[np.float64]) -> torch.Tensor:
    result = factors[0]
    for factor in factors[1:]:
        result = np.multiply.outer(result, factor)
    return torch.from_numpy(result.astype(np.float32))


def _total_weights(side: int, starts: Sequence[int], window: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros(side)
    for start in starts:
        total[start : start + len(window)] += window
    return total


class TileSource(Protocol):
    """A network input that is read tile by tile, such as a part of a volume that does not fit into memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape (channel, z, y, x)."""

    def __getitem__(self, index: tuple[slice, ...], /) -> torch.Tensor:
        """Return a tile (channel, z, y, x) of float32; those of one row follow each other, in the order of z."""


class Tiling:
    """The prediction of one volume, batch by batch; only one slab of sums and one batch are in memory.

    Parameters
    ----------
    volume : ndarray of float32, shape (channel, z, y, x), or TileSource
        The network input.
    grid : TileGrid
        Its tiles.
    flips : sequence of tuple of int
        The mirror images over which each tile is averaged; see `mirror_flips`.
    blend : GaussianBlend
        Accumulates the outputs.
    on_slice : callable
        Called with z and the mean output (channel, y, x) of each slice, in the order of z, as soon as it is final.

    Attributes
    ----------
    n_done, n_total : int
        Predicted tiles and all tiles, each counted once per mirror image.
    """

    def __init__(
        self,
        volume: NDArray[np.float32] | TileSource,
        grid: TileGrid,
        flips: Sequence[Flip],
        blend: GaussianBlend,
        on_slice: Callable[[int, NDArray[np.float32]], Any],
    ) -> None:
        self._volume = torch.from_numpy(volume) if isinstance(volume, np.ndarray) else volume
        self.grid, self.blend, self._on_slice = grid, blend, on_slice
        self._weight = 1 / len(flips)
        self._queue = deque((flip, deque(row)) for row in grid.rows() for flip in flips)
        self._n_flips_left = self._n_flips = len(flips)
        self._final_slices = deque(zip(grid.starts[0], (*grid.starts[0][1:], grid.shape_zyx[0]), strict=True))
        self.n_done, self.n_total = 0, len(flips) * grid.n_tiles

    def n_next(self, n_tiles: int) -> int:
        """Return the size of the next batch, at most `n_tiles`; a batch never extends beyond one row and flip."""
        return min(n_tiles, len(self._queue[0][1]))

    def step(self, network: Callable[[torch.Tensor], torch.Tensor], device: torch.device, n_tiles: int) -> None:
        """Predict the next batch of tiles; if it runs out of memory, nothing has changed and it can be tried again.

        Parameters
        ----------
        network : callable
            Returns probabilities (tile, channel, z, y, x) for images (tile, channel, z, y, x), both float32.
        device : torch.device
            Device of the network.
        n_tiles : int
            Maximum batch size.
        """
        flip, row = self._queue[0]
        corners = [row[index] for index in range(self.n_next(n_tiles))]
        tiles = torch.stack([self._volume[(slice(None), *self._box(corner))] for corner in corners]).to(device)
        outputs = _flip(network(_flip(tiles, flip)), flip).to(self.blend.device)
        for corner, output in zip(corners, outputs, strict=True):
            self.blend.add(corner, output, self._weight)
            row.popleft()
        self.n_done += len(corners)
        if not row:
            self._queue.popleft()
            self._finish_row()

    def _box(self, corner: Corner) -> tuple[slice, ...]:
        return tuple(slice(start, start + side) for start, side in zip(corner, self.grid.tile_zyx, strict=True))

    def _finish_row(self) -> None:
        self._n_flips_left -= 1
        if self._n_flips_left == 0:
            self._n_flips_left = self._n_flips
            for z, mean in self.blend.pop_slices(*self._final_slices.popleft()):
                self._on_slice(z, mean)


def _flip(tensor: torch.Tensor, axes: Flip) -> torch.Tensor:
    return tensor.flip(axes) if axes else tensor
