"""The split that a training will make, from the statistics of its volumes, and checks of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.draw import LabelContent, draw_time_points, name_validation, validation_without_foreground
from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.issues import Issue, Remedy
from napari_unet3d.data.sample import Sample, Shape3D, format_shape
from napari_unet3d.data.split import Block, Role
from napari_unet3d.data.statistics import VolumeStatistics, compute_statistics, total_label_counts
from napari_unet3d.data.time_points import series_of, split_name
from napari_unet3d.data.validation_leaks import find_validation_leaks
from napari_unet3d.data.volume_checks import check_blocks, corrected_validation_volume
from napari_unet3d.model.receptive_field import separating_gap
from napari_unet3d.training.samples import split_by_settings


@dataclass(frozen=True, slots=True)
class PredictedSplit:
    """Statistics of the training and the validation volumes, or of two blocks of the only volume."""

    train: Sequence[VolumeStatistics]
    val: Sequence[VolumeStatistics]
    blocks: tuple[Block, ...] = ()
    gap_zyx: Shape3D = (0, 0, 0)
    notice: str | None = None


def predict_split(train: Sequence[VolumeStatistics], only: Sequence[Sample], config: TrainingConfig) -> PredictedSplit:
    """Split as the training will; `only` has the only volume, or all time points of the only series."""
    originals = [volume for volume in train if volume.provenance is None]
    corrected = [volume for volume in train if volume.provenance is not None]
    if only and not config.val_volumes:
        gap = separating_gap(config, only[0].geometry)
        split = split_by_settings(only, config, gap)
        training, validation = ([compute_statistics(sample) for sample in part] for part in (split.train, split.val))
        return PredictedSplit([*training, *corrected], validation, split.blocks, gap, split.notice)
    ordered = sorted(originals, key=lambda volume: (natural_order(volume.name), volume.name))
    contents = [LabelContent.of(volume.label_counts, config.task, config.ignore_label) for volume in ordered]
    chosen: frozenset[int] = frozenset()
    if config.val_volumes:
        names = [volume.name for volume in corrected]
        chosen = name_validation(ordered, config.val_volumes, names, split_time_points=config.split_time_points)
    elif ordered:
        names, seed = [volume.name for volume in ordered], config.seed
        chosen = draw_time_points(
            names, contents, config.val_fraction, seed, split_time_points=config.split_time_points
        )
    return PredictedSplit(
        train=[volume for number, volume in enumerate(ordered) if number not in chosen] + corrected,
        val=[volume for number, volume in enumerate(ordered) if number in chosen],
        notice=validation_without_foreground(ordered, contents, chosen),
    )


def _unseen_classes(split: PredictedSplit, config: TrainingConfig) -> list[int]:
    if config.task is not Task.SEMANTIC or not split.val:
        return []
    trained, validated = (
        LabelContent.of(total_label_counts(part), config.task, config.ignore_label).classes
        for part in (split.train, split.val)
    )
    return sorted(trained - validated)


def check_split(split: PredictedSplit, config: TrainingConfig) -> Iterator[Issue]:
    """Report what validates, and what makes its scores too optimistic."""
    if config.val_fraction == 0 and not config.val_volumes:
        yield Issue.info(
            "There is no validation, so the model with the lowest training loss is kept, which may be overfitted. "
            "Set the validation fraction to 0.2 or so.",
            Remedy.of(val_fraction=0.2),
        )
    if split.notice:
        yield Issue.warning(split.notice)
    if unseen := _unseen_classes(split, config):
        yield Issue.warning(
            f"The label values {', '.join(map(str, unseen))} do not occur in validation volumes, so validation does "
            "not show how well they are segmented. Label them in more volumes, or name other validation volumes."
        )
    for source, corrected in find_validation_leaks(split.train, split.val, split.blocks):
        yield Issue.warning(corrected_validation_volume(corrected, source))
    yield from _check_series(split, config)
    for number, block in enumerate(block for block in split.blocks if block.role is Role.VALIDATION):
        if number == 0:  # those of other time points are at the same place
            series, time = split_name(block.name)
            only = (
                f"'{series}' is the only series, so a block of each time point"
                if time is not None
                else (f"'{block.name}' is the only volume, so a block of it")
            )
            start, stop = map(format_shape, (block.start_zyx, block.stop_zyx))
            yield Issue.info(
                f"{only} is used for validation, from voxel {start} to "
                f"{stop}. It is separated from the training block by at least the receptive field of the network; a "
                "second volume would give a better estimate."
            )
    yield from check_blocks(split.blocks, split.gap_zyx)


def _check_series(split: PredictedSplit, config: TrainingConfig) -> Iterator[Issue]:
    """Find series with time points on both sides; blocks of a series are separated in space."""
    if split.blocks:
        return
    trained = {series_of(volume.name): volume.name for volume in split.train if volume.provenance is None}
    shared = {series_of(volume.name): volume.name for volume in split.val if series_of(volume.name) in trained}
    for series, name in shared.items():
        yield Issue.warning(
            f"Time points of the series '{series}' are used for both training and validation, such as "
            f"'{trained[series]}' and '{name}'. Neighbours in time are nearly the same volume, so validation scores "
            "are too good. Turn off split time points, and add another series.",
            *([Remedy.of(split_time_points=False)] if config.split_time_points else []),
        )
