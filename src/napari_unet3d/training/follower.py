"""What all processes but the first do when several train one network together.

They read the same volumes, prepare them for the plan of the first process, and make each step that it announces with
their own part of the batch. They validate nothing and write nothing but temporary files of volumes that do not fit into
memory.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.voxel_size import with_voxel_size
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.model.devices import TorchState, choose_device
from napari_unet3d.model.torchrun import ProcessNumber
from napari_unet3d.training.loading.batches import Batch
from napari_unet3d.training.optim.learner import Learner
from napari_unet3d.training.optim.step import PendingStep
from napari_unet3d.training.prepare import TrainingData, make_training_data
from napari_unet3d.training.processes import Processes
from napari_unet3d.training.resume import resolve_start, restore
from napari_unet3d.training.samples import read_volumes, split_volumes

_R = TypeVar("_R")
_SEED_STEP = 1_000_003  # so that processes do not drop the same outputs


def follow(
    number: ProcessNumber,
    data: Path | str | Sequence[Sample],
    run_folder: Path | str,
    config: TrainingConfig | None,
    *,
    resume: bool,
    start_from: Checkpoint | Path | str | None,
) -> None:
    """Make the steps of a training that the first process announces, until there is none any more.

    Parameters
    ----------
    number : ProcessNumber
        Which process this is.
    data, run_folder, config, resume, start_from
        As for `train`.

    Raises
    ------
    UserError
        As `train`, and if another process has ended.
    """
    path = Path(run_folder)
    with Processes(number) as processes, MemmapStore(path) as store:
        start = resolve_start(path, config, resume=resume, start_from=start_from)
        config = start.config
        device = choose_device(config.device, config.precision, number)
        volumes = _result_of(read_volumes(data, store, start))
        split = _result_of(split_volumes([with_voxel_size(each, config.voxel_size_um) for each in volumes], config))
        plan, n_steps = processes.share_plan()
        prepared = make_training_data(replace(split, val=()), config, plan, device.device, n_steps, store)
        prepared.training.take_part(number)
        torch_state = TorchState(device, config.seed)
        with torch_state.applied():
            learner = Learner(config, plan, device, prepared.statistics, processes)
        restore(start, learner, plan, torch_state)
        seed = (config.seed + _SEED_STEP * number.rank + learner.n_steps) % 2**32
        torch_state.random_state = TorchState(device, seed).random_state
        processes.share_weights(learner.network.state_dict().values())
        _make_steps(processes, prepared, learner, torch_state)


def _make_steps(processes: Processes, data: TrainingData, learner: Learner, torch_state: TorchState) -> None:
    batches: Iterator[Batch] = iter(())
    following = 0, 0  # the step whose batch comes next
    pending: PendingStep | None = None
    while (step := processes.next_step()) is not None:
        if following != (step.epoch, step.number):
            batches = data.training.epoch(step.epoch, step.number)
        following = step.epoch, step.number + 1
        learner.learning_rate = step.learning_rate
        with torch_state.applied():
            queued = learner.step(*next(batches))
        if pending is not None:  # one step ahead, so that a GPU does not wait
            learner.wait(pending)
        pending = queued


def _result_of(events: Generator[Any, None, _R]) -> _R:
    """Return the result of a generator whose events are for nobody."""
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
