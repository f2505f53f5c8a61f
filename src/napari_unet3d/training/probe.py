"""One real step, forward and backward, on random numbers: does it fit in memory, and how long does it take."""

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

_USABLE = 0.8  # of the free memory: a viewer, other programs and validation need some, too
_LOOK_EVERY_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Probe:
    """What one step costs.

    Attributes
    ----------
    memory_bytes : int
        Most memory that the step took beside what was taken before it; on a CPU not less than the estimate.
    seconds : float
        How long it took; the first step of a process takes longer.
    """

    memory_bytes: int
    seconds: float


def fit_to_memory(plan: Plan, shapes: Sequence[Shape3D], config: TrainingConfig, hardware: ComputeDevice) -> Plan:
    """Make batch and patch smaller until a step takes a part of the free memory only.

    A size that is asked for by hand is not made smaller, and neither is the smallest one: the run finds out by itself
    whether they fit, and says what to do.

    Parameters
    ----------
    plan : Plan
        What `make_plan` chose.
    shapes : sequence of tuple of int
        Shapes (z, y, x) of the training volumes.
    config : TrainingConfig
        Network, loss and optimiser, and what is asked for by hand.
    hardware : Hardware
        Whose memory counts.
    """
    while not _fits(plan, shapes, config, hardware):
        smaller = smaller_plan(plan, shapes)
        by_hand = config.batch_size > 0 if smaller and smaller.batch_size < plan.batch_size else not _is_auto(config)
        if smaller is None or by_hand:
            break
        plan = smaller
    return plan


def _is_auto(config: TrainingConfig) -> bool:
    return config.patch_shape is None and not config.wants_whole_volumes


def _fits(plan: Plan, shapes: Sequence[Shape3D], config: TrainingConfig, hardware: ComputeDevice) -> bool:
    free = free_memory(hardware.device)
    shape = plan.patch_zyx or largest_shape(shapes, plan)
    if training_memory(config, plan, shape) > _USABLE * free:
        return False  # not even tried: a CPU would begin to swap
    try:
        return measure_step(plan, shape, config, hardware).memory_bytes <= _USABLE * free
    except OutOfMemory:
        return False


def measure_step(plan: Plan, shape: Shape3D, config: TrainingConfig, hardware: ComputeDevice) -> Probe:
    """Make one step of a throw-away network on random numbers.

    Parameters
    ----------
    plan : Plan
        Batch size, strides and outputs.
    shape : tuple of int
        Size (z, y, x) of a patch or a volume.
    config : TrainingConfig
        Network, loss and optimiser.
    hardware : Hardware
        Where.

    Raises
    ------
    OutOfMemory
        When the step does not fit.
    """
    n_channels = 3 if plan.task is Task.INSTANCE else 1
    fractions = (0.5,) * plan.out_channels
    settings = TorchState(hardware, config.seed)
    with settings.applied(), _peak_memory(hardware) as peak:
        learner = Learner(config, plan, hardware, DataStatistics(fractions, None, n_steps=1))
        began = time.monotonic()
        images = torch.rand(plan.batch_size, 1, *shape, generator=torch.Generator().manual_seed(0))
        targets = (images > 0.5).byte().expand(-1, n_channels, -1, -1, -1)
        learner.wait(learner.step(images, targets))  # which waits for a GPU
        seconds = time.monotonic() - began
    # What a process has freed before it takes again without growing, so growth alone may say too little.
    least = training_memory(config, plan, shape) if hardware.device.type == "cpu" else 0
    return Probe(max(peak[0], least), seconds)


@contextmanager
def _peak_memory(hardware: ComputeDevice) -> Iterator[list[int]]:
    """Measure the most memory that is taken within a block; the number stands in the list after it."""
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

    def watch() -> None:
        while not done.wait(_LOOK_EVERY_SECONDS):
            peak[0] = max(peak[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
        peak[0] = max(peak[0], process.memory_info().rss - before)
