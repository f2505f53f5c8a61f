"""Measure memory and time of a real training step on random numbers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.errors import OutOfMemory
from napari_unet3d.model.devices import ComputeDevice, TorchState, free_memory
from napari_unet3d.model.network import training_memory
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.optim.learner import DataStatistics, Learner
from napari_unet3d.training.planning import largest_shape, smaller_plan

_USABLE_FRACTION = 0.8  # of the free memory; a viewer, other programs and validation need some, too
_SAMPLING_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Probe:
    """Cost of one training step.

    Attributes
    ----------
    memory_bytes : int
        Peak memory of the step beyond what was allocated before; on a CPU at least the estimate.
    seconds : float
        Duration; the first step of a process takes longer.
    """

    memory_bytes: int
    seconds: float


def fit_to_memory(plan: Plan, shapes: Sequence[Shape3D], config: TrainingConfig, hardware: ComputeDevice) -> Plan:
    """Reduce batch and patch size until a step needs at most 80 % of the free memory.

    Sizes that the user has set are not reduced, and neither is the smallest one: the run itself finds out whether they
    fit, and tells the user what to do.

    Parameters
    ----------
    plan : Plan
        What `make_plan` returned.
    shapes : sequence of tuple of int
        Shapes (z, y, x) of the training volumes.
    config : TrainingConfig
        Network, loss and optimiser, and sizes that the user has set.
    hardware : ComputeDevice
        Device whose memory is measured.
    """
    n_processes = hardware.n_processes
    plan = plan.model_copy(update={"batch_size": plan.batch_size // n_processes})  # what each process has of a batch
    while not _fits(plan, shapes, config, hardware):
        smaller = smaller_plan(plan, shapes)
        by_hand = config.batch_size > 0 if smaller and smaller.batch_size < plan.batch_size else not _is_auto(config)
        if smaller is None or by_hand:
            break
        plan = smaller
    return plan.model_copy(update={"batch_size": plan.batch_size * n_processes})


def _is_auto(config: TrainingConfig) -> bool:
    return config.patch_shape is None and not config.wants_whole_volumes


def _fits(plan: Plan, shapes: Sequence[Shape3D], config: TrainingConfig, hardware: ComputeDevice) -> bool:
    free = free_memory(hardware.device)
    shape = plan.patch_zyx or largest_shape(shapes, plan)
    if training_memory(config, plan, shape) > _USABLE_FRACTION * free:
        return False  # without a trial: a CPU would start swapping
    try:
        return measure_step(plan, shape, config, hardware).memory_bytes <= _USABLE_FRACTION * free
    except OutOfMemory:
        return False


def measure_step(plan: Plan, shape: Shape3D, config: TrainingConfig, hardware: ComputeDevice) -> Probe:
    """Make one training step of a new network on random numbers.

    Parameters
    ----------
    plan : Plan
        Batch size, strides and outputs.
    shape : tuple of int
        Size (z, y, x) of a patch or a volume.
    config : TrainingConfig
        Network, loss and optimiser.
    hardware : ComputeDevice
        Device and number type.

    Raises
    ------
    OutOfMemory
        If the step does not fit in memory.
    """
    n_channels = 3 if plan.task is Task.INSTANCE else 1
    fractions = (0.5,) * plan.out_channels
    settings = TorchState(hardware, config.seed)
    with settings.applied(), _peak_memory(hardware) as peak:
        learner = Learner(config, plan, hardware, DataStatistics(fractions, None, n_steps=1))
        began = time.monotonic()
        images = torch.rand(plan.batch_size, plan.in_channels, *shape, generator=torch.Generator().manual_seed(0))
        targets = (images[:, :1] > 0.5).byte().expand(-1, n_channels, -1, -1, -1)
        learner.wait(learner.step(images, targets))  # which waits for a GPU
        seconds = time.monotonic() - began
    # A process reuses memory that it has freed without growing, so that its growth may be too low a value.
    at_least = training_memory(config, plan, shape) if hardware.device.type == "cpu" else 0
    return Probe(max(peak[0], at_least), seconds)


@contextmanager
def _peak_memory(hardware: ComputeDevice) -> Iterator[list[int]]:
    """Measure the peak memory of a block in bytes, the only element of the list when the block has ended."""
    peak = [0]
    if hardware.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(hardware.device)
        before = torch.cuda.memory_allocated(hardware.device)
        yield peak
        peak[0] = torch.cuda.max_memory_allocated(hardware.device) - before
        torch.cuda.empty_cache()
        return
    process, done = psutil.Process(), threading.Event()
    before = process.memory_info().rss

    def sample() -> None:
        while not done.wait(_SAMPLING_SECONDS):
            peak[0] = max(peak[0], process.memory_info().rss - before)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield peak
    finally:
        done.set()
        sampler.join()
        peak[0] = max(peak[0], process.memory_info().rss - before)
