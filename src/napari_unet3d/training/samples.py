"""The volumes of a run: read, divided into training and validation, and with their corrections applied."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.corrected_regions import add_intensities, apply_corrections
from napari_unet3d.data.dataset import Subset, iter_samples
from napari_unet3d.data.ground_truth import has_foreground
from napari_unet3d.data.label_checks import no_foreground_at_all
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.sample import Sample, Shape3D, check_finite
from napari_unet3d.data.split import Split, split_samples
from napari_unet3d.errors import UserError
from napari_unet3d.model.receptive_field import separating_gap
from napari_unet3d.training.background import iterate_in_background, run_in_background
from napari_unet3d.training.events import Busy
from napari_unet3d.training.resume import RunStart


def describe_source(data: Path | str | Sequence[Sample]) -> str:
    """Return the absolute path of a dataset folder, or ``"layers"`` for volumes in memory."""
    return str(Path(data).absolute()) if isinstance(data, Path | str) else "layers"


def read_volumes(
    data: Path | str | Sequence[Sample], store: MemmapStore, start: RunStart
) -> Generator[Busy, None, list[Sample]]:
    """Return the volumes of a dataset folder with the chosen channels.

    Those that do not fit into memory are read in parts from their files, or else memory-mapped from temporary ones.

    Volumes that are passed as a sequence stay in memory.

    Yields
    ------
    Busy
        During reading.

    Raises
    ------
    UserError
        If there is no volume, or one cannot be read or has other channels.
    """
    choice = start.channel_choice()
    if not isinstance(data, Path | str):
        return [choice.apply(sample) for sample in data]
    found = iter_samples(Path(data), Subset.TRAIN, fourth_axis=start.config.fourth_axis, opens=store)
    samples = (store.store_sample(choice.apply(sample)) for sample in found)
    return (yield from iterate_in_background(samples, "Reading the volumes"))


def split_volumes(samples: Sequence[Sample], config: TrainingConfig) -> Generator[Busy, None, Split]:
    """Divide volumes into training and validation, and apply corrections.

    Corrected parts of a volume are training volumes of their own; the original does not train on these parts.

    Parameters
    ----------
    samples : sequence of Sample
        All volumes.
    config : TrainingConfig
        Validation fraction, seed, network, and what label values mean.

    Yields
    ------
    Busy
        While it takes long.

    Raises
    ------
    UserError
        If there is no volume, or none has foreground.
    """
    divide = partial(_split_volumes, samples, config)
    return (yield from run_in_background(divide, "Splitting the volumes into training and validation"))


def _split_volumes(samples: Sequence[Sample], config: TrainingConfig) -> Split:
    for sample in samples:
        check_finite(sample)
    _check_foreground(samples, config)
    samples = add_intensities(samples)
    # Only a single volume, besides corrected ones, is cut into two blocks: so far apart that no output of the network
    # depends on both of them. For several volumes the gap is not used, so that their voxel sizes may differ.
    cut = next((sample for sample in samples if sample.provenance is None), samples[0])
    split = split_by_settings(samples, config, separating_gap(config, cut.geometry))
    return apply_corrections(split, samples)


def split_by_settings(samples: Sequence[Sample], config: TrainingConfig, gap_zyx: Shape3D) -> Split:
    """Split samples with the settings of a run; see `split_samples`."""
    return split_samples(
        samples,
        config.val_fraction,
        config.seed,
        gap_zyx=gap_zyx,
        ignore_label=config.ignore_label,
        task=config.task,
        val_volumes=config.val_volumes,
        split_time_points=config.split_time_points,
    )


def _check_foreground(samples: Sequence[Sample], config: TrainingConfig) -> None:
    if not samples:
        raise UserError("There is no volume to train on. Add at least one image with labels.")
    labelled = [(sample.labels, sample.label_mask) for sample in samples if sample.labels is not None]
    if not any(has_foreground(labels, config.ignore_label, mask) for labels, mask in labelled):
        # Without foreground, a label can be neither 0 nor the ignore label only if 0 is ignored: 1 is background then.
        has_background = config.ignore_label == 0 and any(labels.any() for labels, _ in labelled)
        raise UserError(no_foreground_at_all(len(samples), config.ignore_label, has_background=has_background))
