"""Training, from top to bottom: `train` is the whole story, what stands below it are its sentences.

Everything that a run draws by chance comes from `config.seed`. The same seed, settings and volumes give the same
weights bit by bit on a CPU with the same number of threads; on a GPU they differ by the order of its sums.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_unet3d.configs import Optimizer, TrainingConfig
from napari_unet3d.data.annotation import has_foreground
from napari_unet3d.data.dataset import Part, read_samples
from napari_unet3d.data.events import Notice
from napari_unet3d.data.label_checks import no_foreground, no_foreground_at_all
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.shelf import Shelf
from napari_unet3d.data.split import Split, split_samples
from napari_unet3d.errors import OutOfMemory, UserError
from napari_unet3d.evaluation.history import EpochRecord
from napari_unet3d.model.devices import Hardware, TorchSettings, choose_hardware
from napari_unet3d.model.receptive_field import separating_gap
from napari_unet3d.training.events import EpochFinished, RunStarted, StepFinished, TrainEvent, TrainingFinished
from napari_unet3d.training.learner import Learner
from napari_unet3d.training.run_folder import RunFolder
from napari_unet3d.training.schedules import rate_factor
from napari_unet3d.training.workload import Workload, make_workload


def train(
    data: Path | str | Sequence[Sample],
    run_folder: Path | str,
    config: TrainingConfig | None = None,
    *,
    overwrite: bool = False,
) -> Iterator[TrainEvent]:
    """Train a 3D U-Net; ask for the next event to go on, close the generator to stop.

    Whatever an event announces is on disk already. When the generator is closed, the run folder holds the best
    and the last model of the epochs so far, or the weights of the moment when the first epoch was not finished.

    Parameters
    ----------
    data : path of a dataset folder, or sequence of Sample
        Volumes with labels, which mean what task and zero_is of the settings say.
    run_folder : path
        Where models, settings, history and environment are written, from the first epoch on.
    config : TrainingConfig, optional
        All settings; those of the tutorial without it.
    overwrite : bool
        Whether an older run in the folder may be replaced.

    Yields
    ------
    TrainEvent
        One `RunStarted`, a `StepFinished` per step, an `EpochFinished` per epoch, notices, and
        `TrainingFinished` at the end.

    Raises
    ------
    UserError
        For data, settings, hardware or folders that training cannot work with, and when the loss is not a
        number for many steps.
    """
    config = config or TrainingConfig()
    run = RunFolder(Path(run_folder), config, overwrite=overwrite)
    hardware = choose_hardware(config.device, config.precision)
    shelf = Shelf(run.path)
    samples = _labelled_samples(data, config, shelf)
    gap_zyx = separating_gap(config, samples[0].voxel_size_um)
    split = split_samples(samples, config.val_fraction, config.seed, gap_zyx=gap_zyx, zero_is=config.zero_is)
    settings = TorchSettings(hardware, config.seed)
    work = make_workload(split, config, hardware, shelf)
    with settings.lent():
        learner = Learner(config, work.plan, hardware, work.facts)

    run.start(split, work.plan, hardware, dataset=str(data) if isinstance(data, Path | str) else "layers")
    train_names, val_names = (tuple(sample.name for sample in part) for part in (split.train, split.val))
    n_steps = len(work.training)
    sizes = config.epochs, n_steps, learner.n_parameters
    yield RunStarted(run.path, hardware.words, train_names, val_names, *sizes, work.plan, split.blocks)
    yield from _notices(config, hardware, split, work)

    try:
        for epoch in range(1, config.epochs + 1):
            started = time.monotonic()
            batches = work.training.epoch(epoch)
            losses: list[float] = []
            for step in range(1, n_steps + 1):
                progress = (epoch - 1 + (step - 1) / n_steps) / config.epochs
                learner.learning_rate = config.learning_rate * rate_factor(config.schedule, progress)
                while len(losses) < step:
                    try:
                        with settings.lent():
                            losses.append(learner.step(*next(batches)))
                    except OutOfMemory:
                        work = work.made_smaller()
                        batches, run.plan = work.training.epoch(epoch, first_step=step), work.plan
                        learner.follow(work.plan)
                        yield Notice(f"Memory ran out; each step now sees {work.plan.words}.")
                yield StepFinished(epoch, step, losses[-1])
                if notice := learner.first_skip(epoch, step):
                    yield notice

            val_loss = val_dice = None
            if split.val and (epoch % config.evaluate_every == 0 or epoch == config.epochs):
                with settings.lent():
                    val_loss, val_dice = learner.evaluate(work.validation)

            record = EpochRecord(epoch, _mean_finite(losses), val_loss, val_dice)
            is_best = run.save_epoch(record, learner.weights(), time.monotonic() - started)
            yield EpochFinished(epoch, record.train_loss, val_loss, val_dice, is_best, run.seconds_left)
    finally:
        if learner.n_steps > 0 and not run.has_model:
            run.save_started_epoch(learner.weights())
        shelf.close()

    yield TrainingFinished(run.path, run.model, run.best.epoch, run.best.val_loss, run.best.val_dice)


def _labelled_samples(data: Path | str | Sequence[Sample], config: TrainingConfig, shelf: Shelf) -> list[Sample]:
    samples = read_samples(Path(data), Part.TRAIN, shelf) if isinstance(data, Path | str) else list(data)
    if not samples:
        raise UserError("There is no volume to train on; give at least one image with labels.")
    labelled = [sample.labels for sample in samples if sample.labels is not None]
    if not any(has_foreground(labels, config.zero_is) for labels in labelled):
        has_background = any(labels.any() for labels in labelled)
        raise UserError(no_foreground_at_all(len(samples), config.zero_is, has_background=has_background))
    return samples


def _notices(config: TrainingConfig, hardware: Hardware, split: Split, work: Workload) -> Iterator[Notice]:
    """Say what is allowed but may not be what was meant."""
    for message in (*hardware.notices, split.notice, work.shelf and work.shelf.notice):
        if message:
            yield Notice(message)
    if not split.val:
        yield Notice("There is no validation: the best model is the one with the lowest training loss.")
    if work.plan.patch_zyx is None and config.batch_size > len(split.train):
        yield Notice(
            f"The batch size is {config.batch_size}, but {len(split.train)} volumes train; "
            f"each step takes {len(split.train)}."
        )
    if config.momentum > 0 and config.optimizer in (Optimizer.ADAM, Optimizer.ADAMW):
        yield Notice(f"{config.optimizer.words} does not use the momentum of {config.momentum:g}; it has its own.")
    for sample in (*split.train, *split.val):
        if sample.labels is not None and not has_foreground(sample.labels, config.zero_is):
            yield Notice(no_foreground(sample.name))


def _mean_finite(losses: Sequence[float]) -> float:
    finite = [loss for loss in losses if math.isfinite(loss)]
    return sum(finite) / len(finite) if finite else math.nan
