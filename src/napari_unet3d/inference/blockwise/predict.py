"""Predict one volume block by block: any size, in bounded memory, and continued where it was interrupted."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import PredictionConfig
from napari_unet3d.data.boxes import Box
from napari_unet3d.data.events import Notice
from napari_unet3d.data.opening import OpenVolume, open_volume
from napari_unet3d.data.sample import Shape3D, format_shape
from napari_unet3d.data.volume_parts import VolumeParts, volume_parts
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.inference.blockwise.collector import BlockCollector, BlockOutput, block_output, padded_box
from napari_unet3d.inference.blockwise.finish import finish, move_results
from napari_unet3d.inference.blockwise.grid import runs
from napari_unet3d.inference.blockwise.network_input import InputSlab, InputVolume, padding_before
from napari_unet3d.inference.blockwise.outputs import BlockOutputs, open_outputs
from napari_unet3d.inference.blockwise.prepare import BlockPlan, plan_blocks
from napari_unet3d.inference.blockwise.request import BlockRequest, check_in_place
from napari_unet3d.inference.blockwise.scan import Scan, read_scan, scan
from napari_unet3d.inference.blockwise.unfinished import Journal
from napari_unet3d.inference.events import BlockDone, TilesPredicted
from napari_unet3d.inference.predictor import Predictor, predictor_of
from napari_unet3d.inference.sliding_window import TileTask
from napari_unet3d.inference.tile_grid import TileGrid
from napari_unet3d.inference.workers.base import Workers, last_of

PREDICTED, INTENSITIES = "predicted", "intensities.json"
_RUNS_PER_WORKER = 3  # so that none waits long for the last; blocks above each other share tiles
RECORD = [("block", "<u4"), ("foreground", "<i4", (6,))]
Counts = tuple[int, int]


def predict_blocks(
    predictor: Predictor,
    opened: OpenVolume,
    request: BlockRequest,
    *,
    overwrite: bool,
    counts: Counts = (0, 1),
    workers: Workers | None = None,
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
    workers : Workers, optional
        Processes that predict the blocks instead of this one.

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
            work = BlockWork(predictor, plan, open_mask(request, plan, files), counts)
            yield from work.run(workers)
        written = move_results(request)
    unfinished.remove()
    return written


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

    def run(self, workers: Workers | None = None) -> Generator[TilesPredicted | BlockDone | Notice, None, None]:
        """Do all steps that are not done yet, the prediction by other processes if there are any."""
        found = yield from self._scan()
        yield from map(Notice, found.notices)
        outputs = open_outputs(self.predictor, self.plan)
        wanted = self._wanted(found)
        if workers is None:
            yield from self._predict(found, outputs, wanted)
        else:
            yield from self._spread(workers, wanted)
        yield from finish(outputs, found, wanted, self._journal.read())

    @property
    def _journal(self) -> Journal:
        return Journal(self.plan.request.unfinished.path(PREDICTED), RECORD)

    def _scan(self) -> Generator[BlockDone, None, Scan]:
        path, plan = self.plan.request.unfinished.path(INTENSITIES), self.plan
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
                yield self.blocks(run)

    def _predict(
        self, found: Scan, outputs: BlockOutputs, wanted: list[int]
    ) -> Generator[TilesPredicted | BlockDone | Notice, None, None]:
        done = self._journal.done() & set(wanted)
        all_runs = list(self._runs(wanted, done))
        n_tiles, n_before, n_done = sum(map(self._n_tiles, all_runs)), 0, len(done)
        for run in all_runs:
            for event in self.predict_run(found, outputs, run):
                if isinstance(event, Notice):
                    yield event
                elif isinstance(event, PredictedBlock):
                    self._journal.add(event.number, event.foreground)
                    n_done += 1
                    yield BlockDone(PREDICTED, n_done, len(wanted), self.plan.grid.box(event.number))
                else:
                    yield TilesPredicted(n_before + event, n_tiles, *self.counts)
            n_before += self._n_tiles(run)

    def _spread(self, workers: Workers, wanted: list[int]) -> Generator[BlockDone, None, None]:
        """Have other processes predict the blocks; what is done is noted here."""
        done = self._journal.done() & set(wanted)
        numbers = [[block.number for block in run] for run in self._runs(wanted, done)]
        longest = max(1, -(-sum(map(len, numbers)) // (_RUNS_PER_WORKER * workers.n_workers)))
        pieces = [tuple(run[at : at + longest]) for run in numbers for at in range(0, len(run), longest)]
        n_done, source, call = len(done), self.predictor.source, uuid4().hex
        assert source is not None, "workers read the model from its file"
        request, config = self.plan.request.absolute(), self.predictor.shared_config
        tasks = [RunTask(source, config, request, piece, call) for piece in pieces]
        for _, block in workers.run(tasks):
            if block.number not in done:
                done.add(block.number)
                self._journal.add(block.number, block.foreground)
                n_done += 1
                yield BlockDone(PREDICTED, n_done, len(wanted), self.plan.grid.box(block.number))

    def _n_tiles(self, run: list[BlockOutput]) -> int:
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


@dataclass(frozen=True, slots=True)
class PredictedBlock:
    """A block is on disk; `foreground` is what `BlockOutputs.write` returns."""

    number: int
    foreground: Any


@dataclass(frozen=True, slots=True)
class RunTask:
    """Blocks above each other, for a worker.

    Attributes
    ----------
    model : Path
        The file or run folder of the model.
    config : PredictionConfig
        How it is applied.
    request : BlockRequest
        What is predicted.
    numbers : tuple of int
        The blocks.
    call : str
        Different for each time that the prediction is begun or continued.
    """

    model: Path
    config: PredictionConfig
    request: BlockRequest
    numbers: tuple[int, ...]
    call: str

    def __call__(self, n_done: int) -> Iterator[PredictedBlock]:
        """Yield the blocks that are predicted, without the first of them."""
        work, found, outputs = _opened_work(self.model, self.config, self.request, self.call)
        blocks = work.blocks(self.numbers[n_done:])
        if blocks:
            for event in work.predict_run(found, outputs, blocks):
                if isinstance(event, PredictedBlock):
                    yield event


@lru_cache(maxsize=1)
def _opened_work(
    model: Path, config: PredictionConfig, request: BlockRequest, _call: str
) -> tuple[BlockWork, Scan, BlockOutputs]:
    """Open a prediction that another process has begun; it stays open for the next blocks of it."""
    predictor, files = predictor_of(model, config), ExitStack()
    opened = files.enter_context(open_volume(request.source, "images", config.fourth_axis))
    volume = volume_parts(opened, times_as_channels=predictor.n_channels > 1)
    plan = last_of(plan_blocks(predictor, volume, request))
    request.unfinished.begin(plan.settings(predictor))  # raises if something differs here
    found = read_scan(request.unfinished.path(INTENSITIES))
    assert found is not None, "the volume was read before blocks are predicted"
    while _kept_open:
        _kept_open.pop().close()
    _kept_open.append(files)
    return BlockWork(predictor, plan, open_mask(request, plan, files), (0, 1)), found, open_outputs(predictor, plan)


_kept_open: list[ExitStack] = []  # the files of `_opened_work`
