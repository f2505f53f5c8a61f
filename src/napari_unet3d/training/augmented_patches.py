"""The first patches that a training would see, varied as it would vary them, to be looked at before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count, islice
from math import prod
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.sample import Sample, Shape3D
from napari_unet3d.data.split import Split
from napari_unet3d.model.devices import ComputeDevice, choose_device
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.augmented_events import BOUNDARY, NOT_ANNOTATED, AugmentedPatch, AugmentedPatches
from napari_unet3d.training.background import run_in_background
from napari_unet3d.training.events import Busy
from napari_unet3d.training.loading.batches import DrawnPatch
from napari_unet3d.training.loading.targets import IGNORE_INDEX
from napari_unet3d.training.loop import read_split
from napari_unet3d.training.prepare import TrainingData, plan_for, prepare
from napari_unet3d.training.resume import resolve_start
from napari_unet3d.transforms.augment import describe_level

_MOST_VOXELS = 2**27  # of all patches together


def augmented_patches(
    data: Path | str | Sequence[Sample],
    config: TrainingConfig,
    *,
    n: int = 8,
    n_before: int = 0,
    start_from: Path | None = None,
) -> Iterator[Busy | AugmentedPatches]:
    """Draw the patches of a training, those of its first epoch first; nothing is trained or written.

    Parameters
    ----------
    data : path of a dataset folder, or sequence of Sample
        What `train` would be given.
    config : TrainingConfig
        Its settings.
    n : int
        How many patches; fewer when they are very large, and one at least.
    n_before : int
        How many to pass over.
    start_from : Path, optional
        The model that the training would begin with.

    Yields
    ------
    Busy
        While reading takes long.
    AugmentedPatches
        Once, as the last event.

    Raises
    ------
    UserError
        As `train`, for data and settings that it cannot work with.
    """
    settled = resolve_start(Path(), config, resume=False, start_from=start_from).config
    with MemmapStore(Path(gettempdir())) as shelf:
        _, split = yield from read_split(data, settled, shelf)
        hardware = choose_device(settled.device, settled.precision)
        work = yield from run_in_background(
            partial(_workload, split, settled, hardware, shelf), "Preparing the volumes"
        )
        parts = list(islice(_parts(work, n_before), n))
        largest = max(prod(part.image.shape) for part in parts)
        shown = parts[: max(1, _MOST_VOXELS // largest)]
        first = shown[0]
        yield AugmentedPatches(
            patches=tuple(_patch(part, work.plan) for part in shown),
            n_before=n_before,
            label_words=_label_words(work.plan),
            level_words=describe_level(settled.augmentation, first.voxel_size_um, _shape_of(first)),
        )


def _workload(split: Split, config: TrainingConfig, hardware: ComputeDevice, shelf: MemmapStore) -> TrainingData:
    # As the run plans it, but where the patches are looked at: on a GPU the volumes would only take its memory.
    return prepare(split, config, plan_for(split, config, hardware), torch.device("cpu"), shelf=shelf)


def _parts(work: TrainingData, n_before: int) -> Iterator[DrawnPatch]:
    """Return the parts of all epochs one after the other; patches that are passed over need not be cut."""
    steps, left = (0, n_before) if work.plan.patch_zyx is None else divmod(n_before, work.plan.batch_size)
    epochs, steps = divmod(steps, len(work.training))

    def all_parts() -> Iterator[DrawnPatch]:
        yield from work.training.patches(1 + epochs, 1 + steps)
        for epoch in count(2 + epochs):
            yield from work.training.patches(epoch)

    return islice(all_parts(), left, None)


def _patch(part: DrawnPatch, plan: Plan) -> AugmentedPatch:
    return AugmentedPatch(
        name=part.name,
        start_zyx=part.start_zyx,
        voxel_size_um=part.voxel_size_um,
        image=part.image.numpy()[0],
        labels=_labels(part.targets.numpy(), plan),
        original=part.original.numpy()[0],
        original_labels=_labels(part.original_targets.numpy(), plan),
    )


def _labels(targets: NDArray[np.uint8], plan: Plan) -> NDArray[np.uint8]:
    labels: NDArray[np.uint8] = targets[0].copy()
    if plan.task is Task.INSTANCE:
        labels[(targets[1] > 0) & (labels != IGNORE_INDEX)] = BOUNDARY
    return labels


def _label_words(plan: Plan) -> dict[int, str]:
    match plan.task:
        case Task.BINARY:
            words = {1: "foreground"}
        case Task.SEMANTIC:
            words = {number: each.name for number, each in enumerate(plan.classes, start=1)}
        case Task.INSTANCE:
            words = {1: "object", BOUNDARY: "where two objects meet"}
    return {0: "background", **words, NOT_ANNOTATED: "not annotated"}


def _shape_of(part: DrawnPatch) -> Shape3D:
    z, y, x = part.image.shape[1:]
    return z, y, x
