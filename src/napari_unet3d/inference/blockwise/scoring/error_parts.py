"""One region per error, across blocks: what is deeper than the tolerance and connected, with the noise next to it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box, expand
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.evaluation.errors import find
from napari_unet3d.evaluation.errors.regions import RELATIVE_ERROR, ErrorComponents, deepest_noise, grow
from napari_unet3d.inference.blockwise.fragments import Fragments, measure
from napari_unet3d.inference.blockwise.grid import BlockGrid
from napari_unet3d.inference.blockwise.ngff import create_array
from napari_unet3d.inference.blockwise.scoring.error_components import JoinedBlocks, fragments_of, join_blocks
from napari_unet3d.inference.blockwise.stitching import ObjectColumns
from napari_unet3d.inference.events import BlockDone

Mask = NDArray[np.bool_]
_AXES = "zyx"


@dataclass(frozen=True, slots=True, eq=False)
class ErrorVoxelsOfBlocks:
    """The wrong voxels of a volume with their components and depths.

    Attributes
    ----------
    components : JoinedBlocks
        Which are connected.
    depths : array-like of float32, shape (z, y, x)
        How deep each is.
    highest : float
        The depth up to which they are boundary noise.
    is_kept : ndarray of bool, shape (component,)
        Of whole structures, which are kept as a whole.
    is_whole : ndarray of bool, shape (component,)
        Which components are whole structures.
    has_core : ndarray of bool, shape (component,)
        Which components are not only noise.
    """

    components: JoinedBlocks
    depths: Any
    highest: float
    is_kept: Mask
    is_whole: Mask
    has_core: Mask

    @classmethod
    def of(
        cls,
        components: JoinedBlocks,
        depths: Any,
        tolerance: float,
        spacing: VoxelSize,
        is_whole: Mask,
        greatest: NDArray[np.float32],
    ) -> ErrorVoxelsOfBlocks:
        """Return them, given the greatest depth of each component; see `regions.find_cores`."""
        highest = deepest_noise(tolerance)
        is_deep = is_kept = greatest > highest
        for axis, size in zip(_AXES, spacing, strict=True):
            length = (components.column(f"stop_{axis}") - components.column(f"start_{axis}")) * size
            is_kept = is_kept | (length > 2 * highest)
        has_core = np.where(is_whole, is_kept, is_deep)
        return cls(components, depths, highest, is_kept, is_whole, has_core)

    def __getitem__(self, box: Box) -> NDArray[np.int64]:
        """Return the components of the voxels of a box that are no noise; -1 elsewhere."""
        numbers = self.components.read(box)
        inside = numbers >= 0
        mine = numbers[inside]
        deep = np.asarray(self.depths[box])[inside] > self.highest
        numbers[inside] = np.where(np.where(self.is_whole[mine], self.is_kept[mine], deep), mine, -1)
        return numbers

    def fragments(self, grid: BlockGrid, box: Box) -> Fragments | None:
        """Return the connected voxels of a block that are no noise."""
        numbers = self[box]
        return fragments_of(numbers, box, grid) if (numbers >= 0).any() else None


class ErrorParts:
    """The errors as regions of voxels.

    Parameters
    ----------
    voxels : ErrorVoxelsOfBlocks
        The wrong voxels.
    cores : JoinedBlocks
        Those that are no noise, connected.
    grid : BlockGrid
        The blocks.
    folder : Path
        A new folder.
    """

    def __init__(self, voxels: ErrorVoxelsOfBlocks, cores: JoinedBlocks, grid: BlockGrid, folder: Path) -> None:
        self._voxels, self._cores, self._grid = voxels, cores, grid
        order = np.lexsort((cores.column("start_flat"), cores.column("n_voxels")))
        self.rank = np.empty(len(cores), np.int64)
        self.rank[order] = np.arange(1, len(cores) + 1)  # larger ones take precedence
        folder.mkdir(exist_ok=True)
        self.columns = ObjectColumns(folder / "columns", len(cores))
        z, y, x = (min(side, 64) for side in grid.block_zyx)
        self._array = create_array(folder / "parts.zarr", grid.shape_zyx, np.uint32, (z, y, x))

    def __len__(self) -> int:
        return len(self._cores)

    @property
    def components(self) -> NDArray[np.int64]:
        """The component that each part is of."""
        return self._cores.column("value")

    def grow(self, n_steps: int) -> Generator[BlockDone, None, None]:
        """Assign the noise up to a number of voxels around each part to it, and measure the parts.

        Yields
        ------
        BlockDone
            After each block.
        """
        blocks = self._voxels.components.blocks if len(self) else []
        for n_done, number in enumerate(blocks, start=1):
            box = self._grid.box(number)
            parts = self._grown(box, n_steps)
            self._array[box] = parts + 1
            found, indices = np.unique(parts, return_inverse=True)
            n_none = int(len(found) > 0 and found[0] < 0)
            labels: NDArray[np.uint32] = (np.reshape(indices, parts.shape) + (1 - n_none)).astype(np.uint32)
            if n_here := len(found) - n_none:
                table = measure(labels, n_here, box, self._grid.shape_zyx)
                deepest = np.zeros(n_here, np.float32)
                inside = labels > 0
                np.maximum.at(deepest, labels[inside] - 1, np.asarray(self._voxels.depths[box])[inside])
                self.columns.add(found[n_none:], {**table, "depth": deepest})
            yield BlockDone("grouped", n_done, len(blocks), box)

    def _grown(self, box: Box, n_steps: int) -> NDArray[np.int64]:
        """Return the part of each voxel of a block, from 0; -1 for none."""
        region = expand(box, (n_steps,) * 3, self._grid.shape_zyx)
        cores, numbers = self._cores.read(region), self._voxels.components.read(region)
        places = np.flatnonzero(numbers >= 0)
        here, numbers = cores.reshape(-1)[places], numbers.reshape(-1)[places]
        noise = np.flatnonzero((here < 0) & self._voxels.has_core[numbers])
        if len(noise) and n_steps:
            found = np.unique(here[here >= 0])
            found = found[np.argsort(self.rank[found])]
            local = np.zeros(len(self) + 1, np.int32)
            local[found] = np.arange(1, len(found) + 1)
            parts = local[here]
            component_ids, components = np.unique(numbers, return_inverse=True)
            region_of = np.zeros(len(found) + 1, np.int32)
            region_of[parts[here >= 0]] = components[here >= 0]
            all_regions = ErrorComponents(
                places, components.astype(np.int32), np.zeros(len(component_ids), bool), cores.shape
            )
            grow(parts, noise, region_of, all_regions, n_steps)
            here = np.concatenate([[-1], found])[parts]
        grown = np.full(cores.size, -1, np.int64)
        grown[places] = here
        inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, region, strict=True))
        return grown.reshape(cores.shape)[inner]

    def largest(self) -> NDArray[np.int64]:
        """Return the largest parts, in the order of their size."""
        if not len(self):
            return np.zeros(0, np.int64)
        chosen: NDArray[np.int64] = np.lexsort((self.rank, -np.asarray(self.columns["n_voxels"])))[: find.MOST_KEPT]
        return chosen

    def positions(self, chosen: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the deepest voxel of some parts, of several the one nearest to the centre.

        Returns
        -------
        tuple of ndarray of int64, shape (part, 3), and ndarray of float32, shape (part,)
            Position z, y, x and depth.
        """
        index = np.full(len(self) + 1, -1)
        index[chosen] = np.arange(len(chosen))
        n_voxels = np.asarray(self.columns["n_voxels"])[chosen]
        centres = [np.asarray(self.columns[f"sum_{axis}"])[chosen] / n_voxels for axis in _AXES]
        deepest = np.asarray(self.columns["depth"])[chosen] * (1 - RELATIVE_ERROR)
        best = np.full((len(chosen), 5), np.inf)  # distance from the centre, z, y, x, depth
        for number in self._voxels.components.blocks:
            box = self._grid.box(number)
            mine = index[np.asarray(self._array[box]).astype(np.int64) - 1]
            depths = np.asarray(self._voxels.depths[box])
            is_candidate = (mine >= 0) & (depths >= deepest[mine])
            voxels, mine = np.nonzero(is_candidate), mine[is_candidate]
            voxels = tuple(along + side.start for along, side in zip(voxels, box, strict=True))
            from_centre = sum(np.abs(along - centre[mine]) for along, centre in zip(voxels, centres, strict=True))
            rows = np.stack([from_centre, *voxels, depths[is_candidate]], axis=1)
            every, numbers = np.concatenate([best, rows]), np.concatenate([np.arange(len(chosen)), mine])
            order = np.lexsort((every[:, 3], every[:, 2], every[:, 1], every[:, 0], numbers))
            _, first = np.unique(numbers[order], return_index=True)
            best = every[order][first]
        return best[:, 1:4].astype(np.int64), best[:, 4].astype(np.float32)


def find_parts(
    voxels: ErrorVoxelsOfBlocks, grid: BlockGrid, n_steps: int, folder: Path
) -> Generator[BlockDone, None, ErrorParts]:
    """Find one region per error; see `regions.split_components`.

    Parameters
    ----------
    voxels : ErrorVoxelsOfBlocks
        The wrong voxels.
    grid : BlockGrid
        The blocks.
    n_steps : int
        Distance in voxels up to which noise belongs to the error next to it.
    folder : Path
        A new folder.

    Yields
    ------
    BlockDone
        After each block.
    """

    def fragments(box: Box) -> Fragments | None:
        return voxels.fragments(grid, box)

    cores = yield from join_blocks(fragments, voxels, grid, folder / "cores", "separated", voxels.components.blocks)
    parts = ErrorParts(voxels, cores, grid, folder)
    yield from parts.grow(n_steps)
    return parts
