"""What the user should know at the start of a run: combinations that are allowed but may not be what was meant."""

from __future__ import annotations

from collections.abc import Iterator

from napari_unet3d.configs import Augmentation, Optimizer, TrainingConfig
from napari_unet3d.data.ground_truth import has_foreground
from napari_unet3d.data.label_checks import no_foreground
from napari_unet3d.data.split import Split, find_validation_leaks
from napari_unet3d.data.volume_checks import corrected_validation_volume, no_channel_to_drop
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
    if not split.val:
        yield "There is no validation: the best model is the one with the lowest training loss."
    if config.patience and not (split.val and split.tells_best):
        yield "Without foreground in validation, early stopping is not possible: the run trains for all epochs."
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


def _volume_notices(config: TrainingConfig, split: Split) -> Iterator[str]:
    for source, corrected in find_validation_leaks(split.train, split.val, split.blocks):
        yield corrected_validation_volume(corrected, source)
    for sample in (*split.train, *split.val):
        if sample.labels is None or sample.provenance is not None:  # a correction may remove a false positive
            continue
        if not has_foreground(sample.labels, config.ignore_label, sample.label_mask):
            yield no_foreground(sample.name)
