"""What would go wrong in a training, or come out worse than it could, said before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.checks import Issue, Severity
from napari_unet3d.data.dataset import read_pair
from napari_unet3d.data.label_checks import check_label_values, check_roles
from napari_unet3d.data.pairs import Pair, Subset, list_pairs, natural_order, pairing_notice, provenance_file
from napari_unet3d.data.sample import Sample, Shape3D, format_shape
from napari_unet3d.data.shared_content import shares_content
from napari_unet3d.data.split import (
    Block,
    Role,
    draw_validation,
    find_validation_leaks,
    split_samples,
    validation_without_foreground,
)
from napari_unet3d.data.statistics import VolumeStatistics, compute_statistics
from napari_unet3d.data.volume_checks import (
    check_blocks,
    check_intensities,
    check_leaks,
    check_voxel_sizes,
    corrected_test_volume,
    corrected_validation_volume,
)
from napari_unet3d.errors import UserError
from napari_unet3d.model.receptive_field import separating_gap
from napari_unet3d.training.background import iterate_in_background, run_in_background
from napari_unet3d.training.events import Busy, Preflight, PreflightEvent, TrainEvent, VolumeChecked
from napari_unet3d.training.loop import train
from napari_unet3d.training.resume import resolve_start
from napari_unet3d.training.step_checks import check_disk, check_step


def preflight(
    data: Path | str | Sequence[Sample],
    config: TrainingConfig,
    run_folder: Path | str | None = None,
    *,
    timed: bool = True,
) -> Iterator[PreflightEvent]:
    """Check data, settings, memory and disk for a training, reading one volume at a time.

    Parameters
    ----------
    data : path of a dataset folder, or sequence of Sample
        What `train` would be given; of a folder the test set is read, too, to find what it shares with training.
    config : TrainingConfig
        The settings of the training.
    run_folder : path, optional
        Where the run would be written; without it the disk is not looked at.
    timed : bool
        Make one real step on random numbers, to tell memory and time.

    Yields
    ------
    Finding
        An error makes training impossible, a warning deserves a look, an info is good to know; each says what to do.
    VolumeChecked
        After each volume.
    Busy
        While something takes long.
    Preflight
        All findings; always the last event. Nothing that a user can solve is raised.
    """
    findings: list[Issue] = []
    try:
        for event in _examine(data, config, run_folder, timed=timed):
            if isinstance(event, Issue):
                if event in findings:  # by content and by name
                    continue
                findings.append(event)
            yield event
    except UserError as error:
        findings.append(Issue.error(str(error)))
        yield findings[-1]
    yield Preflight(tuple(findings))


def _examine(
    data: Path | str | Sequence[Sample], config: TrainingConfig, run_folder: Path | str | None, *, timed: bool
) -> Iterator[Issue | Busy | VolumeChecked]:
    sources = _sources(data)
    n_originals = sum(part is Subset.TRAIN and not _is_corrected(source) for _, part, source in sources)
    if isinstance(data, Path | str) and (notice := pairing_notice(data)):
        yield Issue.warning(notice)
    volumes: list[VolumeStatistics] = []
    corrected: list[Sample] = []
    only: Sample | None = None
    for number, (name, part, source) in enumerate(sources, start=1):
        try:
            sample, facts = yield from run_in_background(partial(_survey, name, part, source), f"Checking '{name}'")
            volumes.append(facts)
            shown = run_in_background(partial(_shown_in, sample, part, corrected), f"Checking '{name}'")
            findings = yield from shown
            yield from findings
            if part is Subset.TRAIN and n_originals == 1 and sample.provenance is None:
                only = sample
        except UserError as error:
            yield Issue.error(str(error))
        yield VolumeChecked(name, number, len(sources))
    train = [volume for volume in volumes if volume.subset is Subset.TRAIN]
    yield from check_label_values(train, config)
    yield from check_intensities(volumes, config)
    yield from check_voxel_sizes(volumes, config)
    if train:
        parts = yield from run_in_background(partial(_split, train, only, config), "Dividing the volumes")
        yield from _check_split(parts, config)
        yield from check_leaks(volumes, {volume.name for volume in parts.validates})
        yield from check_roles(parts.trains, parts.validates, config)
        checks = check_step(parts.trains, parts.validates, config, timed=timed)
        # What is timed has to run in the thread of the caller, which says how many cores it takes.
        yield from checks if timed else (yield from iterate_in_background(checks, "Planning the steps"))
    if run_folder is not None:
        yield from check_disk(Path(run_folder), config)


_Source = tuple[str, Subset, Pair | Sample]


def _sources(data: Path | str | Sequence[Sample]) -> list[_Source]:
    if not isinstance(data, Path | str):
        sources: list[_Source] = [(sample.name, Subset.TRAIN, sample) for sample in data]
    else:
        sources = [
            (pair.name if pair.subset is Subset.TRAIN else f"{pair.subset}/{pair.name}", pair.subset, pair)
            for pair in list_pairs(data)
        ]
    if not any(part is Subset.TRAIN for _, part, _ in sources):
        raise UserError("There is no volume to train on. Give at least one image with labels.")
    return sources


def _is_corrected(source: Pair | Sample) -> bool:
    """Tell without reading a volume whether it was corrected; such volumes do not count in the split."""
    if isinstance(source, Sample):
        return source.provenance is not None
    return source.label_mask is not None and provenance_file(source.label_mask).exists()


def _survey(name: str, part: Subset, source: Pair | Sample) -> tuple[Sample, VolumeStatistics]:
    sample = source if isinstance(source, Sample) else read_pair(source)
    if sample.labels is None:
        raise UserError(f"The volume '{name}' has no labels; label it, or leave it out of training.")
    sample = sample if sample.name == name else replace(sample, name=name)
    return sample, compute_statistics(sample, part)


def _shown_in(sample: Sample, part: Subset, corrected: list[Sample]) -> list[Issue]:
    """Find the corrected volumes so far that show a test volume; training volumes come first and are collected."""
    if part is Subset.TRAIN:
        corrected += [sample] if sample.provenance is not None else []
        return []
    return [
        Issue.warning(corrected_test_volume(each.name, sample.name))
        for each in corrected
        if shares_content(each, sample.image)
    ]


@dataclass(frozen=True, slots=True)
class _Parts:
    """What trains and what validates: volumes, or blocks of the only one."""

    trains: Sequence[VolumeStatistics]
    validates: Sequence[VolumeStatistics]
    blocks: tuple[Block, ...] = ()
    seen_zyx: Shape3D = (0, 0, 0)
    notice: str | None = None


def _split(train: Sequence[VolumeStatistics], only: Sample | None, config: TrainingConfig) -> _Parts:
    originals = [volume for volume in train if volume.provenance is None]
    corrected = [volume for volume in train if volume.provenance is not None]
    if only is not None:
        seen = separating_gap(config, only.voxel_size_um)
        split = split_samples([only], config.val_fraction, config.seed, gap_zyx=seen, ignore_label=config.ignore_label)
        trains, validates = ([compute_statistics(sample) for sample in part] for part in (split.train, split.val))
        return _Parts([*trains, *corrected], validates, split.blocks, seen, split.notice)
    ordered = sorted(originals, key=lambda volume: (natural_order(volume.name), volume.name))
    foreground = [volume.n_foreground(config.ignore_label) > 0 for volume in ordered]
    chosen = draw_validation(foreground, config.val_fraction, config.seed) if ordered else ()
    return _Parts(
        trains=[volume for number, volume in enumerate(ordered) if number not in chosen] + corrected,
        validates=[volume for number, volume in enumerate(ordered) if number in chosen],
        notice=validation_without_foreground(ordered, foreground, chosen),
    )


def _check_split(parts: _Parts, config: TrainingConfig) -> Iterator[Issue]:
    if config.val_fraction == 0:
        yield Issue.info(
            "Nothing validates, so the model with the lowest training loss is kept, which may have learnt by heart. "
            "Set the validation fraction to 0.2 or so."
        )
    if parts.notice:
        yield Issue.warning(parts.notice)
    for source, corrected in find_validation_leaks(parts.trains, parts.validates, parts.blocks):
        yield Issue.warning(corrected_validation_volume(corrected, source))
    for block in parts.blocks:
        if block.role is Role.VALIDATION:
            start, stop = map(format_shape, (block.start_zyx, block.stop_zyx))
            yield Issue.info(
                f"'{block.name}' is the only volume, so a block of it validates, from voxel {start} to {stop}. It lies "
                "further from the block that trains than the network sees; a second volume would judge better."
            )
    yield from check_blocks(parts.blocks, parts.seen_zyx)


def check_then_train(
    data: Path | Sequence[Sample],
    run_folder: Path,
    config: TrainingConfig | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    start_from: Path | None = None,
) -> Iterator[PreflightEvent | TrainEvent]:
    """Check the data, then train; what makes training impossible is said before anything is written.

    Parameters
    ----------
    data, run_folder, config, overwrite, resume, start_from
        As those of `train`.

    Yields
    ------
    PreflightEvent, TrainEvent
        Those of the check without its timing, then those of `train`.

    Raises
    ------
    UserError
        With all errors of the check, a line each, or as `train`.
    """
    settled = resolve_start(run_folder, config, resume=resume, start_from=start_from).config
    for event in preflight(data, settled, run_folder, timed=False):
        yield event
        if isinstance(event, Preflight) and not event.can_train:
            raise UserError("\n".join(finding.message for finding in event.of(Severity.ERROR)))
    yield from train(data, run_folder, config, overwrite=overwrite, resume=resume, start_from=start_from)
