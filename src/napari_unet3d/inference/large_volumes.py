"""Test volumes that do not fit into memory: predicted and scored block by block, within an evaluation."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from napari_unet3d.configs import Augmentation
from napari_unet3d.configs.blocks import BlockConfig
from napari_unet3d.configs.training_enums import FourthAxis
from napari_unet3d.data.dataset_voxel_size import read_given_voxel_size
from napari_unet3d.data.events import Notice
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.layout import dataset_of
from napari_unet3d.data.opening import OpenVolume, open_volume
from napari_unet3d.data.pairs import Pair
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.seen_content import SeenContent, SeenIn, seen_in
from napari_unet3d.data.volume_parts import VolumeParts, volume_parts
from napari_unet3d.data.voxel_size import with_dataset_voxel_size, with_voxel_size
from napari_unet3d.errors import UserError
from napari_unet3d.inference.blockwise.block_work import Counts
from napari_unet3d.inference.blockwise.grid import memory_limit
from napari_unet3d.inference.blockwise.options import needs_blocks
from napari_unet3d.inference.blockwise.predict import predict_blocks
from napari_unet3d.inference.blockwise.request import block_request
from napari_unet3d.inference.blockwise.scoring.volume import VolumeFiles, compare_files, working_folder
from napari_unet3d.inference.events import BlockDone, LargeVolumeEvaluated, TilesPredicted
from napari_unet3d.inference.predictor import Predictor
from napari_unet3d.inference.results_folder import ResultsFolder
from napari_unet3d.inference.workers.base import Workers
from napari_unet3d.model.plan import Plan

_BYTES_PER_VOXEL = 40  # of looking for what a model has seen
_OVERLAP = 16  # slices; what is looked for is lower than that
LargeVolumeEvent = TilesPredicted | BlockDone | Notice | LargeVolumeEvaluated


def is_large(volume: Pair | Sample, plan: Plan, fourth_axis: FourthAxis = FourthAxis.AUTO) -> TypeGuard[Pair]:
    """Return whether a test volume is predicted and scored block by block, as `predict_files` would predict it."""
    if isinstance(volume, Sample) or volume.image is None or volume.time is not None:
        return False
    with suppress(UserError), open_volume(volume.image, "images", fourth_axis) as opened:  # explained when it is read
        return needs_blocks(opened, plan)
    return False


def evaluate_large(
    predictor: Predictor,
    pair: Pair,
    results: ResultsFolder,
    seen: SeenContent | None,
    counts: Counts,
    workers: Workers | None = None,
) -> Generator[LargeVolumeEvent, None, None]:
    """Predict and score a volume block by block.

    Parameters
    ----------
    predictor : Predictor
        The model, with an `EvaluationConfig`.
    pair : Pair
        The volume.
    results : ResultsFolder
        What the results are added to.
    seen : SeenContent or None
        What the model has seen.
    counts : tuple of int
        Finished volumes and all volumes.
    workers : Workers, optional
        Processes that predict the blocks.

    Raises
    ------
    UserError
        If a file cannot be read in parts, or settings ask for what is not done block by block.
    """
    config = predictor.config
    if getattr(config, "test_augmentation", Augmentation.NONE) is not Augmentation.NONE:
        raise UserError(
            f"'{pair.name}' does not fit into memory, so that it cannot be augmented. Leave out test_augmentation."
        )
    assert pair.image is not None, "the pair is complete"
    predictor = _for_dataset(predictor, pair)
    with working_folder(results.difference_file(pair.name)) as folder:
        with open_volume(pair.image, "images", config.fourth_axis) as opened:
            volume = volume_parts(opened, times_as_channels=predictor.n_channels > 1)
            found = _seen_in(seen, volume)
            labels = results.labels_file(pair.name, folder)
            request = block_request(pair.image, labels, BlockConfig(), uncertainty=config.uncertainty)
            how: Any = {"overwrite": True, "counts": counts, "workers": workers}
            yield from predict_blocks(predictor, opened, request, **how)
            geometry, _ = _place(opened, pair, config.voxel_size_um)
        yield from _compare(VolumeFiles(pair, labels, geometry, predictor.plan), results, found, counts)


def compare_large(
    prediction: Path, pair: Pair, plan: Plan, results: ResultsFolder, counts: Counts
) -> Generator[LargeVolumeEvent, None, None]:
    """Score a prediction that is a file block by block; parameters are those of `evaluate_large`."""
    assert pair.image is not None, "the pair is complete"
    with open_volume(pair.image, "images") as opened:
        geometry, notices = _place(opened, pair, None)
    yield from map(Notice, notices)
    yield from _compare(VolumeFiles(pair, prediction, geometry, plan), results, SeenIn.UNKNOWN, counts)


def _compare(
    files: VolumeFiles, results: ResultsFolder, seen: SeenIn, counts: Counts
) -> Iterator[BlockDone | Notice | LargeVolumeEvaluated]:
    name, difference = files.pair.name, results.difference_file(files.pair.name)
    counted = yield from compare_files(files, results.options, difference)
    scores = results.add_counted(replace(counted, scores=replace(counted.scores, seen_in=seen)))
    if difference is not None:
        yield Notice(
            f"'{name}' does not fit into memory and was scored block by block: it has no figure and no pictures of "
            "errors."
        )
    yield LargeVolumeEvaluated(scores, None if difference is None else files.prediction, counts[0] + 1, counts[1])


def _for_dataset(predictor: Predictor, pair: Pair) -> Predictor:
    """Return a predictor that takes the voxel size of the dataset for files without one."""
    assert pair.image is not None, "the pair is complete"
    size = read_given_voxel_size(dataset_of(pair.image))
    if size is None:
        return predictor
    other = copy(predictor)
    other.config = predictor.config.model_copy(update={"voxel_size": size})
    return other


def _place(
    opened: OpenVolume, pair: Pair, voxel_size_um: tuple[float, float, float] | None
) -> tuple[Geometry, tuple[str, ...]]:
    """Return where a volume lies, with the voxel size of its dataset or the given one where its file has none."""
    volume = volume_parts(opened, times_as_channels=True)
    without_voxels = np.broadcast_to(np.zeros((), np.uint8), volume.shape)
    sample = Sample(pair.name, without_voxels, geometry=volume.geometry, notices=opened.stored.notices)
    assert pair.image is not None, "the pair is complete"
    sample = with_dataset_voxel_size(sample, read_given_voxel_size(dataset_of(pair.image)))
    sample = with_voxel_size(sample, voxel_size_um)
    return sample.geometry, sample.notices


def _seen_in(seen: SeenContent | None, volume: VolumeParts) -> SeenIn:
    """Return whether a model has seen a volume, which is read a few slices at a time; see `seen_content.seen_in`."""
    if seen is None:
        return SeenIn.UNKNOWN
    depth, height, width = volume.shape
    channels = range(max(1, len(volume.channel_names)))
    n_slices = max(1, memory_limit() // (_BYTES_PER_VOXEL * height * width) - _OVERLAP)
    found = set()
    for start in range(0, depth, n_slices):
        z = slice(start, min(depth, start + n_slices + _OVERLAP))
        part = (z, slice(0, height), slice(0, width))
        found |= {seen_in(seen, volume.read(part, [channel])) for channel in channels}
        if SeenIn.TRAINING in found:
            break
    order = (SeenIn.TRAINING, SeenIn.VALIDATION, SeenIn.UNKNOWN)
    return next((each for each in order if each in found), SeenIn.NEVER)
