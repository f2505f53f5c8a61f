"""What would go wrong in a training, or come out worse than it could, said before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.checks import Finding, Severity
from napari_unet3d.data.dataset import read_pair
from napari_unet3d.data.ground_truth import background_value
from napari_unet3d.data.label_checks import check_label_values, check_roles
from napari_unet3d.data.pairs import Pair, Part, list_pairs, natural_order, pairing_notice, provenance_file
from napari_unet3d.data.sample import Sample, Shape3D, shape_words
from napari_unet3d.data.shared_content import shares_content
from napari_unet3d.data.split import (
    Block,
    Role,
    draw_validation,
    learnt_from_validation,
    split_samples,
    validation_without_foreground,
)
from napari_unet3d.data.statistics import VolumeFacts, survey
from napari_unet3d.data.volume_checks import (
    check_blocks,
    check_grey_values,
    check_leaks,
    check_voxel_sizes,
    corrected_test_volume,
    corrected_validation_volume,
)
from napari_unet3d.errors import UserError
from napari_unet3d.model.receptive_field import separating_gap
from napari_unet3d.training.background import beating, beating_each
from napari_unet3d.training.events import Preflight, PreflightEvent, TrainEvent, VolumeExamined, Working
from napari_unet3d.training.loop import train
from napari_unet3d.training.resume import begin
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
    VolumeExamined
        After each volume.
    Working
        While something takes long.
    Preflight
        All findings; always the last event. Nothing that a user can solve is raised.
    """
    findings: list[Finding] = []
    try:
        for event in _examine(data, config, run_folder, timed=timed):
            if isinstance(event, Finding):
                if event in findings:  # by content and by name
                    continue
                findings.append(event)
            yield event
    except UserError as error:
        findings.append(Finding.error(str(error)))
        yield findings[-1]
    yield Preflight(tuple(findings))


def _examine(
    data: Path | str | Sequence[Sample], config: TrainingConfig, run_folder: Path | str | None, *, timed: bool
) -> Iterator[Finding | Working | VolumeExamined]:
    sources = _sources(data)
    n_originals = sum(part is Part.TRAIN and not _is_corrected(source) for _, part, source in sources)
    if isinstance(data, Path | str) and (notice := pairing_notice(data)):
        yield Finding.warning(notice)
    volumes: list[VolumeFacts] = []
    corrected: list[Sample] = []
    only: Sample | None = None
    for number, (name, part, source) in enumerate(sources, start=1):
        try:
            sample, facts = yield from beating(partial(_survey, name, part, source), f"Checking '{name}'")
            volumes.append(facts)
            shown = beating(partial(_shown_in, sample, part, corrected), f"Checking '{name}'")
            findings = yield from shown
            yield from findings
            if part is Part.TRAIN and n_originals == 1 and sample.origin is None:
                only = sample
        except UserError as error:
            yield Finding.error(str(error))
        yield VolumeExamined(name, number, len(sources))
    train = [volume for volume in volumes if volume.part is Part.TRAIN]
    yield from check_label_values(train, config)
    yield from check_grey_values(volumes, config)
    yield from check_voxel_sizes(volumes, config)
    if train:
        parts = yield from beating(partial(_split, train, only, config), "Dividing the volumes")
        yield from _check_split(parts, config)
        yield from check_leaks(volumes, {volume.name for volume in parts.validates})
        yield from check_roles(parts.trains, parts.validates, config)
        checks = check_step(parts.trains, parts.validates, config, timed=timed)
        # What is timed has to run in the thread of the caller, which says how many cores it takes.
        yield from checks if timed else (yield from beating_each(checks, "Planning the steps"))
    if run_folder is not None:
        yield from check_disk(Path(run_folder), config)


_Source = tuple[str, Part, Pair | Sample]


def _sources(data: Path | str | Sequence[Sample]) -> list[_Source]:
    if not isinstance(data, Path | str):
        sources: list[_Source] = [(sample.name, Part.TRAIN, sample) for sample in data]
    else:
        sources = [
            (pair.name if pair.part is Part.TRAIN else f"{pair.part}/{pair.name}", pair.part, pair)
            for pair in list_pairs(data)
        ]
    if not any(part is Part.TRAIN for _, part, _ in sources):
        raise UserError("There is no volume to train on. Give at least one image with labels.")
    return sources


