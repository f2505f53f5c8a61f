"""Training, from top to bottom: `train` is the whole story, what stands below it are its sentences.

Everything that a run draws by chance comes from `config.seed`. The same seed, settings and volumes give the same
weights bit by bit on a CPU with the same number of threads; on a GPU they differ by the order of its sums.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path

from napari_unet3d.configs import Augmentation, Optimizer, TrainingConfig
from napari_unet3d.data.corrected_regions import apply_corrections
from napari_unet3d.data.dataset import Subset, iter_samples
from napari_unet3d.data.events import Notice
from napari_unet3d.data.ground_truth import has_foreground
from napari_unet3d.data.label_checks import no_foreground, no_foreground_at_all
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Split, find_validation_leaks, split_samples
from napari_unet3d.data.volume_checks import corrected_validation_volume
from napari_unet3d.errors import UserError
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.model.devices import ComputeDevice, TorchState, choose_device
from napari_unet3d.model.receptive_field import separating_gap
from napari_unet3d.training.background import iterate_in_background, run_in_background
from napari_unet3d.training.events import Busy, RunStarted, TrainEvent
from napari_unet3d.training.optim.learner import Learner
from napari_unet3d.training.pace import ActiveTimer
from napari_unet3d.training.prepare import TrainingData
from napari_unet3d.training.resume import RunStart, prepare_data, resolve_start, restore
from napari_unet3d.training.resume_state import volumes_of
from napari_unet3d.training.run_folder import RunFolder
from napari_unet3d.training.run_lock import locked
from napari_unet3d.training.snapshot_writer import SnapshotWriter
from napari_unet3d.training.trainer import Trainer


def train(
    data: Path | str | Sequence[Sample],
    run_folder: Path | str,
    config: TrainingConfig | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    start_from: Checkpoint | Path | str | None = None,
) -> Iterator[TrainEvent]:
    """Train a 3D U-Net; ask for the next event to go on, close the generator to stop.

    Whatever an event announces is on disk already. When the generator is closed, the run folder holds the best
    and the last model of the epochs so far, or the weights of the moment when the first epoch was not finished.
    While nobody asks, the run is paused, and no time counts. Until the generator has ended or is closed, no other
    training can write into the run folder.

    Parameters
    ----------
    data : path of a dataset folder, or sequence of Sample
        Volumes with labels, which mean what task and zero_is of the settings say.
    run_folder : path
        Where models, settings, history and environment are written, from the first epoch on.
    config : TrainingConfig, optional
        All settings; those of the tutorial without it. Of a run that is resumed, only epochs, max_minutes,
        patience and save_snapshots may be given anew.
    overwrite : bool
        Whether an older run in the folder may be replaced.
    resume : bool
        Go on with the run in the folder after its last whole epoch, a finished one too when it is given more epochs.
        On a CPU it ends with the same bits as if it had never stopped, unless minutes set its length.
    start_from : Checkpoint or path of a model, optional
        Begin with its weights and with a new optimiser. The settings of its network and its normalisation hold where
        none are given. Last layers for another number of outputs begin anew.

    Yields
    ------
    TrainEvent
        One `RunStarted`, a `StepFinished` per step, a `Pace` now and then, a `Validating` per part of an evaluation,
        an `EpochFinished` per epoch, `SnapshotSaved` after it when the run is watched, notices, `Busy` while
        something takes long, and `TrainingFinished` at the end.

    Raises
    ------
    UserError
        For data, settings, hardware or folders that training cannot work with, when another training writes into
        the run folder, and when the loss is not a number for many steps.
    """
    clock, folder = ActiveTimer(), Path(run_folder)

    def events() -> Generator[TrainEvent]:
        with locked(folder), MemmapStore(folder) as shelf:
            beginning = resolve_start(folder, config, resume=resume, start_from=start_from)
            earlier = beginning.state.header if beginning.state else None
            run = RunFolder(folder, beginning.config, overwrite=overwrite or resume, earlier=earlier)
            yield from _train(data, beginning, run, clock, shelf)

    return clock.measure(events())


def _train(
    data: Path | str | Sequence[Sample], beginning: RunStart, run: RunFolder, clock: ActiveTimer, shelf: MemmapStore
) -> Iterator[TrainEvent]:
    config = beginning.config
    hardware = choose_device(config.device, config.precision)
    samples, split = yield from read_split(data, config, shelf)
    settings = TorchState(hardware, config.seed)
    prepare = partial(prepare_data, beginning, split, samples, hardware, shelf)
    work = yield from run_in_background(prepare, "Preparing the volumes")
    with settings.applied():
        learner = Learner(config, work.plan, hardware, work.statistics)
    told = restore(beginning, learner, work.plan, settings)
    if beginning.state:
        clock.add(beginning.state.header.seconds_spent)

    dataset = str(Path(data).absolute()) if isinstance(data, Path | str) else "layers"
    run.start(split, work.plan, hardware, dataset, beginning.start_from)
    yield RunStarted(
        run_folder=run.path,
        device=hardware.description,
        train_names=tuple(sample.name for sample in split.train),
        val_names=tuple(sample.name for sample in split.val),
        n_epochs=config.epochs,
        n_steps_per_epoch=len(work.training),
        n_parameters=learner.n_parameters,
        plan=work.plan,
        blocks=split.blocks,
        history=tuple(run.history),
    )
    for message in (*beginning.notices, *told):
        yield Notice(message)
    yield from _notices(config, hardware, split, work)
    is_watched = config.save_snapshots and split.val and config.val_augmentation is Augmentation.NONE
    watch = SnapshotWriter(run.path, config.validate_every) if is_watched else None
    yield from Trainer(config, volumes_of(samples), run, work, learner, settings, clock, watch).events()


def read_split(
    data: Path | str | Sequence[Sample], config: TrainingConfig, shelf: MemmapStore
) -> Generator[Busy, None, tuple[list[Sample], Split]]:
    """Read the volumes of a training and put some aside for validation.

    Parameters
    ----------
    data : path of a dataset folder, or sequence of Sample
        As for `train`.
    config : TrainingConfig
        Part that validates, seed, and what labels mean.
    shelf : MemmapStore
        Where that goes which does not fit into memory.

    Yields
    ------
    Busy
        While it takes long.

    Returns
    -------
    tuple of list of Sample and Split
        All volumes, and which of them train and validate.

    Raises
    ------
    UserError
        If there is nothing to learn from.
    """
    samples = yield from _labelled_samples(data, config, shelf)
    gap_zyx = separating_gap(config, samples[0].voxel_size_um)
    divide = partial(split_samples, samples, config.val_fraction, config.seed, gap_zyx=gap_zyx, zero_is=config.zero_is)
    split = yield from run_in_background(divide, "Dividing the volumes")
    return samples, apply_corrections(split, samples)


def _labelled_samples(
    data: Path | str | Sequence[Sample], config: TrainingConfig, shelf: MemmapStore
) -> Generator[Busy, None, list[Sample]]:
    if isinstance(data, Path | str):
        samples = yield from iterate_in_background(iter_samples(Path(data), Subset.TRAIN, shelf), "Reading the volumes")
    else:
        samples = list(data)
    if not samples:
        raise UserError("There is no volume to train on; give at least one image with labels.")
    labelled = [(sample.labels, sample.label_mask) for sample in samples if sample.labels is not None]
    if not any(has_foreground(labels, config.zero_is, annotated) for labels, annotated in labelled):
        has_background = any(labels.any() for labels, _ in labelled)
        raise UserError(no_foreground_at_all(len(samples), config.zero_is, has_background=has_background))
    return samples


def _notices(config: TrainingConfig, hardware: ComputeDevice, split: Split, work: TrainingData) -> Iterator[Notice]:
    """Say what is allowed but may not be what was meant."""
    for message in (*hardware.notices, split.notice, work.shelf and work.shelf.notice):
        if message:
            yield Notice(message)
    if not split.val:
        yield Notice("There is no validation: the best model is the one with the lowest training loss.")
    if config.patience and not (split.val and split.tells_best):
        yield Notice("Without foreground to validate on nothing tells when to stop early; all epochs are gone through.")
    if config.save_snapshots and split.val and config.val_augmentation is not Augmentation.NONE:
        yield Notice("Validation volumes are varied, so that predictions do not lie in their place: none are kept.")
    if work.plan.patch_zyx is None and config.batch_size > len(split.train):
        yield Notice(
            f"The batch size is {config.batch_size}, but {len(split.train)} volumes train; "
            f"each step takes {len(split.train)}."
        )
    if config.momentum > 0 and config.optimizer in (Optimizer.ADAM, Optimizer.ADAMW):
        yield Notice(f"{config.optimizer.label} does not use the momentum of {config.momentum:g}; it has its own.")
    yield from _notices_on_volumes(config, split)


def _notices_on_volumes(config: TrainingConfig, split: Split) -> Iterator[Notice]:
    for source, corrected in find_validation_leaks(split.train, split.val, split.blocks):
        yield Notice(corrected_validation_volume(corrected, source))
    for sample in (*split.train, *split.val):
        if sample.labels is None or sample.provenance is not None:  # a correction may take an extra object away
            continue
        if not has_foreground(sample.labels, config.zero_is, sample.label_mask):
            yield Notice(no_foreground(sample.name))
