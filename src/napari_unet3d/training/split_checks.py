"""The split that a training will make, from the statistics of its volumes, and checks of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.checks import Issue
from napari_unet3d.data.draw import LabelContent, draw_validation, name_validation, validation_without_foreground
from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.sample import Sample, Shape3D, format_shape
from napari_unet3d.data.split import Block, Role, find_validation_leaks, split_samples
from napari_unet3d.data.statistics import VolumeStatistics, compute_statistics, total_label_counts
from napari_unet3d.data.volume_checks import check_blocks, corrected_validation_volume
from napari_unet3d.model.receptive_field import separating_gap


@dataclass(frozen=True, slots=True)
class PredictedSplit:
    """Statistics of the training and the validation volumes, or of two blocks of the only volume."""

    train: Sequence[VolumeStatistics]
    val: Sequence[VolumeStatistics]
    blocks: tuple[Block, ...] = ()
    gap_zyx: Shape3D = (0, 0, 0)
    notice: str | None = None


def predict_split(train: Sequence[VolumeStatistics], only: Sample | None, config: TrainingConfig) -> PredictedSplit:
    """Split as the training will."""
    originals = [volume for volume in train if volume.provenance is None]
    corrected = [volume for volume in train if volume.provenance is not None]
    if only is not None and not config.val_volumes:
        gap = separating_gap(config, only.geometry)
        split = split_samples(
            [only],
            config.val_fraction,
            config.seed,
            gap_zyx=gap,
            ignore_label=config.ignore_label,
            task=config.task,
        )
        training, validation = ([compute_statistics(sample) for sample in part] for part in (split.train, split.val))
        return PredictedSplit([*training, *corrected], validation, split.blocks, gap, split.notice)
    ordered = sorted(originals, key=lambda volume: (natural_order(volume.name), volume.name))
    contents = [LabelContent.of(volume.label_counts, config.task, config.ignore_label) for volume in ordered]
    chosen: frozenset[int] = frozenset()
    if config.val_volumes:
        chosen = name_validation(ordered, config.val_volumes, [volume.name for volume in corrected])
    elif ordered:
        chosen = draw_validation(contents, config.val_fraction, config.seed)
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
            "Set the validation fraction to 0.2 or so."
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
    for block in split.blocks:
        if block.role is Role.VALIDATION:
            start, stop = map(format_shape, (block.start_zyx, block.stop_zyx))
            yield Issue.info(
                f"'{block.name}' is the only volume, so a block of it is used for validation, from voxel {start} to "
                f"{stop}. It is separated from the training block by at least the receptive field of the network; a "
                "second volume would give a better estimate."
            )
    yield from check_blocks(split.blocks, split.gap_zyx)
