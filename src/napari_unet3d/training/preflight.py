"""Checks before a training: what would make it impossible, or its result worse than it could be."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.channel_choice import ChannelChoice
from napari_unet3d.data.issues import Issue, Severity
from napari_unet3d.data.label_checks import check_label_values, check_roles
from napari_unet3d.data.memmap import MemmapStore
from napari_unet3d.data.pairs import Pair, Subset, folder_notices, list_pairs, provenance_file
from napari_unet3d.data.sample import Sample, check_finite
from napari_unet3d.data.series import read_time_points
from napari_unet3d.data.shared_content import shares_content
from napari_unet3d.data.statistics import VolumeStatistics, compute_statistics
from napari_unet3d.data.time_points import group_series, split_name, time_point_name
from napari_unet3d.data.volume_checks import (
    check_channel_settings,
    check_intensities,
    check_leaks,
    check_voxel_sizes,
    corrected_test_volume,
)
from napari_unet3d.data.voxel_size import with_voxel_size
from napari_unet3d.errors import UserError
from napari_unet3d.model.torchrun import process_number
from napari_unet3d.paths import exists
from napari_unet3d.training.background import iterate_in_background, run_in_background
from napari_unet3d.training.events import Busy, Preflight, PreflightEvent, TrainEvent, VolumeChecked
from napari_unet3d.training.follower import follow
from napari_unet3d.training.loop import OpenRun, open_run, train_on_samples
from napari_unet3d.training.samples import describe_source
from napari_unet3d.training.save_schedule import SaveRequests
from napari_unet3d.training.split_checks import check_split, predict_split
from napari_unet3d.training.step_checks import check_disk, check_step
from napari_unet3d.training.throughput import ActiveTimer
from napari_unet3d.training.tracking.track import track
from napari_unet3d.training.tracking.tracker import check_trackers


def check_then_train(  # noqa: PLR0913 - those of `train`
    data: Path | Sequence[Sample],
    run_folder: Path,
    config: TrainingConfig | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    start_from: Path | None = None,
    save_requests: SaveRequests | None = None,
) -> Iterator[PreflightEvent | TrainEvent]:
    """Check data and settings as `preflight` does, then train; each volume is read once for both.

    Errors are reported before anything is written to the run folder.

    Parameters
    ----------
    data, run_folder, config, overwrite, resume, start_from, save_requests
        As for `train`.

    Yields
    ------
    PreflightEvent, TrainEvent
        Those of `preflight` without timing a step, then those of `train`.

    Raises
    ------
    UserError
        With all errors that `preflight` found, one per line, or as `train`.
    """
    timer = ActiveTimer()

    def events() -> Generator[PreflightEvent | TrainEvent]:
        if (number := process_number()) is not None and number.follows:
            follow(number, data, run_folder, config, resume=resume, start_from=start_from)
            return
        with open_run(run_folder, config, overwrite=overwrite, resume=resume, start_from=start_from) as run:
            samples = yield from _read_and_check(data, run)
            events = train_on_samples(samples, run, timer, describe_source(data), save_requests)
            yield from track(events, run.start.config.track, is_resumed=run.start.state is not None)

    return timer.measure(events())


def _read_and_check(data: Path | Sequence[Sample], run: OpenRun) -> Generator[PreflightEvent, None, Sequence[Sample]]:
    """Check as `preflight` does, and return the training volumes that were read for it."""
    samples: list[Sample] = []
    choice = run.start.channel_choice()
    if not isinstance(data, Path | str):
        data, choice = [choice.apply(sample) for sample in data], ChannelChoice()

    def keep(sample: Sample) -> Sample:
        samples.append(run.store.store_sample(sample))
        return samples[-1]

    checks = _preflight(data, run.start.config, run.folder.path, choice, run.store, timed=False, keep=keep)
    for event in checks:
        yield event
        if isinstance(event, Preflight) and not event.can_train:
            raise UserError("\n".join(issue.message for issue in event.of(Severity.ERROR)))
    return samples if isinstance(data, Path | str) else data


def preflight(
    data: Path | str | Sequence[Sample],
    config: TrainingConfig,
    run_folder: Path | str | None = None,
    *,
    timed: bool = True,
) -> Iterator[PreflightEvent]:
    """Check data, settings, memory and disk space for a training, with one volume in memory at a time.

    Parameters
    ----------
    data : path of a dataset folder, or sequence of Sample
        As for `train`. The test volumes of a folder are read as well, to find what they share with the training ones.
    config : TrainingConfig
        The settings of the training.
    run_folder : path, optional
        Where the run would be written; without it, disk space is not checked.
    timed : bool
        Make one training step on random numbers, to measure memory and time.

    Yields
    ------
    Issue
        An error prevents training, a warning should be looked at, an info is good to know. Each says what to do.
    VolumeChecked
        After each volume.
    Busy
        During long operations.
    Preflight
        All issues; always the last event. Nothing that a user can solve is raised.
    """
    check_trackers(config.track)
    with MemmapStore(Path(run_folder or ".")) as store:  # which keeps nothing, but opens what does not fit into memory
        yield from _preflight(data, config, run_folder, ChannelChoice(config.channels), store, timed=timed)


def _preflight(  # noqa: PLR0913 - what `preflight` and `check_then_train` have
    data: Path | str | Sequence[Sample],
    config: TrainingConfig,
    run_folder: Path | str | None,
    choice: ChannelChoice,
    store: MemmapStore,
    *,
    timed: bool,
    keep: Callable[[Sample], Sample] = lambda sample: sample,
) -> Iterator[PreflightEvent]:
    """Check as `preflight` does; `keep` gets each training volume of a folder and may return a memory-mapped one."""
    issues: list[Issue] = []
    try:
        for event in _check(data, config, run_folder, choice, store, timed=timed, keep=keep):
            if isinstance(event, Issue):
                if event in issues:  # found by content and by name
                    continue
                issues.append(event)
            yield event
    except UserError as error:
        issues.append(Issue.error(str(error)))
        yield issues[-1]
    yield Preflight(tuple(issues))


def _check(  # noqa: PLR0913 - as `_preflight`
    data: Path | str | Sequence[Sample],
    config: TrainingConfig,
    run_folder: Path | str | None,
    choice: ChannelChoice,
    store: MemmapStore,
    *,
    timed: bool,
    keep: Callable[[Sample], Sample],
) -> Iterator[Issue | Busy | VolumeChecked]:
    if isinstance(data, Path | str):
        yield from map(Issue.warning, folder_notices(data))
    read = partial(_read, keep=keep, config=config, choice=choice, store=store)
    volumes, only = yield from _read_and_describe(_sources(data), read)
    if config.split_time_points and len(only) > 1:
        only = []
    train = [volume for volume in volumes if volume.subset is Subset.TRAIN]
    yield from check_label_values(train, config)
    yield from check_intensities(volumes, config)
    yield from check_voxel_sizes(volumes, config)
    yield from check_channel_settings(train, config)
    if train:
        split = yield from run_in_background(partial(predict_split, train, only, config), "Splitting the volumes")
        yield from check_split(split, config)
        yield from check_leaks(volumes, {volume.name for volume in split.val})
        yield from check_roles(split.train, split.val, config)
        checks = check_step(split.train, split.val, config, timed=timed)
        # A timed step runs in the thread of the caller, which determines the number of CPU threads.
        yield from checks if timed else (yield from iterate_in_background(checks, "Planning the steps"))
    if run_folder is not None:
        yield from check_disk(Path(run_folder), config)


@dataclass(frozen=True, slots=True)
class _Source:
    """A volume that is checked, in memory or as files; test volumes are named ``test/NAME``."""

    name: str
    subset: Subset
    volume: Pair | Sample

    @property
    def is_corrected(self) -> bool:
        """Whether it is a corrected volume, which the split does not count; known without reading the volume."""
        if isinstance(self.volume, Sample):
            return self.volume.provenance is not None
        return self.volume.label_mask is not None and exists(provenance_file(self.volume.label_mask))


def _sources(data: Path | str | Sequence[Sample]) -> list[_Source]:
    if not isinstance(data, Path | str):
        sources = [_Source(sample.name, Subset.TRAIN, sample) for sample in data]
    else:
        sources = [
            _Source(pair.name if pair.subset is Subset.TRAIN else f"{pair.subset}/{pair.name}", pair.subset, pair)
            for pair in list_pairs(data)
        ]
    if not any(source.subset is Subset.TRAIN for source in sources):
        raise UserError("There is no volume to train on. Add at least one image with labels.")
    return sources


def _read_and_describe(
    sources: Sequence[_Source], read: Callable[[_Source], Iterator[tuple[Sample, VolumeStatistics]]]
) -> Generator[Issue | Busy | VolumeChecked, None, tuple[list[VolumeStatistics], list[Sample]]]:
    """Read the volumes one by one; return their statistics, and the only volume or series itself, if it is to split."""
    originals = [source.name for source in sources if source.subset is Subset.TRAIN and not source.is_corrected]
    is_single = len(group_series(originals)) == 1
    volumes: list[VolumeStatistics] = []
    corrected: list[Sample] = []
    only: list[Sample] = []
    for number, source in enumerate(sources, start=1):
        try:
            message, found = f"Checking '{source.name}'", read(source)
            while (each := (yield from run_in_background(partial(next, found, None), message))) is not None:
                sample, statistics = each
                volumes.append(statistics)
                yield from map(Issue.warning, sample.notices)
                if source.subset is Subset.TRAIN:  # these come before the test volumes
                    corrected += [sample] if sample.provenance is not None else []
                    only += [sample] if is_single and sample.provenance is None else []
                else:
                    yield from (yield from run_in_background(partial(_corrections_of, sample, corrected), message))
        except UserError as error:
            yield Issue.error(str(error))
        yield VolumeChecked(source.name, number, len(sources))
    return volumes, only


def _read(
    source: _Source, keep: Callable[[Sample], Sample], config: TrainingConfig, choice: ChannelChoice, store: MemmapStore
) -> Iterator[tuple[Sample, VolumeStatistics]]:
    """Read the volumes of a source: one, or one for each time point."""
    is_pair = isinstance(source.volume, Pair)
    found = (
        read_time_points(source.volume, config.fourth_axis, store)
        if isinstance(source.volume, Pair)
        else [source.volume]
    )
    for each in found:
        sample = with_voxel_size(choice.apply(each), config.voxel_size_um)
        if sample.labels is None:
            raise UserError(f"The volume '{source.name}' has no labels; label it, or leave it out of training.")
        _, time = split_name(sample.name)
        is_of_series = is_pair and time is not None and split_name(source.name)[1] is None
        name = time_point_name(source.name, time) if is_of_series and time is not None else source.name
        named = sample if sample.name == name else replace(sample, name=name)
        check_finite(named)
        statistics = compute_statistics(named, source.subset, config.percentiles)
        yield keep(sample) if is_pair and source.subset is Subset.TRAIN else named, statistics


def _corrections_of(test: Sample, corrected: Sequence[Sample]) -> list[Issue]:
    """Warn of corrected training volumes that show the content of a test volume."""
    return [
        Issue.warning(corrected_test_volume(sample.name, test.name))
        for sample in corrected
        if shares_content(sample, test.image)
    ]
