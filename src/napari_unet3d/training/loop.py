"""Train a 3D U-Net: `train` reads a dataset folder and writes a run folder; the epochs are in `trainer.py`.

All random numbers of a run come from `config.seed`. The same seed, settings and volumes give the same weights bit by
bit on a CPU with the same number of threads; on a GPU they differ in rounding, since it adds numbers in varying order.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.voxel_size import with_voxel_size
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.model.devices import ComputeDevice, TorchState, choose_device
from napari_unet3d.model.torchrun import process_number
from napari_unet3d.runs.stop_request import withdraw_stop
from napari_unet3d.training.background import run_in_background
from napari_unet3d.training.events import RunStarted, TrainEvent
from napari_unet3d.training.follower import follow
from napari_unet3d.training.notices import intensity_notices, setup_notices
from napari_unet3d.training.optim.learner import Learner
from napari_unet3d.training.prepare import TrainingData
from napari_unet3d.training.processes import Processes
from napari_unet3d.training.resume import RunStart, prepare_data, resolve_start, restore
from napari_unet3d.training.resume_state import volumes_of
from napari_unet3d.training.run_folder import RunFolder
from napari_unet3d.training.run_lock import locked
from napari_unet3d.training.samples import describe_source, read_volumes, split_volumes
from napari_unet3d.training.save_schedule import SaveRequests
from napari_unet3d.training.snapshot_writer import SnapshotWriter, saves_snapshots
from napari_unet3d.training.status_writer import StatusWriter
from napari_unet3d.training.throughput import ActiveTimer
from napari_unet3d.training.tracking.track import track
from napari_unet3d.training.tracking.tracker import check_trackers
from napari_unet3d.training.trainer import Trainer


def train(  # noqa: PLR0913 - as many options as the command has
    data: Path | str | Sequence[Sample],
    run_folder: Path | str,
    config: TrainingConfig | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    start_from: Checkpoint | Path | str | None = None,
    save_requests: SaveRequests | None = None,
) -> Generator[TrainEvent]:
    """Train a 3D U-Net. Each ``next`` trains a little further; close the generator to stop.

    Nothing happens before the first ``next``, which locks the run folder; the lock is held until the generator ends or
    is closed. Models and history of an epoch are on disk before its `EpochFinished` is yielded. A stop discards the
    unfinished epoch; within the first epoch the current weights are saved if at least one step was made. While no
    event is requested, the run is paused and its time does not count.

    In several processes that torchrun has started, call it in each with the same arguments: the first one trains as
    described here, and the others compute their part of each batch without any event.

    Parameters
    ----------
    data : path of a dataset folder, or sequence of Sample
        Volumes with labels; task and ignore_label of the settings define what label values mean.
    run_folder : path
        Where models, settings, history and environment are written.
    config : TrainingConfig, optional
        All settings; by default ``TrainingConfig()``. When a run is resumed, only `RESUMABLE_SETTINGS` may differ from
        its own: its length, what is saved, and the hardware.
    overwrite : bool
        Whether an earlier run in the folder may be replaced.
    resume : bool
        Continue the run in the folder after its last complete epoch, or inside the next one if its state was saved
        there; a finished run continues if it is given more epochs. On a CPU the result is bit-identical to that of an
        uninterrupted run, unless max_minutes sets its length.
    start_from : Checkpoint or path of a model, optional
        Start from its weights, with a new optimizer. Network settings and normalisation are those of the model unless
        they are given. If the number of outputs differs, the output layers are initialised anew.
    save_requests : SaveRequests, optional
        With it, another thread or a signal handler can request that the state is saved at the next step.

    Yields
    ------
    TrainEvent
        One `RunStarted`, a `StepFinished` per step, a `Throughput` about once a second, a `Validating` per validation
        batch, an `EpochFinished` per epoch, followed by `SnapshotSaved` if snapshots are saved, `StateSaved` when the
        state was saved inside an epoch or on request, notices, `Busy` during long operations, and `TrainingFinished` at
        the end.

    Raises
    ------
    UserError
        If data, settings, device or folders do not allow training, if another training writes to the run folder, or if
        the loss is NaN or infinite for many steps in a row.
    """
    timer = ActiveTimer()

    def events() -> Generator[TrainEvent]:  # a generator of its own, so that the timer can tell work from pauses
        if (number := process_number()) is not None and number.follows:
            follow(number, data, run_folder, config, resume=resume, start_from=start_from)
            return
        with open_run(run_folder, config, overwrite=overwrite, resume=resume, start_from=start_from) as run:
            samples = yield from read_volumes(data, run.store, run.start)
            events = train_on_samples(samples, run, timer, describe_source(data), save_requests)
            yield from track(events, run.start.config.track, is_resumed=run.start.state is not None)

    return timer.measure(events())


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A locked run folder, and what is known of the run before any volume is read.

    Attributes
    ----------
    start : RunStart
        The settings, and the saved state or the model that the run starts from.
    folder : RunFolder
        Where the run is written.
    device : ComputeDevice
        Device and precision.
    store : MemmapStore
        Keeps volumes in memory, or in temporary files if they do not fit.
    lock_notice : str
        A notice about an earlier training that has left its lock; empty without one.
    processes : Processes or None
        The processes that train together, of which this is the first; None if it trains alone.
    """

    start: RunStart
    folder: RunFolder
    device: ComputeDevice
    store: MemmapStore
    lock_notice: str = ""
    processes: Processes | None = None


