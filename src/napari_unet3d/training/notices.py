"""What the user should know at the start of a run: combinations that are allowed but may not be what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from napari_unet3d.configs import Augmentation, BestMetric, Optimizer, TrainingConfig
from napari_unet3d.data.corrected_regions import find_unknown_intensities
from napari_unet3d.data.ground_truth import has_foreground
from napari_unet3d.data.label_checks import dice_means_nothing, no_foreground
from napari_unet3d.data.outliers import describe_outliers, named_outliers
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Split
from napari_unet3d.data.validation_leaks import find_validation_leaks
from napari_unet3d.data.volume_checks import corrected_validation_volume, no_channel_to_drop, unknown_intensities
from napari_unet3d.model.devices import ComputeDevice
from napari_unet3d.training.prepare import TrainingData


def setup_notices(config: TrainingConfig, device: ComputeDevice, data: TrainingData) -> Iterator[str]:
    """Yield one message per thing that deserves a look.

    Parameters
    ----------
    config : TrainingConfig
        The settings.
    device : ComputeDevice
        Device and precision.
    data : TrainingData
        The volumes, their split and the plan.
    """
    split = data.split
    for message in (*device.notices, split.notice, data.store and data.store.notice):
        if message:
            yield message
    yield from _validation_notices(config, data)
    if config.save_snapshots and split.val and config.val_augmentation is not Augmentation.NONE:
        yield "Validation volumes are augmented, so predictions do not align with the image: no snapshots are saved."
    if data.plan.patch_zyx is None and config.batch_size > len(split.train):
        n = len(split.train)
        yield (
            f"The batch size is {config.batch_size}, but there {'is' if n == 1 else 'are'} only {n} training "
            f"volume{'' if n == 1 else 's'}: each step uses {n}."
        )
    if config.momentum > 0 and config.optimizer in (Optimizer.ADAM, Optimizer.ADAMW):
        yield f"{config.optimizer.label} does not use the momentum of {config.momentum:g}; it has its own."
    if config.channel_dropout and data.plan.in_channels == 1:
        yield no_channel_to_drop(config)
    yield from _volume_notices(config, split)


def _validation_notices(config: TrainingConfig, data: TrainingData) -> Iterator[str]:
    split = data.split
    if not split.val:
        yield "There is no validation: the best model is the one with the lowest training loss."
    tells_best = split.tells_best and data.validation.has_foreground
    if split.val and split.tells_best and not tells_best:
        yield (
            "What is validated has no foreground, so the best epoch cannot be determined and the model of the last "
            "epoch is saved. Choose other validation volumes."
        )
    if split.val and data.validation.lacks_background:
        yield dice_means_nothing(config.task)
    if config.best_metric is BestMetric.F1 and not any(data.validation.instance_windows):
        yield "There are no objects to count in validation: the best model is the one with the lowest loss."
    if config.patience and not (split.val and tells_best):
        yield "Without foreground in validation, early stopping is not possible: the run trains for all epochs."


def _volume_notices(config: TrainingConfig, split: Split) -> Iterator[str]:
    for source, corrected in find_validation_leaks(split.train, split.val, split.blocks):
        yield corrected_validation_volume(corrected, source)
    for sample in (*split.train, *split.val):
        if sample.labels is None or sample.provenance is not None:  # a correction may remove a false positive
            continue
        if not has_foreground(sample.labels, config.ignore_label, sample.label_mask):
            yield no_foreground(sample.name)


def intensity_notices(samples: Sequence[Sample], config: TrainingConfig) -> Iterator[str]:
    """Yield a message per volume with outliers, and per corrected volume that is normalised by its own intensities.

    Parameters
    ----------
    samples : sequence of Sample
        All volumes, before they are split.
    config : TrainingConfig
        Normalisation and percentiles.
    """
    for sample in samples:
        known = sample.channels, sample.channel_names, config.percentiles, sample.intensities
        for name, outliers in named_outliers(sample.name, *known):
            yield describe_outliers(name, outliers, config.normalisation)
    for source, corrected in find_unknown_intensities(samples):
        yield unknown_intensities(corrected, source)
