"""The data of a run: volumes prepared for one plan, as training batches and validation batches."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Split
from napari_unet3d.errors import OutOfMemory
from napari_unet3d.model.devices import ComputeDevice, explain_memory_errors
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.background import raise_if_cancelled
from napari_unet3d.training.loading.batches import Batches
from napari_unet3d.training.loading.gpu_cache import cache_on_gpu, fits_on_gpu
from napari_unet3d.training.loading.targets import FULL_DISTANCE
from napari_unet3d.training.loading.validation import Validation
from napari_unet3d.training.loading.volumes import PreparedVolume, prepare_volume
from napari_unet3d.training.optim.learner import DataStatistics
from napari_unet3d.training.optim.losses import class_weights
from napari_unet3d.training.planning import make_plan, shape_at, smaller_plan
from napari_unet3d.training.probe import fit_to_memory

_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a run trains and validates on; made by `plan_and_prepare`.

    Attributes
    ----------
    config : TrainingConfig
        The settings.
    split : Split
        The volumes as they were read.
    plan : Plan
        What the volumes are prepared for: patch size, batch size, voxel size and classes.
    training : Batches
        Batches of the training volumes.
    validation : Validation
        Batches of the validation volumes, the same ones after every epoch.
    statistics : DataStatistics
        Class frequencies, class weights and number of steps, from which the learner starts.
    store : MemmapStore or None
        Holds the volumes that do not fit into memory.
    """

    config: TrainingConfig
    split: Split
    plan: Plan
    training: Batches
    validation: Validation
    statistics: DataStatistics
    store: MemmapStore | None = None

    def with_less_memory(self) -> TrainingData:
        """Return the same data for less memory: moved off the GPU, or else in smaller patches or batches.

        The number of steps stays the same; with smaller patches or batches each step sees less.

        Raises
        ------
        OutOfMemory
            If nothing can be made smaller.
        """
        plan = self.plan
        if self.training.device == _CPU:
            smaller = smaller_plan(plan, [shape_at(sample, plan.spacing_um) for sample in self.split.train])
            if smaller is None:
                raise OutOfMemory(
                    f"There is not enough memory for a single patch of {plan.description}. "
                    "Choose a smaller preset, or close other programs that use the same memory."
                )
            plan = smaller
        return make_training_data(self.split, self.config, plan, _CPU, len(self.training), self.store)


def plan_and_prepare(
    split: Split, config: TrainingConfig, device: ComputeDevice, store: MemmapStore | None = None
) -> TrainingData:
    """Choose the plan of a run and prepare its volumes.

    Raises
    ------
    UserError
        If settings and volumes do not go together, or there is not enough memory for the volumes.
    """
    return make_training_data(split, config, choose_plan(split, config, device), device.device, store=store)


def choose_plan(split: Split, config: TrainingConfig, device: ComputeDevice) -> Plan:
    """Choose a plan whose steps fit into memory.

    Raises
    ------
    UserError
        If settings and volumes do not go together.
    """
    plan = make_plan(split.train, split.val, config, device)
    return fit_to_memory(plan, [shape_at(sample, plan.spacing_um) for sample in split.train], config, device)


def make_training_data(
    split: Split,
    config: TrainingConfig,
    plan: Plan,
    device: torch.device,
    n_steps_per_epoch: int = 0,
    store: MemmapStore | None = None,
) -> TrainingData:
    """Prepare the volumes of a split for a plan.

    Parameters
    ----------
    split : Split
        The volumes.
    config : TrainingConfig
        The settings.
    plan : Plan
        Patch size, batch size, voxel size and classes.
    device : torch.device
        Device of the network; the volumes are moved there if they fit.
    n_steps_per_epoch : int
        Steps of an epoch; 0 for the number that follows from settings and volumes.
    store : MemmapStore, optional
        Keeps what does not fit into memory in temporary files; without it, all stays in memory.
    """
    with explain_memory_errors():
        train = _prepare_all(split.train, config, plan, store, validates=False)
        val = _prepare_all(split.val, config, plan, store, validates=True)
    if fits_on_gpu((*train, *val), config, plan, device):
        with suppress(OutOfMemory), explain_memory_errors():  # free memory may be in several pieces
            train, val = (cache_on_gpu(volumes, device) for volumes in (train, val))
    # Worker processes would each receive memory-mapped volumes as copies in memory.
    is_memmapped = store is not None and store.n_bytes_on_disk > 0
    is_memmapped |= any(volume.is_in_parts for volume in train)
    loading = config.model_copy(update={"num_workers": 0}) if is_memmapped else config
    training = Batches(train, loading, plan, n_steps_per_epoch)
    n_voxels = _voxels_per_class(train, plan)
    statistics = DataStatistics(
        fractions=_output_fractions(train, n_voxels, plan.task),
        weights=class_weights(config, n_voxels.tolist()),
        n_steps=config.epochs * len(training),
    )
    validation = Validation(val, plan, config.val_augmentation)
    return TrainingData(config, split, plan, training, validation, statistics, store)


def _prepare_all(
    samples: Sequence[Sample], config: TrainingConfig, plan: Plan, store: MemmapStore | None, *, validates: bool
) -> list[PreparedVolume]:
    volumes = []
    for sample in samples:
        raise_if_cancelled()
        volumes.append(prepare_volume(sample, config, plan, store, validates=validates))
    return volumes


def _voxels_per_class(volumes: list[PreparedVolume], plan: Plan) -> NDArray[np.int64]:
    """Count the annotated voxels of background and of each class."""
    n_classes = 1 + (len(plan.classes) if plan.task is Task.SEMANTIC else 1)
    counts: NDArray[np.int64] = np.sum([volume.patch_sampler.n_voxels_of[:n_classes] for volume in volumes], axis=0)
    return counts


def _output_fractions(volumes: list[PreparedVolume], n_voxels: NDArray[np.int64], task: Task) -> tuple[float, ...]:
    """Return the frequency of each network output among the annotated voxels."""
    total = max(1, int(n_voxels.sum()))
    foreground = float(n_voxels[1:].sum()) / total
    match task:
        case Task.BINARY:
            return (foreground,)
        case Task.SEMANTIC:
            return tuple((n_voxels / total).tolist())
        case Task.INSTANCE:
            boundary, distance = (
                sum(float(volume.targets[channel].sum()) for volume in volumes) / total for channel in (1, 2)
            )
            return foreground, boundary, distance / FULL_DISTANCE