@contextmanager
def open_run(
    run_folder: Path | str,
    config: TrainingConfig | None,
    *,
    overwrite: bool,
    resume: bool,
    start_from: Checkpoint | Path | str | None,
) -> Iterator[OpenRun]:
    """Lock a run folder and resolve how the run starts; for the parameters see `train`.

    Raises
    ------
    UserError
        If the folder is in use or holds another run, or the settings do not go with what the run starts from or with
        the device.
    """
    path, number = Path(run_folder), process_number()
    with ExitStack() as stack:
        lock, store = stack.enter_context(locked(path)), stack.enter_context(MemmapStore(path))
        withdraw_stop(path)  # it was meant for an earlier training
        stack.callback(withdraw_stop, path)
        start = resolve_start(path, config, resume=resume, start_from=start_from)
        check_trackers(start.config.track)
        earlier = start.state.header if start.state else None
        folder = RunFolder(path, start.config, may_exist=overwrite or resume, earlier=earlier, lock=lock)
        processes = None if number is None else stack.enter_context(Processes(number))
        device = choose_device(start.config.device, start.config.precision, number)
        yield OpenRun(start, folder, device, store, lock.notice, processes)


def train_on_samples(
    samples: Sequence[Sample],
    run: OpenRun,
    timer: ActiveTimer,
    source: str,
    save_requests: SaveRequests | None = None,
) -> Generator[TrainEvent]:
    """Train on volumes that have been read.

    Parameters
    ----------
    samples : sequence of Sample
        All volumes of the dataset.
    run : OpenRun
        The run.
    timer : ActiveTimer
        Measures the time that the run takes.
    source : str
        Where the volumes come from, for the record in the run folder.
    save_requests : SaveRequests, optional
        Requests to save the state inside an epoch.
    """
    start, config, device = run.start, run.start.config, run.device
    samples = [with_voxel_size(sample, config.voxel_size_um) for sample in samples]
    # Long operations run in a thread, while this generator yields `Busy` events: a viewer stays responsive.
    split = yield from split_volumes(samples, config)
    messages = yield from run_in_background(
        lambda: list(intensity_notices(samples, config)), "Checking the intensities"
    )
    record = partial(run.folder.record_seen, split, start.model)
    seen = yield from run_in_background(record, "Recording what the model sees")
    prepare = partial(prepare_data, start, split, samples, device, run.store)
    data = yield from run_in_background(prepare, "Preparing the volumes")
    if run.processes is not None:
        data.training.take_part(run.processes.number)
        run.processes.share_plan(data.plan, len(data.training))
    torch_state = TorchState(device, config.seed)
    with torch_state.applied():
        learner = Learner(config, data.plan, device, data.statistics, run.processes)
    # Called before the header replaces what the folder holds: a model that does not fit costs no earlier run.
    notices_of_restoring = restore(start, learner, data.plan, torch_state)
    if start.state:
        timer.add(start.state.header.seconds_spent)
    if run.processes is not None:  # the others have read by now what is replaced below
        run.processes.share_weights(learner.network.state_dict().values())

    run.folder.write_header(split, data.plan, device, source, start.start_from)
    run.folder.write_seen(seen)
    of_reading = dict.fromkeys(notice for sample in samples for notice in sample.notices)
    of_setup = setup_notices(config, device, data)
    notices = (run.lock_notice, *of_reading, *start.notices, *notices_of_restoring, *of_setup, *messages)
    snapshots = SnapshotWriter(run.folder.path, config.validate_every) if saves_snapshots(config, split) else None
    trainer = Trainer(
        *(config, volumes_of(samples), run.folder, data, learner, torch_state, timer, snapshots),
        save_requests=save_requests,
        started_epoch=start.state.header.started_epoch if start.state else None,
        processes=run.processes,
    )

    def events() -> Generator[TrainEvent]:
        yield _run_started(run, samples, data, learner)
        yield from (Notice(message) for message in notices if message)
        yield from trainer.train()

    yield from StatusWriter(run.folder).following(events())


def _run_started(run: OpenRun, samples: Sequence[Sample], data: TrainingData, learner: Learner) -> RunStarted:
    return RunStarted(
        run_folder=run.folder.path,
        device=run.device.description,
        train_names=tuple(sample.name for sample in data.split.train),
        val_names=tuple(sample.name for sample in data.split.val),
        n_epochs=data.config.epochs,
        n_steps_per_epoch=len(data.training),
        n_parameters=learner.n_parameters,
        plan=data.plan,
        config=data.config,
        volume_shape_zyx=samples[0].shape,
        blocks=data.split.blocks,
        history=tuple(run.folder.history),
        n_steps_done=run.start.state.header.n_steps_done if run.start.state else 0,
    )
