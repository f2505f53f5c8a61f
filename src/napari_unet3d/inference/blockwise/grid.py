"""The blocks of a volume, and how large they can be."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import psutil

from napari_unet3d.data.boxes import Box
from napari_unet3d.data.sample import Shape3D

_FRACTION_OF_FREE = 0.25
_MOST_BYTES = 400 * 2**20  # larger blocks hardly save time: only tiles at their faces are predicted twice


@dataclass(frozen=True, slots=True)
class BlockGrid:
    """A volume that is divided into blocks, which are numbered from 0 along x, then y, then z.

    Attributes
    ----------
    shape_zyx : tuple of int
        Shape of the volume.
    block_zyx : tuple of int
        Shape of a block; those at the end of an axis may be smaller.

    Examples
    --------
    >>> grid = BlockGrid((10, 20, 30), (8, 16, 16))
    >>> grid.counts, grid.box(7), grid.lower_neighbour(7, axis=0)
    ((2, 2, 2), (slice(8, 10, None), slice(16, 20, None), slice(16, 30, None)), 3)
    """

    shape_zyx: Shape3D
    block_zyx: Shape3D

    @property
    def counts(self) -> Shape3D:
        """Number of blocks along z, y, x."""
        z, y, x = (-(-side // block) for side, block in zip(self.shape_zyx, self.block_zyx, strict=True))
        return z, y, x

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return prod(self.counts)

    def box(self, number: int) -> Box:
        """Return the box of a block."""
        z, y, x = (
            slice(int(index) * block, min((int(index) + 1) * block, side))
            for index, block, side in zip(
                np.unravel_index(number, self.counts), self.block_zyx, self.shape_zyx, strict=True
            )
        )
        return z, y, x

    def lower_neighbour(self, number: int, axis: int) -> int | None:
        """Return the block before another one along an axis (0 is z); None at the border of the volume."""
        if np.unravel_index(number, self.counts)[axis] == 0:
            return None
        return number - prod(self.counts[axis + 1 :])

    def columns(self) -> Iterator[range]:
        """Yield the blocks that are above each other along z, in the order of z."""
        per_layer = prod(self.counts[1:])
        for first in range(per_layer):
            yield range(first, self.n_blocks, per_layer)

    def number_at(self, voxel_zyx: Sequence[int]) -> int:
        """Return the block of a voxel."""
        index = tuple(int(at) // block for at, block in zip(voxel_zyx, self.block_zyx, strict=True))
        return int(np.ravel_multi_index(index, self.counts))


def nearest_blocks(
    grid: BlockGrid, wanted: Collection[int], voxel_zyx: Sequence[float] | None, n_most: int
) -> list[int]:
    """Return the block that is nearest to a voxel, and those above it along z that are wanted, too.

    Parameters
    ----------
    grid : BlockGrid
        The blocks.
    wanted : collection of int
        Those that are chosen from, at least one.
    voxel_zyx : sequence of float or None
        The voxel, which may be outside of the volume; None for the first block.
    n_most : int
        How many are returned at most.

    Examples
    --------
    >>> grid = BlockGrid((20, 20, 30), (8, 16, 16))
    >>> nearest_blocks(grid, range(grid.n_blocks), (9, -4, 20), 2), nearest_blocks(grid, [2, 7, 8], (9, -4, 20), 2)
    ([5, 9], [8])
    """
    numbers = np.array(sorted(wanted))
    first = int(numbers[0])
    if voxel_zyx is not None:
        block = np.array(grid.block_zyx)
        start = np.stack(np.unravel_index(numbers, grid.counts), axis=1) * block
        stop = np.minimum(start + block, grid.shape_zyx) - 1
        beyond = np.maximum(0, np.maximum(start - voxel_zyx, np.asarray(voxel_zyx) - stop))
        first = int(numbers[np.argmin((beyond**2).sum(1))])
    per_layer = prod(grid.counts[1:])
    return next(runs(range(first, first + n_most * per_layer, per_layer), set(wanted)))


def runs(numbers: Sequence[int], wanted: set[int]) -> Iterator[list[int]]:
    """Yield the longest runs of numbers in a row that are all wanted.

    >>> list(runs([0, 4, 8, 12], {0, 8, 12}))
    [[0], [8, 12]]
    """
    run: list[int] = []
    for number in numbers:
        if number in wanted:
            run.append(number)
        elif run:
            yield run
            run = []
    if run:
        yield run


def memory_limit() -> int:
    """Return how many bytes the arrays of a block may take: a quarter of the free memory, at most 400 MiB."""
    return min(_MOST_BYTES, int(_FRACTION_OF_FREE * psutil.virtual_memory().available))


@dataclass(frozen=True, slots=True)
class BlockCost:
    """What a block takes in memory.

    Attributes
    ----------
    tile_zyx : tuple of int
        The tiles; a slab of them is in memory, with those that extend beyond the block.
    slab_bytes : float
        Bytes per voxel of that slab.
    block_bytes : float
        Bytes per voxel of a block.
    """

    tile_zyx: Shape3D
    slab_bytes: float
    block_bytes: float

    def n_bytes(self, block_zyx: Shape3D) -> int:
        """Return the bytes that a block of a shape takes."""
        z, y, x = block_zyx
        slab = self.tile_zyx[0] * prod(
            side + 2 * tile for side, tile in zip(block_zyx[1:], self.tile_zyx[1:], strict=True)
        )
        return int(slab * self.slab_bytes + z * y * x * self.block_bytes)


def choose_block(shape: Shape3D, unit: Shape3D, cost: BlockCost, limit_bytes: int) -> Shape3D:
    """Return the largest block that fits into memory: about as high as a tile, and as wide as possible.

    Tiles are blended along z from one block to the next, so that only the width of a block costs time.

    Parameters
    ----------
    shape : tuple of int
        Shape (z, y, x) of the volume.
    unit : tuple of int
        The sides of a block are multiples of these.
    cost : BlockCost
        What a block takes.
    limit_bytes : int
        What it may take.

    Examples
    --------
    >>> choose_block((1024, 1024, 1024), (64, 64, 64), BlockCost((64, 64, 64), 9, 9), limit_bytes=400 * 2**20)
    (64, 512, 512)
    """
    counts = [-(-side // own) for side, own in zip(shape, unit, strict=True)]
    counts[0] = min(counts[0], max(1, cost.tile_zyx[0] // unit[0]))

    def block() -> Shape3D:
        z, y, x = (count * own for count, own in zip(counts, unit, strict=True))
        return z, y, x

    while cost.n_bytes(block()) > limit_bytes and max(counts) > 1:
        widest = max((axis for axis in range(3) if counts[axis] > 1), key=lambda axis: block()[axis])
        counts[widest] = -(-counts[widest] // 2)
    return block()


def round_up(block: Shape3D, unit: Shape3D, shape: Shape3D) -> Shape3D:
    """Return a block of whole units, not larger than the volume needs.

    >>> round_up((100, 100, 100), (64, 64, 64), (300, 300, 90))
    (128, 128, 128)
    """
    z, y, x = (
        min(-(-side // own), -(-length // own)) * own for side, own, length in zip(block, unit, shape, strict=True)
    )
    return z, y, x
