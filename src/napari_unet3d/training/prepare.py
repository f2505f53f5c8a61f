"""The volumes of a run, ready for one plan: what trains, what validates, and what both tell about the start."""

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

_OWN_MEMORY = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a run works on; made by `plan_and_prepare`.

    Attributes
    ----------
    config : TrainingConfig
        The settings.
    split : Split
        The samples.
    plan : Plan
        What the volumes are made ready for.
    training : Batches
        Batches of the training volumes.
    validation : Validation
        Fixed parts of the validation volumes.
    facts : DataStatistics
        Frequencies, class weights and length of the run.
    shelf : MemmapStore or None
        Where that lies which does not fit into memory.
    """

    config: TrainingConfig
    split: Split
    plan: Plan
    training: Batches
    validation: Validation
    statistics: DataStatistics
    shelf: MemmapStore | None = None

    def with_less_memory(self) -> TrainingData:
        """Return the same work with less memory: with volumes in the machine's own, or else with about half per step.

        There are as many steps as before; in the second case, each sees less.

        Raises
        ------
        OutOfMemory
            When nothing can be made smaller.
        """
        if self.training.device != _OWN_MEMORY:
            return prepare(self.split, self.config, self.plan, _OWN_MEMORY, len(self.training), self.shelf)
        shapes = [shape_at(sample, self.plan.spacing_um) for sample in self.split.train]
        smaller = smaller_plan(self.plan, shapes)
        if smaller is None:
            raise OutOfMemory(
                f"There is not enough memory for a single patch of {self.plan.description}. "
                "Choose a smaller preset, or close other programs that use the same memory."
            )
        return prepare(self.split, self.config, smaller, _OWN_MEMORY, len(self.training), self.shelf)


def plan_and_prepare(
    split: Split, config: TrainingConfig, hardware: ComputeDevice, shelf: MemmapStore | None = None
) -> TrainingData:
    """Plan a run and prepare its volumes.

    Raises
    ------
    UserError
        If settings and volumes do not go together, or there is not enough memory for the volumes.
    """
    return prepare(split, config, plan_for(split, config, hardware), hardware.device, shelf=shelf)


def plan_for(split: Split, config: TrainingConfig, hardware: ComputeDevice) -> Plan:
    """Plan a run whose steps fit into the memory.

    Raises
    ------
    UserError
        If settings and volumes do not go together.
    """
    plan = make_plan(split.train, split.val, config, hardware)
    return fit_to_memory(plan, [shape_at(sample, plan.spacing_um) for sample in split.train], config, hardware)


def prepare(
    split: Split,
    config: TrainingConfig,
    plan: Plan,
    device: torch.device,
    n_steps_per_epoch: int = 0,
    shelf: MemmapStore | None = None,
) -> TrainingData:
    """Make the volumes of a split ready for a plan.

    Parameters
    ----------
    split : Split
        The samples.
    config : TrainingConfig
        The settings.
    plan : Plan
        Patch, batch, voxel size and classes.
    device : torch.device
        Where the network is; the volumes come there, too, when they fit beside it.
    n_steps_per_epoch : int
        Length of an epoch; 0 for what settings and volumes say.
    shelf : MemmapStore, optional
        Where that goes which does not fit into memory; without it all stays there.
    """
    with explain_memory_errors():
        train, val = (_ready(samples, config, plan, shelf) for samples in (split.train, split.val))
    if fits_on_gpu((*train, *val), config, plan, device):
        with suppress(OutOfMemory), explain_memory_errors():  # then there is less in one piece than in all
            train, val = (cache_on_gpu(volumes, device) for volumes in (train, val))
    # Each worker process would be given volumes on disk as copies in memory.
    alone = shelf is not None and shelf.n_bytes_on_disk > 0
    training = Batches(
        train, config.model_copy(update={"num_workers": 0}) if alone else config, plan, n_steps_per_epoch
    )
    n_voxels = _voxels_per_class(train, plan)
    facts = DataStatistics(
        fractions=_output_fractions(train, n_voxels, plan.task),
        weights=class_weights(config, n_voxels.tolist()),
        n_steps=config.epochs * len(training),
    )
    return TrainingData(config, split, plan, training, Validation(val, plan, config.val_augmentation), facts, shelf)


def _ready(
    samples: Sequence[Sample], config: TrainingConfig, plan: Plan, shelf: MemmapStore | None
) -> list[PreparedVolume]:
    ready = []
    for sample in samples:
        raise_if_cancelled()
        ready.append(prepare_volume(sample, config, plan, shelf))
    return ready


def _voxels_per_class(volumes: list[PreparedVolume], plan: Plan) -> NDArray[np.int64]:
    """Count the annotated voxels of background and of each class."""
    n_classes = 1 + (len(plan.classes) if plan.task is Task.SEMANTIC else 1)
    counts: NDArray[np.int64] = np.sum([volume.patch_sampler.n_voxels_of[:n_classes] for volume in volumes], axis=0)
    return counts


def _output_fractions(volumes: list[PreparedVolume], n_voxels: NDArray[np.int64], task: Task) -> tuple[float, ...]:
    """Return the part of the annotated voxels that each output of the network stands for."""
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
