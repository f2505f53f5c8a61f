"""The errors of a volume that does not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.boxes import Box
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.evaluation.errors import find
from napari_unet3d.evaluation.errors.border import ids_left_out
from napari_unet3d.evaluation.errors.regions import deepest_noise, steps_of
from napari_unet3d.evaluation.errors.types import ErrorList, SegmentationError
from napari_unet3d.evaluation.errors.voxels import VoxelError
from napari_unet3d.evaluation.metrics.overlaps import Overlaps
from napari_unet3d.inference.blockwise.grid import BlockGrid
from napari_unet3d.inference.blockwise.ngff import create_array
from napari_unet3d.inference.blockwise.scoring.error_components import ErrorCodes, find_components
from napari_unet3d.inference.blockwise.scoring.error_depths import DepthsOfBlocks, is_affordable
from napari_unet3d.inference.blockwise.scoring.error_parts import ErrorParts, ErrorVoxelsOfBlocks, find_parts
from napari_unet3d.inference.blockwise.scoring.merges_splits import MergeSplitFound, find_merges_splits_blocks
from napari_unet3d.inference.blockwise.scoring.pair_parts import PairParts
from napari_unet3d.inference.blockwise.scoring.pair_table import PairTable
from napari_unet3d.inference.events import BlockDone

_LARGEST_CODE = 2**62


@dataclass(frozen=True, slots=True)
class ErrorRules:
    """What counts as an error.

    Attributes
    ----------
    geometry : Geometry
        Voxel size of the volume.
    tolerance : float
        Depth up to which differences are boundary noise.
    ignore_border : bool
        Leave out instances that touch the border of the volume.
    """

    geometry: Geometry
    tolerance: float
    ignore_border: bool = False


def find_errors_blocks(
    parts: PairParts,
    grid: BlockGrid,
    table: PairTable,
    rules: ErrorRules,
    folder: Path,
    affordable: Callable[[Box], bool] = is_affordable,
) -> Generator[BlockDone | Notice, None, ErrorList]:
    """Find the errors of a prediction: those of `find_errors`, with one block at a time in memory.

    Parameters
    ----------
    parts, grid : PairParts, BlockGrid
        Prediction and ground truth, and the blocks that are read.
    table : PairTable
        What `count_blocks` has counted.
    rules : ErrorRules
        What counts as an error.
    folder : Path
        A folder for what is kept on disk meanwhile.
    affordable : callable
        Returns whether a box fits into memory.

    Yields
    ------
    BlockDone
        After each block.
    Notice
        If depths could not be measured exactly.
    """
    overlaps = table.overlaps() if parts.task is Task.INSTANCE else None
    if overlaps is not None and rules.ignore_border:
        inner = overlaps.without_border(*table.at_border)
        parts = replace(parts, left_out=ids_left_out(overlaps, inner))
        overlaps = inner
    merges: list[MergeSplitFound] = []
    if overlaps is not None:
        how = rules.geometry.spacing, affordable
        merges = yield from find_merges_splits_blocks(parts, grid, overlaps, *how)
    search = _Search(parts, grid, table, rules, folder)
    errors = yield from search.run(overlaps, merges, affordable)
    return errors


class _Search:
    """The steps of a search for errors."""

    def __init__(self, parts: PairParts, grid: BlockGrid, table: PairTable, rules: ErrorRules, folder: Path) -> None:
        self._parts, self._grid, self._rules, self._folder = parts, grid, rules, folder
        predicted, target, _, _ = table.rows
        n_values = 1 + int(max(predicted.max(initial=0), target.max(initial=0)))
        self._ids: tuple[NDArray[Any], NDArray[Any]] | None = None
        if n_values**2 > _LARGEST_CODE:
            self._ids = np.union1d(predicted, [0]), np.union1d(target, [0])
            n_values = max(map(len, self._ids))
            self._parts = replace(parts, numbered=self._ids)
        self._wrong = ErrorCodes(self._parts, n_values)
        self._has_surface = table.n_true_values > 1
        self._highest = deepest_noise(rules.tolerance)

    def run(
        self, overlaps: Overlaps | None, merges: list[MergeSplitFound], affordable: Callable[[Box], bool]
    ) -> Generator[BlockDone | Notice, None, ErrorList]:
        """Find all regions of wrong voxels, and list them with merges and splits."""
        spacing, tolerance, grid = self._rules.geometry.spacing, self._rules.tolerance, self._grid
        if overlaps is not None and self._ids is not None:
            overlaps = _numbered(overlaps, *self._ids)
        components, is_whole = yield from find_components(self._wrong, grid, overlaps, self._folder / "components")
        depths = create_array(self._folder / "depths.zarr", grid.shape_zyx, np.float32, _chunks(grid))
        measuring = DepthsOfBlocks(self._wrong, components, is_whole, self._has_surface, spacing, affordable)
        greatest = yield from measuring.measure(grid, depths)
        voxels = ErrorVoxelsOfBlocks.of(components, depths, tolerance, spacing, is_whole, greatest)
        regions = yield from find_parts(voxels, grid, steps_of(tolerance, spacing), self._folder / "parts")
        yield from self._notices(measuring.n_bounded, merges)
        return self._list(regions, voxels, merges)

    def _list(self, parts: ErrorParts, voxels: ErrorVoxelsOfBlocks, merges: list[MergeSplitFound]) -> ErrorList:
        listed = [each for each in merges if each.depth > self._highest]
        chosen = parts.largest()
        found = [*map(self._merge_or_split, listed), *self._regions(parts, voxels, chosen)]
        found.sort(key=lambda each: -each.n_voxels)
        n_dropped = len(parts) - len(chosen) + max(0, len(found) - find.MOST_KEPT)
        return ErrorList(
            errors=tuple(replace(each, number=n) for n, each in enumerate(found[: find.MOST_KEPT], start=1)),
            n_hidden=len(merges) - len(listed) + int(np.count_nonzero(~voxels.has_core)),
            n_left_out=n_dropped,
            tolerance=self._rules.tolerance,
            geometry=self._rules.geometry,
            task=self._parts.task,
            ignores_border=self._rules.ignore_border,
        )

    def _merge_or_split(self, found: MergeSplitFound) -> SegmentationError:
        volume = float(found.n_voxels * self._rules.geometry.voxel_volume)
        places = found.position_zyx, found.box_zyx
        return SegmentationError(
            0, found.kind, found.n_voxels, volume, found.depth, *places, found.predicted, found.target
        )

    def _regions(
        self, parts: ErrorParts, voxels: ErrorVoxelsOfBlocks, chosen: NDArray[np.int64]
    ) -> list[SegmentationError]:
        if not len(chosen):
            return []
        positions, depths = parts.positions(chosen)
        names = ("n_voxels", *(f"{end}_{axis}" for axis in "zyx" for end in ("start", "stop")))
        rows = np.stack([np.asarray(parts.columns[name])[chosen].astype(np.int64) for name in names], axis=1)
        codes, errors = voxels.components.column("value"), []
        components = parts.components[chosen]
        for row, position, depth, component in zip(rows.tolist(), positions.tolist(), depths, components, strict=True):
            target, predicted = divmod(int(codes[component]), self._wrong.n_values)
            n_voxels, *ends = row
            box = (ends[0], ends[1]), (ends[2], ends[3]), (ends[4], ends[5])
            errors.append(
                SegmentationError(
                    number=0,
                    kind=VoxelError(predicted, target).kind,
                    n_voxels=n_voxels,
                    volume=float(n_voxels * self._rules.geometry.voxel_volume),
                    depth=float(depth),
                    position_zyx=(position[0], position[1], position[2]),
                    box_zyx=box,
                    predicted=self._values(predicted, 0),
                    target=self._values(target, 1),
                    is_whole=bool(voxels.is_whole[component]),
                )
            )
        return errors

    def _values(self, value: int, which: int) -> tuple[int, ...]:
        if not value:
            return ()
        return (value if self._ids is None else int(self._ids[which][value]),)

    def _notices(self, n_bounded: int, merges: list[MergeSplitFound]) -> Generator[Notice, None, None]:
        if n_bounded:
            yield Notice(
                f"{n_bounded} wrong voxels of '{self._parts.name}' are further from a surface than what fits into "
                "memory around them; the depth of their errors is given as what it is at least."
            )
        if n_coarse := sum(not each.is_exact for each in merges):
            yield Notice(
                f"{n_coarse} merged or split objects of '{self._parts.name}' do not fit into memory; their depth and "
                "position are measured at some of their voxels only."
            )


def _numbered(overlaps: Overlaps, ids: NDArray[Any], true_ids: NDArray[Any]) -> Overlaps:
    """Return overlaps whose ids are the places of the old ones in some lists."""
    return replace(
        overlaps,
        predicted_ids=np.searchsorted(ids, overlaps.predicted_ids),
        true_ids=np.searchsorted(true_ids, overlaps.true_ids),
    )


def _chunks(grid: BlockGrid) -> tuple[int, int, int]:
    z, y, x = (min(side, 64) for side in grid.block_zyx)
    return z, y, x
