"""The positions of overlapping tiles that cover a volume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from napari_unet3d.data.sample import Shape3D

Corner = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Positions of the tiles of a volume.

    Attributes
    ----------
    shape_zyx : tuple of int
        Shape of the volume.
    tile_zyx : tuple of int
        Shape of every tile.
    starts : tuple of tuple of int
        First voxels of the tiles along z, along y and along x, ascending; the tiles are all their combinations.
    is_weighted_zyx : tuple of bool, or None
        Along which axes tiles are weighted, for a part of a grid; None for those with several tiles.
    halo_zyx : tuple of int
        Voxels at each end of a tile that other tiles are to decide on.
    """

    shape_zyx: Shape3D
    tile_zyx: Shape3D
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    is_weighted_zyx: tuple[bool, bool, bool] | None = None
    halo_zyx: Shape3D = (0, 0, 0)

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return prod(map(len, self.starts))

    @property
    def is_weighted(self) -> tuple[bool, bool, bool]:
        """Whether the tiles are weighted along z, y, x; along an axis with a single tile, weights would cancel out."""
        z, y, x = (len(starts) > 1 for starts in self.starts)
        return self.is_weighted_zyx or (z, y, x)

    def part(self, box: Sequence[slice]) -> tuple[TileGrid, Corner]:
        """Return the tiles that touch a box, as a grid of the part of the volume that they cover.

        Within the box, the blended output of these tiles is that of all tiles, in the same order of summation.

        Parameters
        ----------
        box : sequence of slice
            Along z, y, x.

        Returns
        -------
        TileGrid, tuple of int
            The grid, and the voxel (z, y, x) of the volume at which it begins.

        Examples
        --------
        >>> import numpy as np
        >>> grid, corner = tile_grid((16, 64, 40), (16, 32, 32), 0.5, (4, 8, 8)).part(np.s_[0:16, 40:60, 0:5])
        >>> grid.starts, corner, grid.shape_zyx
        (((0,), (0, 16), (0,)), (0, 16, 0), (16, 48, 32))
        """
        touching = [
            [start for start in starts if start < side.stop and start + tile > side.start]
            for starts, tile, side in zip(self.starts, self.tile_zyx, box, strict=True)
        ]
        z, y, x = (starts[0] for starts in touching)
        shape_z, shape_y, shape_x = (
            starts[-1] - starts[0] + tile for starts, tile in zip(touching, self.tile_zyx, strict=True)
        )
        moved_z, moved_y, moved_x = (tuple(start - starts[0] for start in starts) for starts in touching)
        moved = moved_z, moved_y, moved_x
        return TileGrid((shape_z, shape_y, shape_x), self.tile_zyx, moved, self.is_weighted), (z, y, x)

    def rows(self) -> Iterator[tuple[Corner, ...]]:
        """Yield the first voxels (z, y, x) of all tiles that start at the same z, in the order of z."""
        for z in self.starts[0]:
            yield tuple((z, y, x) for y, x in product(*self.starts[1:]))


def tile_grid(shape: Shape3D, tile: Shape3D, overlap: float, total_stride: Shape3D) -> TileGrid:
    """Cover a volume with tiles.

    Parameters
    ----------
    shape : tuple of int
        Shape (z, y, x) of the volume.
    tile : tuple of int
        Shape (z, y, x) of a tile; along an axis on which the volume is shorter, tiles are as long as the volume.
    overlap : float
        Minimum fraction of its side by which a tile overlaps the next one; from 0 to below 1.
    total_stride : tuple of int
        Downsampling factor along z, y, x from the input to the bottom of the network. Tiles start at multiples of it,
        so they share one grid at the bottom; the last one along an axis ends at the end of the volume.

    Examples
    --------
    >>> tile_grid((16, 64, 40), tile=(16, 32, 32), overlap=0.5, total_stride=(4, 8, 8)).starts
    ((0,), (0, 16, 32), (0, 8))
    """
    z, y, x = (min(tile_side, side) for tile_side, side in zip(tile, shape, strict=True))
    tile = (z, y, x)
    starts_z, starts_y, starts_x = (
        _starts(side, tile_side, overlap, stride)
        for side, tile_side, stride in zip(shape, tile, total_stride, strict=True)
    )
    return TileGrid(shape, tile, (starts_z, starts_y, starts_x))


def halo_grid(shape: Shape3D, tile: Shape3D, overlap: float, steps: Shape3D, halo: Shape3D) -> TileGrid:
    """Cover a volume that has a halo around it with tiles, so that each voxel is in one of them and not in its halo.

    Parameters
    ----------
    shape : tuple of int
        Shape (z, y, x) of the volume with the halo.
    tile : tuple of int
        Shape (z, y, x) of a tile.
    overlap : float
        Minimum fraction of its side by which a tile overlaps the next one; twice the halo, if that is more.
    steps : tuple of int
        Tiles start at multiples of this along z, y, x, if they overlap enough then.
    halo : tuple of int
        Voxels (z, y, x) at each end of a tile that are left out.

    Examples
    --------
    >>> halo_grid((16, 40, 40), (16, 16, 16), 0.0, (1, 1, 1), (0, 4, 4)).starts
    ((0,), (0, 8, 16, 24), (0, 8, 16, 24))
    """
    starts = []
    for side, tile_side, step, margin in zip(shape, tile, steps, halo, strict=True):
        kept = tile_side - 2 * margin
        apart = max(1, min(int(tile_side * (1 - overlap)), kept))
        apart = apart // step * step if apart >= step else apart
        starts.append((*range(0, side - tile_side, apart), side - tile_side))
    z, y, x = starts
    return TileGrid(shape, tile, (z, y, x), halo_zyx=halo)


def _starts(side: int, tile_side: int, overlap: float, stride: int) -> tuple[int, ...]:
    step = max(stride, int(tile_side * (1 - overlap)) // stride * stride)
    return (*range(0, side - tile_side, min(step, tile_side)), side - tile_side)
