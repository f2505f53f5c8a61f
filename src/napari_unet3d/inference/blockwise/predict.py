"""Predict one volume block by block: any size, in bounded memory, and continued where it was interrupted."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box
from napari_unet3d.data.events import Notice
from napari_unet3d.data.opening import OpenVolume, open_volume
from napari_unet3d.data.sample import format_shape
from napari_unet3d.data.volume_parts import VolumeParts, volume_parts
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.inference.blockwise.collector import BlockCollector, BlockOutput, block_output, padded_box
from napari_unet3d.inference.blockwise.finish import finish, move_results
from napari_unet3d.inference.blockwise.grid import runs
from napari_unet3d.inference.blockwise.network_input import InputSlab, InputVolume
from napari_unet3d.inference.blockwise.outputs import BlockOutputs, open_outputs
from napari_unet3d.inference.blockwise.prepare import BlockPlan, plan_blocks
from napari_unet3d.inference.blockwise.request import BlockRequest, check_in_place
from napari_unet3d.inference.blockwise.scan import Scan, read_scan, scan
from napari_unet3d.inference.blockwise.unfinished import Journal
from napari_unet3d.inference.events import BlockDone, TilesPredicted
from napari_unet3d.inference.predictor import Predictor
from napari_unet3d.inference.sliding_window import TileTask

PREDICTED = "predicted"
RECORD = [("block", "<u4"), ("foreground", "<i4", (6,))]
Counts = tuple[int, int]


def predict_blocks(
    predictor: Predictor, opened: OpenVolume, request: BlockRequest, *, overwrite: bool, counts: Counts = (0, 1)
) -> Generator[TilesPredicted | BlockDone | Notice, None, list[Path]]:
    """Predict a volume block by block and write OME-Zarr; the same call continues what was interrupted.

    Parameters
    ----------
    predictor : Predictor
        The model.
    opened : OpenVolume
        The image, which stays open.
    request : BlockRequest
        What is predicted, and where results go.
    overwrite : bool
        Whether an unfinished result with other settings is begun anew.
    counts : tuple of int
        Finished volumes and all volumes, for the events.

    Yields
    ------
    Notice
        How large blocks are, and what was assumed of the volume.
    TilesPredicted, BlockDone
        What was done; a block that is done is on disk, and is not computed again.

    Returns
    -------
    list of Path
        The labels, then probability and uncertainty if they are asked for, and the table of single objects.

    Raises
    ------
    UserError
        If the volume cannot be read in parts, there is an unfinished result with other settings, or there is not
        enough memory or space on the disk.
    """
    volume = volume_parts(opened, times_as_channels=predictor.n_channels > 1)
    if request.in_place:
        check_in_place(opened)
    unfinished = request.unfinished
    with explain_os_errors(request.labels, "write"), unfinished.held(), ExitStack() as files:
        if not unfinished.is_complete:
            plan = yield from plan_blocks(predictor, volume, request)
            if overwrite and unfinished.is_begun and unfinished.settings() != plan.settings(predictor):
                unfinished.clear()
                plan = yield from plan_blocks(predictor, volume, request)
            unfinished.begin(plan.settings(predictor))
            work = _Work(predictor, plan, _mask(request, plan, files), counts)
            yield from work.run()
        written = move_results(request)
    unfinished.remove()
    return written


def _mask(request: BlockRequest, plan: BlockPlan, files: ExitStack) -> VolumeParts | None:
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
class _Work:
    """The steps of one prediction, each of which continues where it was interrupted."""

    predictor: Predictor
    plan: BlockPlan
    mask: VolumeParts | None
    counts: Counts

    def run(self) -> Generator[TilesPredicted | BlockDone | Notice, None, None]:
        found = yield from self._scan()
        yield from map(Notice, found.notices)
        outputs = open_outputs(self.predictor, self.plan)
        wanted = self._wanted(found)
        yield from self._predict(found, outputs, wanted)
        yield from finish(outputs, found, wanted, self._journal.read())

    @property
    def _journal(self) -> Journal:
        return Journal(self.plan.request.unfinished.path(PREDICTED), RECORD)

    def _scan(self) -> Generator[BlockDone, None, Scan]:
        path, plan = self.plan.request.unfinished.path("intensities.json"), self.plan
        found = read_scan(path)
        if found is None:
            how = self.predictor.normalisation, self.predictor.percentiles
            found = yield from scan(plan.volume, plan.channels, plan.grid, *how)
            found.write(path)
        return found

    def _wanted(self, found: Scan) -> list[int]:
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

    def _runs(self, wanted: list[int], done: set[int]) -> Iterator[list[BlockOutput]]:
        """Yield blocks above each other that are still to be predicted, for which tiles are predicted only once."""
        plan, left = self.plan, set(wanted) - done
        for column in plan.grid.columns():
            for run in runs(column, left):
                yield [
                    block_output(number, plan.grid.box(number), plan.volume.shape, plan.network_zyx) for number in run
                ]

    def _predict(
        self, found: Scan, outputs: BlockOutputs, wanted: list[int]
    ) -> Generator[TilesPredicted | BlockDone | Notice, None, None]:
        plan, journal = self.plan, self._journal
        done = journal.done() & set(wanted)
        source = InputVolume(plan.volume, plan.channels, found.scales, plan.network_zyx, plan.tiles.shape_zyx)
        flips, n_done = self.predictor.flips, len(done)
        n_tiles = len(flips) * sum(
            plan.tiles.part(padded_box(run, source.before))[0].n_tiles for run in self._runs(wanted, done)
        )
        n_before = 0
        for run in self._runs(wanted, done):
            grid, corner = plan.tiles.part(padded_box(run, source.before))
            offset = [at - pad for at, pad in zip(corner, source.before, strict=True)]
            is_resampled = plan.network_zyx != plan.volume.shape
            collector = BlockCollector(self.predictor.plan.task, run, offset, is_resampled=is_resampled)
            slab = InputSlab(source, corner, grid.shape_zyx)
            tiles = TileTask(plan.volume.name, slab, collector, self.predictor.config.overlap, flips, grid)
            for event in self.predictor.sliding_window.run(tiles):
                for block, maps in collector.pop():
                    foreground: Any = outputs.write(block.box, maps, self._allowed(block.box))
                    journal.add(block.number, foreground)
                    n_done += 1
                    yield BlockDone(PREDICTED, n_done, len(wanted), block.box)
                if isinstance(event, Notice):
                    yield event
                else:
                    yield TilesPredicted(n_before + event[0], n_tiles, *self.counts)
            n_before += grid.n_tiles * len(flips)
