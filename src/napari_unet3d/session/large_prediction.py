"""The prediction of a volume that does not fit into memory, in a thread, while it is seen in the viewer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.configs.prediction import PredictionConfig
from napari_unet3d.configs.training_enums import Task
from napari_unet3d.data.dataset import file_name
from napari_unet3d.data.opening import OpenVolume
from napari_unet3d.errors import UserError
from napari_unet3d.inference.blockwise.preview import BlocksBegun, Focus, Preview
from napari_unet3d.model.plan import Plan

_BLOCK = (64, 256, 256)  # voxels; what fits into memory is often larger, and would be seen later


@dataclass(frozen=True, slots=True, eq=False)
class LargePrediction:
    """A volume was predicted block by block.

    Attributes
    ----------
    plan : Plan
        What the labels mean.
    files : tuple of Path
        The images that were written, the labels first, and the table of single objects.
    levels : tuple of Array
        The labels (z, y, x) on disk, the highest resolution first.
    """

    plan: Plan
    files: tuple[Path, ...]
    levels: tuple[Any, ...]


def labels_file(name: str, folder: Path) -> Path:
    """Return where the labels of a volume are written.

    >>> labels_file("nuclei: 1", Path("out")).name
    'nuclei_ 1_labels.ome.zarr'
    """
    return folder / f"{file_name(name)}_labels.ome.zarr"


def predict_large(
    model: Path, volume: OpenVolume, config: PredictionConfig, labels: Path, focus: Focus, *, overwrite: bool
) -> Iterator[Any]:
    """Predict a volume block by block, those nearest to what is looked at first, and write OME-Zarr.

    Stopped at any time, the same call continues.

    Parameters
    ----------
    model : Path
        The model file or run folder.
    volume : OpenVolume
        The volume.
    config : PredictionConfig
        The settings.
    labels : Path
        Where the labels are written; see `labels_file`.
    focus : callable
        Returns the voxel (z, y, x) that is looked at.
    overwrite : bool
        Whether results that exist, and an unfinished one with other settings, are replaced.

    Yields
    ------
    ModelLoaded, Notice, TilesPredicted, BlocksBegun, BlockDone
        As `predict_watched_blocks` does.
    LargePrediction
        The result; always the last event.

    Raises
    ------
    UserError
        If a result exists, or as `predict_blocks` does.
    """
    from napari_unet3d.inference.blockwise.ngff import open_levels
    from napari_unet3d.inference.blockwise.predict import predict_watched_blocks
    from napari_unet3d.inference.blockwise.request import block_request
    from napari_unet3d.inference.predict import as_checkpoint
    from napari_unet3d.inference.predictor import Predictor
    from napari_unet3d.inference.write import already_there

    preview: Preview | None = None
    blocks = BlockConfig(block_size=_BLOCK)
    request = block_request(volume.path, labels, blocks, uncertainty=config.uncertainty)
    with closing(Predictor(as_checkpoint(model), config)) as predictor:
        yield from predictor.device_events()
        existing = request.existing(has_objects=predictor.plan.task is Task.INSTANCE)
        if not overwrite and (problem := already_there(existing)):
            raise UserError(problem)
        with closing(predict_watched_blocks(predictor, volume, request, focus, overwrite=overwrite)) as events:
            while True:
                try:
                    event = next(events)
                except StopIteration as end:
                    files: list[Path] = end.value
                    break
                if isinstance(event, BlocksBegun):
                    preview = event.preview
                yield event
        levels = tuple(open_levels(files[0]))
        if preview is not None:  # its blocks have moved
            preview.finish(levels[0])
        yield LargePrediction(predictor.plan, tuple(files), levels)
