"""Blocks that are handed to a worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from napari_unet3d.configs import PredictionConfig
from napari_unet3d.data.opening import open_volume
from napari_unet3d.data.volume_parts import volume_parts
from napari_unet3d.inference.blockwise.block_work import INTENSITIES, BlockWork, PredictedBlock, open_mask
from napari_unet3d.inference.blockwise.outputs import BlockOutputs, open_outputs
from napari_unet3d.inference.blockwise.prepare import plan_blocks
from napari_unet3d.inference.blockwise.request import BlockRequest
from napari_unet3d.inference.blockwise.scan import Scan, read_scan
from napari_unet3d.inference.predictor import predictor_of
from napari_unet3d.inference.workers.base import last_of


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
