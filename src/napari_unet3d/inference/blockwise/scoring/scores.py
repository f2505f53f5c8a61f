"""The scores of a volume that does not fit into memory."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from napari_unet3d.configs import Task
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.evaluation.metrics.pair import CountedPair, LabelPair
from napari_unet3d.evaluation.metrics.score import MetricOptions, score_pairs
from napari_unet3d.evaluation.metrics.surfaces import SurfaceScores
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.evaluation.tolerance import tolerance_for
from napari_unet3d.inference.blockwise.grid import BlockGrid
from napari_unet3d.inference.blockwise.scoring.pair_parts import PairParts
from napari_unet3d.inference.blockwise.scoring.pair_table import PairTable
from napari_unet3d.inference.blockwise.scoring.surface_points import SurfacePoints
from napari_unet3d.inference.events import BlockDone


def count_blocks(parts: PairParts, grid: BlockGrid) -> Generator[BlockDone, None, PairTable]:
    """Count the voxels of all combinations of labels.

    Parameters
    ----------
    parts : PairParts
        Prediction and ground truth.
    grid : BlockGrid
        The blocks, one of which is in memory at a time.

    Yields
    ------
    BlockDone
        After each block.
    """
    table = PairTable(grid.shape_zyx)
    for number in range(grid.n_blocks):
        box = grid.box(number)
        table.add(box, *parts.read(box))
        yield BlockDone("counted", number + 1, grid.n_blocks, box)
    return table


def score_blocks(
    parts: PairParts, grid: BlockGrid, table: PairTable, geometry: Geometry, options: MetricOptions, folder: Path
) -> Generator[BlockDone, None, Scores]:
    """Return the scores of a volume: those of `score`, with one block at a time in memory.

    Parameters
    ----------
    parts, grid : PairParts, BlockGrid
        Prediction and ground truth, and the blocks that are read.
    table : PairTable
        What `count_blocks` has counted.
    geometry, options : Geometry, MetricOptions
        As for `score`.
    folder : Path
        A folder for the surfaces, which are kept on disk.

    Yields
    ------
    BlockDone
        After each block whose surfaces were found.
    """
    present = table.present() if options.task is Task.SEMANTIC else frozenset[int]()
    values: list[int | None] = [*sorted(present)] or [None]
    surfaces = SurfacePoints(folder / "surfaces", grid.shape_zyx, geometry.spacing)
    counts = {value: table.counts(value) for value in values}
    differing = [value for value, each in counts.items() if not each.is_same]
    for number in range(grid.n_blocks if differing else 0):
        box = grid.box(number)
        surfaces.add(number, box, parts, differing)
        yield BlockDone("measured", number + 1, grid.n_blocks, box)
    tolerance = tolerance_for(geometry.spacing, options.tolerance)
    matches = table.matches(ignore_border=options.ignore_border) if options.task is Task.INSTANCE else None
    pairs: dict[int | None, LabelPair] = {}
    for value, each in counts.items():
        same = SurfaceScores(hd95=0.0, nsd=1.0)
        pairs[value] = CountedPair(each, same if each.is_same else surfaces.compare(value, tolerance), matches)
    return score_pairs(pairs.__getitem__, present, parts.name, geometry, options)
