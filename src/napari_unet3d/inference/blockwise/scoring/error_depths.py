"""How deep wrong voxels are, measured in a region around them that grows until the distances are exact."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet3d.data.boxes import Box, bounding_box, expand
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.evaluation.errors.distances import TruthDistance, inner_distance
from napari_unet3d.evaluation.errors.regions import by_number
from napari_unet3d.evaluation.metrics.overlaps import narrow_ids
from napari_unet3d.inference.blockwise.grid import BlockGrid, memory_limit
from napari_unet3d.inference.blockwise.scoring.error_components import ErrorCodes, JoinedBlocks
from napari_unet3d.inference.events import BlockDone

FIRST_HALO = 16
"""Voxels around wrong ones in which distances are measured at first."""
_BYTES_PER_VOXEL = 60
_MOST_IDS = 2**20
Mask = NDArray[np.bool_]


def is_affordable(box: Box) -> bool:
    """Return whether the labels of a box, and what is computed of them, fit into the memory of a block."""
    n_voxels = prod(side.stop - side.start for side in box)
    return bool(n_voxels * _BYTES_PER_VOXEL <= memory_limit())


@dataclass(slots=True, eq=False)
class DepthsOfBlocks:
    """Measures the depths of wrong voxels, block by block.

    Attributes
    ----------
    wrong, components : ErrorCodes, JoinedBlocks
        The wrong voxels, and which are connected.
    is_whole : ndarray of bool, shape (component,)
        Which components are whole structures.
    has_surface : bool
        Whether the ground truth has two values, so that there is a distance between them.
    spacing : tuple of float
        Size of a voxel along z, y, x.
    affordable : callable
        Returns whether a region fits into memory.
    n_bounded : int
        Voxels so far that are deeper than what fits into memory: their depth is at least what it says.
    """

    wrong: ErrorCodes
    components: JoinedBlocks
    is_whole: Mask
    has_surface: bool
    spacing: VoxelSize
    affordable: Callable[[Box], bool] = is_affordable
    n_bounded: int = field(default=0, init=False)

    def measure(self, grid: BlockGrid, depths: Any) -> Generator[BlockDone, None, NDArray[np.float32]]:
        """Write the depths of all wrong voxels; return the greatest of each component.

        Parameters
        ----------
        grid : BlockGrid
            The blocks.
        depths : array-like of float32, shape (z, y, x)
            What the depths are written to.
        """
        greatest = np.zeros(len(self.components), np.float32)
        blocks = self.components.blocks
        for n_done, number in enumerate(blocks, start=1):
            box = grid.box(number)
            numbers = self.components.read(box)
            found = self.depths_in(box, numbers)
            depths[box] = found
            inside = numbers >= 0
            np.maximum.at(greatest, numbers[inside], found[inside])
            yield BlockDone("measured", n_done, len(blocks), box)
        return greatest

    def depths_in(self, box: Box, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the depths of the wrong voxels of a block, given their components; 0 elsewhere."""
        is_wrong = numbers >= 0
        is_alone = np.zeros(is_wrong.shape, bool)
        codes = self.components.column("value")
        is_extra = self.is_whole & (codes < self.wrong.n_values)
        is_alone[is_wrong] = is_extra[numbers[is_wrong]] | (not self.has_surface)
        depths = np.zeros(is_wrong.shape, np.float32)
        for mask, distances in ((is_wrong & ~is_alone, self._from_truth), (is_alone, self._from_outside)):
            remaining = mask
            for region, is_last in self._regions(remaining, box):
                found = distances(box, region, remaining)
                margin = _margin(box, region, self.wrong.parts.shape, self.spacing)
                depths[remaining] = np.minimum(found, margin)[remaining]
                remaining = remaining & (found > margin)
                if not remaining.any():
                    break
                if is_last:
                    self.n_bounded += int(np.count_nonzero(remaining))
        return depths

    def _regions(self, mask: Mask, box: Box) -> Iterator[tuple[Box, bool]]:
        """Yield ever larger regions around some voxels, as long as they fit into memory, and whether it is the last."""
        around = bounding_box(mask)
        if around is None:
            return
        z, y, x = (slice(own.start + side.start, own.stop + side.start) for own, side in zip(around, box, strict=True))
        shape, halo = self.wrong.parts.shape, FIRST_HALO
        region = expand((z, y, x), (halo,) * 3, shape)
        while True:
            halo *= 2
            wider = expand((z, y, x), (halo,) * 3, shape)
            is_last = wider == region or not self.affordable(wider)
            yield region, is_last
            if is_last:
                return
            region = wider

    def _from_truth(self, box: Box, region: Box, mask: Mask) -> NDArray[np.float32]:
        """Return the distance of voxels of a block from the nearest annotated one with another true value."""
        _, truth = self.wrong.parts.read(region)
        labels, _ = narrow_ids(truth.labels, _MOST_IDS)
        distance = TruthDistance(GroundTruth(labels, truth.label_mask), self.spacing)
        voxels = np.nonzero(mask)
        shifted = tuple(
            along + side.start - outer.start for along, side, outer in zip(voxels, box, region, strict=True)
        )
        places = np.ravel_multi_index(shifted, labels.shape).astype(np.int64)
        values, found = labels.reshape(-1)[places], np.zeros(len(places), np.float32)
        for mine in by_number(values):
            found[mine] = distance.distances(int(values[mine[0]]), places[mine])
        depths = np.zeros(mask.shape, np.float32)
        depths[mask] = found
        return depths

    def _from_outside(self, box: Box, region: Box, mask: Mask) -> NDArray[np.float32]:
        """Return the distance of voxels of a block from the nearest one outside of their component."""
        numbers = self.components.read(region)
        inner = tuple(
            slice(max(a.start, b.start) - b.start, min(a.stop, b.stop) - b.start)
            for a, b in zip(box, region, strict=True)
        )
        own = tuple(
            slice(max(a.start, b.start) - a.start, min(a.stop, b.stop) - a.start)
            for a, b in zip(box, region, strict=True)
        )
        wanted = np.unique(numbers[inner][mask[own]])
        labels = np.searchsorted(wanted, numbers) + 1
        labels[~np.isin(numbers, wanted)] = 0
        depths = np.zeros(numbers.shape, np.float32)
        for label, place in enumerate(ndimage.find_objects(labels), start=1):
            component = labels[place] == label
            depths[place][component] = inner_distance(component, self.spacing)[component]
        result = np.zeros(mask.shape, np.float32)
        result[own] = depths[inner]
        # Where the region ends, the component may go on.
        margin = _margin(box, region, self.wrong.parts.shape, self.spacing)
        return np.where(result >= margin, np.float32(np.inf), result)


def _margin(box: Box, region: Box, shape: Shape3D, spacing: VoxelSize) -> NDArray[np.float32]:
    """Return how far each voxel of a block is from the nearest voxel that is outside of a region, in the volume."""
    nearest = []
    for side, outer, length, size in zip(box, region, shape, spacing, strict=True):
        at = np.arange(side.start, side.stop)
        below = (at - outer.start + 1) * size if outer.start > 0 else np.full(len(at), np.inf)
        above = (outer.stop - at) * size if outer.stop < length else np.full(len(at), np.inf)
        nearest.append(np.minimum(below, above))
    z, y, x = np.ix_(*nearest)
    margin: NDArray[np.float32] = np.minimum(np.minimum(z, y), x).astype(np.float32)
    return margin
