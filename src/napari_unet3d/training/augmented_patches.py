"""The first patches of a training with their augmentation, for a preview before it starts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import count, islice
from math import prod
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.sample import Sample, Shape3D
from napari_unet3d.data.split import Split
from napari_unet3d.data.voxel_size import with_voxel_size
from napari_unet3d.model.devices import ComputeDevice, choose_device
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.augmented_events import BOUNDARY, NOT_ANNOTATED, AugmentedPatch, AugmentedPatches
from napari_unet3d.training.background import run_in_background
from napari_unet3d.training.events import Busy
from napari_unet3d.training.loading.batches import DrawnPatch
from napari_unet3d.training.loading.targets import IGNORE_INDEX
from napari_unet3d.training.prepare import TrainingData, choose_plan, make_training_data
from napari_unet3d.training.resume import resolve_start
from napari_unet3d.training.samples import read_volumes, split_volumes
from napari_unet3d.transforms.augment import describe_level

_MAX_VOXELS = 2**27  # of all patches together


def augmented_patches(
    data: Path | str | Sequence[Sample],
    config: TrainingConfig,
    *,
    n: int = 8,
    n_before: int = 0,
    start_from: Path | None = None,
) -> Iterator[Busy | AugmentedPatches]:
    """Draw patches in the order in which a training sees them; nothing is trained or written.

    Parameters
    ----------
    data : path of a dataset folder, or sequence of Sample
        As for `train`.
    config : TrainingConfig
        The settings.
    n : int
        Number of patches; fewer if they are very large, but at least one.
    n_before : int
        Number of patches to skip.
    start_from : Path, optional
        The model that the training would start from.

    Yields
    ------
    Busy
        During reading and preparation.
    AugmentedPatches
        Once, as the last event.

    Raises
    ------
    UserError
        As `train`, for data and settings that do not allow training.
    """
    start = resolve_start(Path(), config, resume=False, start_from=start_from)
    config = start.config
    with MemmapStore(Path(gettempdir())) as store:
        volumes = yield from read_volumes(data, store, start)
        samples = [with_voxel_size(sample, config.voxel_size_um) for sample in volumes]
        split = yield from split_volumes(samples, config)
        device = choose_device(config.device, config.precision)
        training_data = yield from run_in_background(
            partial(_prepare, split, config, device, store), "Preparing the volumes"
        )
        patches = list(islice(_drawn_patches(training_data, n_before), n))
        largest = max(prod(patch.image.shape) for patch in patches)
        shown = patches[: max(1, _MAX_VOXELS // largest)]
        first, sized = shown[0], {sample.name for sample in split.train if sample.geometry.is_calibrated}
        yield AugmentedPatches(
            patches=tuple(_augmented_patch(patch, training_data.plan, sized) for patch in shown),
            n_before=n_before,
            label_names=_label_names(training_data.plan),
            augmentation=_describe_augmentation(config, first),
        )


def _prepare(split: Split, config: TrainingConfig, device: ComputeDevice, store: MemmapStore) -> TrainingData:
    # With the plan of the run, but in main memory: on a GPU the volumes would take memory for no reason.
    return make_training_data(split, config, choose_plan(split, config, device), torch.device("cpu"), store=store)


def _drawn_patches(data: TrainingData, n_before: int) -> Iterator[DrawnPatch]:
    """Yield the patches of all epochs after the first `n_before`; skipped epochs and steps are not drawn."""
    steps, skipped = (0, n_before) if data.plan.patch_zyx is None else divmod(n_before, data.plan.batch_size)
    epochs, steps = divmod(steps, len(data.training))

    def all_patches() -> Iterator[DrawnPatch]:
        yield from data.training.patches(1 + epochs, 1 + steps)
        for epoch in count(2 + epochs):
            yield from data.training.patches(epoch)

    return islice(all_patches(), skipped, None)


def _augmented_patch(patch: DrawnPatch, plan: Plan, sized: Collection[str]) -> AugmentedPatch:
    return AugmentedPatch(
        name=patch.name,
        start_zyx=patch.start_zyx,
        geometry=Geometry(patch.spacing, is_um=patch.name in sized),
        image=_without_axis(patch.image),
        labels=_labels(patch.targets.numpy(), plan),
        original=_without_axis(patch.original),
        original_labels=_labels(patch.original_targets.numpy(), plan),
        channel_names=plan.channels,
    )


def _without_axis(image: torch.Tensor) -> NDArray[np.float32]:
    """Return an image as (z, y, x) if it has one channel, else as (channel, z, y, x)."""
    channels: NDArray[np.float32] = image.numpy()
    return channels if len(channels) > 1 else channels[0]


def _describe_augmentation(config: TrainingConfig, patch: DrawnPatch) -> str:
    dropout = config.channel_dropout if len(patch.image) > 1 else 0.0
    return describe_level(config.augmentation, patch.spacing, _shape_of(patch), dropout)


def _labels(targets: NDArray[np.uint8], plan: Plan) -> NDArray[np.uint8]:
    labels: NDArray[np.uint8] = targets[0].copy()
    if plan.task is Task.INSTANCE:
        labels[(targets[1] > 0) & (labels != IGNORE_INDEX)] = BOUNDARY
    return labels


def _label_names(plan: Plan) -> dict[int, str]:
    match plan.task:
        case Task.BINARY:
            names = {1: "foreground"}
        case Task.SEMANTIC:
            names = {number: each.name for number, each in enumerate(plan.classes, start=1)}
        case Task.INSTANCE:
            names = {1: "object", BOUNDARY: "where two objects meet"}
    return {0: "background", **names, NOT_ANNOTATED: "not annotated"}


def _shape_of(patch: DrawnPatch) -> Shape3D:
    z, y, x = patch.image.shape[1:]
    return z, y, x