def _is_corrected(source: Pair | Sample) -> bool:
    """Tell without reading a volume whether it was corrected; such volumes do not count in the split."""
    if isinstance(source, Sample):
        return source.origin is not None
    return source.annotated is not None and provenance_file(source.annotated).exists()


def _survey(name: str, part: Part, source: Pair | Sample) -> tuple[Sample, VolumeFacts]:
    sample = source if isinstance(source, Sample) else read_pair(source)
    if sample.labels is None:
        raise UserError(f"The volume '{name}' has no labels; label it, or leave it out of training.")
    sample = sample if sample.name == name else replace(sample, name=name)
    return sample, survey(sample, part)


def _shown_in(sample: Sample, part: Part, corrected: list[Sample]) -> list[Finding]:
    """Find the corrected volumes so far that show a test volume; training volumes come first and are collected."""
    if part is Part.TRAIN:
        corrected += [sample] if sample.origin is not None else []
        return []
    return [
        Finding.warning(corrected_test_volume(each.name, sample.name))
        for each in corrected
        if shares_content(each, sample.image)
    ]


@dataclass(frozen=True, slots=True)
class _Parts:
    """What trains and what validates: volumes, or blocks of the only one."""

    trains: Sequence[VolumeFacts]
    validates: Sequence[VolumeFacts]
    blocks: tuple[Block, ...] = ()
    seen_zyx: Shape3D = (0, 0, 0)
    notice: str | None = None


def _split(train: Sequence[VolumeFacts], only: Sample | None, config: TrainingConfig) -> _Parts:
    originals = [volume for volume in train if volume.origin is None]
    corrected = [volume for volume in train if volume.origin is not None]
    if only is not None:
        seen = separating_gap(config, only.voxel_size_um)
        split = split_samples([only], config.val_fraction, config.seed, gap_zyx=seen, zero_is=config.zero_is)
        trains, validates = ([survey(sample) for sample in part] for part in (split.train, split.val))
        return _Parts([*trains, *corrected], validates, split.blocks, seen, split.notice)
    ordered = sorted(originals, key=lambda volume: (natural_order(volume.name), volume.name))
    foreground = [volume.n_above(background_value(config.zero_is)) > 0 for volume in ordered]
    chosen = draw_validation(foreground, config.val_fraction, config.seed) if ordered else ()
    return _Parts(
        trains=[volume for number, volume in enumerate(ordered) if number not in chosen] + corrected,
        validates=[volume for number, volume in enumerate(ordered) if number in chosen],
        notice=validation_without_foreground(ordered, foreground, chosen),
    )


def _check_split(parts: _Parts, config: TrainingConfig) -> Iterator[Finding]:
    if config.val_fraction == 0:
        yield Finding.info(
            "Nothing validates, so the model with the lowest training loss is kept, which may have learnt by heart. "
            "Set the validation fraction to 0.2 or so."
        )
    if parts.notice:
        yield Finding.warning(parts.notice)
    for source, corrected in learnt_from_validation(parts.trains, parts.validates, parts.blocks):
        yield Finding.warning(corrected_validation_volume(corrected, source))
    for block in parts.blocks:
        if block.role is Role.VALIDATION:
            start, stop = map(shape_words, (block.start_zyx, block.stop_zyx))
            yield Finding.info(
                f"'{block.name}' is the only volume, so a block of it validates, from voxel {start} to {stop}. It lies "
                "further from the block that trains than the network sees; a second volume would judge better."
            )
    yield from check_blocks(parts.blocks, parts.seen_zyx)


def train_checked(
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
    settled = begin(run_folder, config, resume=resume, start_from=start_from).config
    for event in preflight(data, settled, run_folder, timed=False):
        yield event
        if isinstance(event, Preflight) and not event.can_train:
            raise UserError("\n".join(finding.message for finding in event.of(Severity.ERROR)))
    yield from train(data, run_folder, config, overwrite=overwrite, resume=resume, start_from=start_from)
