"""The steps of a prediction block by block: intensities, which blocks are predicted, and the prediction of some."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box
from napari_unet3d.data.events import Notice
from napari_unet3d.data.opening import open_volume
from napari_unet3d.data.sample import Shape3D, format_shape
from napari_unet3d.data.volume_parts import VolumeParts, volume_parts
from napari_unet3d.errors import UserError
from napari_unet3d.inference.blockwise.collector import BlockCollector, BlockOutput, block_output, padded_box
from napari_unet3d.inference.blockwise.grid import runs
from napari_unet3d.inference.blockwise.network_input import InputSlab, InputVolume, padding_before
from napari_unet3d.inference.blockwise.outputs import BlockOutputs
from napari_unet3d.inference.blockwise.prepare import BlockPlan
from napari_unet3d.inference.blockwise.request import BlockRequest
from napari_unet3d.inference.blockwise.scan import Scan, read_scan, scan_intensities
from napari_unet3d.inference.blockwise.unfinished import Journal
from napari_unet3d.inference.events import BlockDone
from napari_unet3d.inference.predictor import Predictor
from napari_unet3d.inference.sliding_window import TileTask
from napari_unet3d.inference.tile_grid import TileGrid

PREDICTED, INTENSITIES = "predicted", "intensities.json"
RECORD = [("block", "<u4"), ("foreground", "<i4", (6,))]
Counts = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PredictedBlock:
    """A block is on disk; `foreground` is what `BlockOutputs.write` returns."""

    number: int
    foreground: Any


def open_mask(request: BlockRequest, plan: BlockPlan, files: ExitStack) -> VolumeParts | None:
    """Open the mask, if there is one, which must have the shape of the image."""
    if request.mask is None:
        return None
    mask = volume_parts(files.enter_context(open_volume(request.mask, "labels")))
    if mask.shape != plan.volume.shape:
        raise UserError(
            f"The mask {request.mask} has {format_shape(mask.shape)} voxels and the image "
            f"{format_shape(plan.volume.shape)}; both must be the same volume."
        )
    return mask


@dataclass(frozen=True, slots=True, eq=False)
class BlockWork:
    """The steps of one prediction, each of which continues where it was interrupted."""

    predictor: Predictor
    plan: BlockPlan
    mask: VolumeParts | None
    counts: Counts

    @property
    def journal(self) -> Journal:
        """The blocks that are predicted."""
        return Journal(self.plan.request.unfinished.path(PREDICTED), RECORD)

    def note(self, block: PredictedBlock, n_done: int, n_wanted: int) -> BlockDone:
        """Note that a block is predicted, and return the event of it."""
        self.journal.add(block.number, block.foreground)
        return BlockDone(PREDICTED, n_done, n_wanted, self.plan.grid.box(block.number))

    def scan(self) -> Generator[BlockDone, None, Scan]:
        """Return the statistics of the intensities, which are read once."""
        path, plan = self.plan.request.unfinished.path(INTENSITIES), self.plan
        found = read_scan(path)
        if found is None:
            how = self.predictor.normalisation, self.predictor.percentiles
            found = yield from scan_intensities(plan.volume, plan.channels, plan.grid, *how)
            found.write(path)
        return found

    def wanted(self, found: Scan) -> list[int]:
        """Return the blocks that are predicted: in the region and the mask, and not empty if these are left out."""
        skipped = set(found.constant) if self.plan.request.blocks.skip_empty else set()
        return [
            number
            for number in range(self.plan.grid.n_blocks)
            if number not in skipped and self._has_allowed(self.plan.grid.box(number))
        ]

    def _has_allowed(self, box: Box) -> bool:
        region = zip(box, self.plan.region, strict=True)
        if any(side.start >= whole.stop or side.stop <= whole.start for side, whole in region):
            return False
        return self.mask is None or bool(self.mask.read(box).any())

    def _allowed(self, box: Box) -> NDArray[np.bool_] | None:
        """Return which voxels of a block may be foreground; None for all."""
        is_inside = all(
            whole.start <= side.start and side.stop <= whole.stop
            for side, whole in zip(box, self.plan.region, strict=True)
        )
        if is_inside and self.mask is None:
            return None
        allowed = np.zeros([side.stop - side.start for side in box], bool)
        allowed[
            tuple(
                slice(max(0, whole.start - side.start), max(0, whole.stop - side.start))
                for side, whole in zip(box, self.plan.region, strict=True)
            )
        ] = True
        if self.mask is not None:
            allowed &= self.mask.read(box)[0] != 0
        return allowed

    def runs(self, wanted: list[int], done: set[int]) -> Iterator[list[BlockOutput]]:
        """Yield blocks above each other that are still to be predicted, for which tiles are predicted only once."""
        plan, left = self.plan, set(wanted) - done
        for column in plan.grid.columns():
            for run in runs(column, left):
                yield self.blocks(run)

    def n_tiles(self, run: list[BlockOutput]) -> int:
        """Return how many tiles some blocks above each other take, each counted once per mirror image."""
        return len(self.predictor.flips) * self._part(run)[0].n_tiles

    def _part(self, run: list[BlockOutput]) -> tuple[TileGrid, Shape3D]:
        """Return the tiles of some blocks above each other, and the first voxel of these tiles."""
        before = padding_before(self.plan.network_zyx, self.plan.tiles.shape_zyx)
        return self.plan.tiles.part(padded_box(run, before))

    def blocks(self, numbers: Sequence[int]) -> list[BlockOutput]:
        """Return blocks that are above each other."""
        plan = self.plan
        return [block_output(each, plan.grid.box(each), plan.volume.shape, plan.network_zyx) for each in numbers]

    def predict_run(
        self, found: Scan, outputs: BlockOutputs, run: list[BlockOutput]
    ) -> Iterator[PredictedBlock | Notice | int]:
        """Predict and write blocks above each other.

        Parameters
        ----------
        found : Scan
            The normalisation.
        outputs : BlockOutputs
            What is written.
        run : list of BlockOutput
            The blocks.

        Yields
        ------
        PredictedBlock
            A block is on disk.
        Notice
            If there is not enough memory.
        int
            How many tiles are predicted.
        """
        plan = self.plan
        source = InputVolume(plan.volume, plan.channels, found.scales, plan.network_zyx, plan.tiles.shape_zyx)
        grid, corner = self._part(run)
        offset = [at - pad for at, pad in zip(corner, source.before, strict=True)]
        is_resampled = plan.network_zyx != plan.volume.shape
        collector = BlockCollector(self.predictor.plan.task, run, offset, is_resampled=is_resampled)
        slab = InputSlab(source, corner, grid.shape_zyx)
        tiles = TileTask(plan.volume.name, slab, collector, self.predictor.config.overlap, self.predictor.flips, grid)
        for event in self.predictor.sliding_window.run(tiles):
            for block, maps in collector.pop():
                yield PredictedBlock(block.number, outputs.write(block.box, maps, self._allowed(block.box)))
            yield event if isinstance(event, Notice) else event[0]
