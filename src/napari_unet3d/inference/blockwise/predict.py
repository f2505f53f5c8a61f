"""Predict one volume block by block: any size, in bounded memory, and continued where it was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from napari_unet3d.data.events import Notice
from napari_unet3d.data.opening import OpenVolume
from napari_unet3d.data.volume_parts import volume_parts
from napari_unet3d.errors import explain_os_errors
from napari_unet3d.inference.blockwise.block_work import BlockWork, Counts, PredictedBlock, open_mask
from napari_unet3d.inference.blockwise.finish import finish, move_results
from napari_unet3d.inference.blockwise.grid import nearest_blocks
from napari_unet3d.inference.blockwise.outputs import BlockOutputs, open_outputs
from napari_unet3d.inference.blockwise.prepare import plan_blocks
from napari_unet3d.inference.blockwise.preview import BlocksBegun, Focus
from napari_unet3d.inference.blockwise.request import BlockRequest, check_in_place
from napari_unet3d.inference.blockwise.run_task import RunTask
from napari_unet3d.inference.blockwise.scan import Scan
from napari_unet3d.inference.events import BlockDone, TilesPredicted
from napari_unet3d.inference.predictor import Predictor
from napari_unet3d.inference.workers.base import Workers

_RUNS_PER_WORKER = 3  # so that none waits long for the last; blocks above each other share tiles
_MOST_AT_A_TIME = 2  # blocks above each other while somebody looks on: alone, each takes half again as many tiles
Event = TypeVar("Event")


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
    step = _predict if workers is None else partial(_spread, workers)
    return (yield from _do_steps(predictor, opened, request, step, counts, overwrite=overwrite))


def predict_watched_blocks(
    predictor: Predictor, opened: OpenVolume, request: BlockRequest, focus: Focus, *, overwrite: bool
) -> Generator[TilesPredicted | BlocksBegun | BlockDone | Notice, None, list[Path]]:
    """Predict a volume block by block while somebody looks on, the blocks nearest to what is looked at first.

    Parameters, events, result and errors are those of `predict_blocks`, but for these:

    Parameters
    ----------
    focus : callable
        Returns what is looked at; it is asked before each block.

    Yields
    ------
    BlocksBegun
        Where the blocks can be seen, before the first of them.
    """
    step = partial(_predict_near, focus)
    return (yield from _do_steps(predictor, opened, request, step, (0, 1), overwrite=overwrite))


def _do_steps(
    predictor: Predictor,
    opened: OpenVolume,
    request: BlockRequest,
    step: Callable[[BlockWork, Scan, BlockOutputs, list[int]], Generator[Event, None, None]],
    counts: Counts,
    *,
    overwrite: bool,
) -> Generator[Event | BlockDone | Notice, None, list[Path]]:
    """Do all steps that are not done yet; `step` is the prediction of the blocks that are wanted."""
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
            found = yield from work.scan()
            yield from map(Notice, found.notices)
            outputs, wanted = open_outputs(predictor, plan), work.wanted(found)
            yield from step(work, found, outputs, wanted)
            yield from finish(outputs, found, wanted, work.journal.read())
        written = move_results(request)
    unfinished.remove()
    return written


def _predict(
    work: BlockWork, found: Scan, outputs: BlockOutputs, wanted: list[int]
) -> Generator[TilesPredicted | BlockDone | Notice, None, None]:
    """Predict blocks column by column, in which they share tiles."""
    done = work.journal.done() & set(wanted)
    all_runs = list(work.runs(wanted, done))
    n_tiles, n_before, n_done = sum(map(work.n_tiles, all_runs)), 0, len(done)
    for run in all_runs:
        for event in work.predict_run(found, outputs, run):
            if isinstance(event, Notice):
                yield event
            elif isinstance(event, PredictedBlock):
                n_done += 1
                yield work.note(event, n_done, len(wanted))
            else:
                yield TilesPredicted(n_before + event, n_tiles, *work.counts)
        n_before += work.n_tiles(run)


def _predict_near(
    focus: Focus, work: BlockWork, found: Scan, outputs: BlockOutputs, wanted: list[int]
) -> Generator[TilesPredicted | BlocksBegun | BlockDone | Notice, None, None]:
    """Predict the blocks that are nearest to what somebody looks at, one or two at a time."""
    grid = work.plan.grid
    left = set(wanted) - work.journal.done()
    preview = outputs.preview(grid.box(number) for number in wanted if number not in left)
    yield BlocksBegun(preview)
    n_tiles_done = 0
    while left:
        run = work.blocks(nearest_blocks(grid, left, focus(), _MOST_AT_A_TIME))
        n_tiles = work.n_tiles(run)
        n_tiles_left = n_tiles // len(run) * (len(left) - len(run))  # about: it depends on what is chosen next
        for event in work.predict_run(found, outputs, run):
            if isinstance(event, Notice):
                yield event
            elif isinstance(event, PredictedBlock):
                left.discard(event.number)
                preview.add(grid.box(event.number))
                yield work.note(event, len(wanted) - len(left), len(wanted))
            else:
                yield TilesPredicted(n_tiles_done + event, n_tiles_done + n_tiles + n_tiles_left, *work.counts)
        n_tiles_done += n_tiles


def _spread(
    workers: Workers, work: BlockWork, _found: Scan, _outputs: BlockOutputs, wanted: list[int]
) -> Generator[BlockDone, None, None]:
    """Have other processes predict the blocks; what is done is noted here."""
    done = work.journal.done() & set(wanted)
    numbers = [[block.number for block in run] for run in work.runs(wanted, done)]
    longest = max(1, -(-sum(map(len, numbers)) // (_RUNS_PER_WORKER * workers.n_workers)))
    pieces = [tuple(run[at : at + longest]) for run in numbers for at in range(0, len(run), longest)]
    n_done, source, call = len(done), work.predictor.source, uuid4().hex
    assert source is not None, "workers read the model from its file"
    request, config = work.plan.request.absolute(), work.predictor.shared_config
    tasks = [RunTask(source, config, request, piece, call) for piece in pieces]
    for _, block in workers.run(tasks):
        if block.number not in done:
            done.add(block.number)
            n_done += 1
            yield work.note(block, n_done, len(wanted))
