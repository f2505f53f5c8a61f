"""Checks of a dataset before training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import SpacingMode, TrainingConfig
from napari_unet3d.data.channels import match_channels
from napari_unet3d.data.dataset_voxel_size import read_given_voxel_size
from napari_unet3d.data.geometry import Geometry, VoxelSize, describe_voxel_size, similar_voxel_sizes
from napari_unet3d.data.issues import Issue, Remedy
from napari_unet3d.data.label_fit import every_nth_voxel, label_doubts
from napari_unet3d.data.label_reading import read_labels_like
from napari_unet3d.data.label_values import read_mask, to_label_dtype
from napari_unet3d.data.outliers import describe_outliers, named_outliers
from napari_unet3d.data.pairs import (
    Pair,
    Subset,
    folder_notices,
    list_pairs,
    missing_partner,
    provenance_file,
)
from napari_unet3d.data.provenance import read_provenance
from napari_unet3d.data.sample import Sample, Shape3D, check_labels, check_mask
from napari_unet3d.data.series import time_points_of
from napari_unet3d.data.statistics import fingerprint
from napari_unet3d.data.time_points import time_point_name
from napari_unet3d.data.volumes import read_channels
from napari_unet3d.data.voxel_size import complete_voxel_size
from napari_unet3d.errors import UserError


@dataclass(frozen=True, slots=True)
class PairChecked:
    """One more pair was read; its issues came before."""

    pair: Pair
    n_checked: int
    n_pairs: int


CheckEvent = Issue | PairChecked


@dataclass(frozen=True, slots=True)
class _PairInfo:
    """What is kept of a pair, so that only one volume is in memory at a time."""

    subset: Subset
    name: str
    digest: bytes
    geometry: Geometry
    channel_names: tuple[str, ...]
    has_foreground: bool
    is_corrected: bool


def check_dataset(folder: Path | str) -> Iterator[Issue]:
    """Check a dataset and yield its issues; see `check_events`."""
    for event in check_events(folder):
        if isinstance(event, Issue):
            yield event


def check_events(folder: Path | str) -> Iterator[CheckEvent]:
    """Check a dataset, reading one volume at a time.

    Parameters
    ----------
    folder : Path or str
        The dataset.

    Yields
    ------
    Issue or PairChecked
        Issues as they are found, and an event after each pair.

    Raises
    ------
    UserError
        If the folder is not a dataset.
    """
    folder = Path(folder)
    pairs, given = list_pairs(folder), read_given_voxel_size(folder)
    yield from _check_names(folder, pairs)
    infos: list[_PairInfo] = []
    for n_checked, pair in enumerate(pairs, start=1):
        try:
            volumes = time_points_of(pair)
        except UserError as error:
            yield Issue.error(str(error))
            volumes = []
        for volume in volumes:
            issues, info = _check_pair(volume, given)
            yield from issues
            infos += info
        yield PairChecked(pair, n_checked, len(pairs))
    yield from _check_foreground(infos)
    yield from _check_copies(infos)
    yield from _check_voxel_sizes(infos)
    yield from _check_channels(infos)


def _check_names(folder: Path, pairs: Sequence[Pair]) -> Iterator[Issue]:
    for subset, issue in ((Subset.TRAIN, Issue.error), (Subset.TEST, Issue.warning)):
        if not any(pair.subset is subset for pair in pairs):
            yield issue(f"{subset} has no volumes; add images to {subset}/images and labels to {subset}/labels.")
    yield from map(Issue.warning, folder_notices(folder))


def _check_pair(pair: Pair, given: VoxelSize | None) -> tuple[list[Issue], list[_PairInfo]]:
    if pair.image is None or pair.labels is None:
        return [Issue.error(missing_partner(pair))], []
    image_name, label_name = (f"{pair.subset}/{each.parent.name}/{each.name}" for each in (pair.image, pair.labels))
    try:
        if pair.time is not None:
            image_name, label_name = (time_point_name(name, pair.time) for name in (image_name, label_name))
        image = read_channels(pair.image, times_as_channels=True, time=pair.time)
        sample = Sample(image_name, image.array, channel_names=image.channel_names)
        shape, digest, channel_names = sample.shape, fingerprint(image.array).volume, sample.channel_names
        constant = [number for number, channel in enumerate(sample.channels) if channel.min() == channel.max()]
        outliers = list(named_outliers(image_name, sample.channels, channel_names))
        geometry, notices = image.geometry, image.notices
        part = every_nth_voxel(image.array)
        del image, sample  # before the labels are read
        labels = read_labels_like(pair.labels, image_name, geometry, label_name, shape=shape, time=pair.time)
        check_labels(label_name, to_label_dtype(label_name, labels.array), shape)
        mask, is_corrected = _read_mask(pair, shape, geometry)
        doubts = () if mask is not None else label_doubts(image_name, part, every_nth_voxel(labels.array))
    except UserError as error:
        return [Issue.error(str(error))], []
    issues = []
    for number in constant:
        which = f"The channel '{channel_names[number]}' of " if len(channel_names) > 1 else ""
        issues.append(Issue.warning(f"{which}{image_name} has a constant intensity; export it again."))
    for name, found in outliers:
        issues.append(Issue.warning(describe_outliers(name, found, TrainingConfig().normalisation)))
    known = labels.array if mask is None else labels.array[mask]
    if (lowest := int(known.min(initial=0))) < 0:
        issues.append(
            Issue.warning(
                f"{label_name} goes down to {lowest}; set the ignore label to {lowest} if it marks voxels that are "
                "not annotated, or number the labels from 0."
            )
        )
    has_foreground = bool((known > 0).any())
    if not has_foreground and not is_corrected:
        issues.append(Issue.warning(f"{label_name} has no foreground; label an object in it or remove the pair."))
    elif known.all() and not is_corrected:
        issues.append(
            Issue.warning(
                f"{label_name} has no background; label background with 0, or with 1 if the ignore label is 0."
            )
        )
    issues += map(Issue.warning, (*notices, *labels.notices, *doubts))
    if geometry.voxel_size_um is None and labels.voxel_size_um is not None:
        geometry = geometry.with_sizes_um(labels.voxel_size_um)
    geometry = complete_voxel_size(geometry, given)
    return issues, [_PairInfo(pair.subset, image_name, digest, geometry, channel_names, has_foreground, is_corrected)]


def _read_mask(pair: Pair, shape: Shape3D, geometry: Geometry) -> tuple[NDArray[np.bool_] | None, bool]:
    """Return the mask of a pair, if there is one, and whether the pair is a corrected volume."""
    if pair.label_mask is None:
        return None, False
    name = f"{pair.subset}/annotated/{pair.label_mask.name}"
    image_name = f"{pair.subset}/images/{pair.name}"
    volume = read_labels_like(pair.label_mask, image_name, geometry, name, time=pair.time)
    mask = read_mask(name, volume.array)
    check_mask(name, mask, shape)
    return mask, read_provenance(provenance_file(pair.label_mask)) is not None


def _check_foreground(infos: Sequence[_PairInfo]) -> Iterator[Issue]:
    train = [info for info in infos if info.subset is Subset.TRAIN]
    if train and not any(info.has_foreground for info in train):
        yield Issue.error(f"None of the {len(train)} training volumes has foreground; label objects before training.")


def _check_copies(infos: Sequence[_PairInfo]) -> Iterator[Issue]:
    first: dict[bytes, _PairInfo] = {}
    for info in infos:
        original = first.setdefault(info.digest, info)
        if info.is_corrected and original.subset is info.subset:
            continue  # it is always used for training, instead of what it corrects
        if original.subset is not info.subset:
            yield Issue.error(
                f"{original.name} and {info.name} are the same volume, so test scores would be too optimistic; "
                "remove one of the two."
            )
        elif original is not info:
            yield Issue.warning(
                f"{original.name} and {info.name} are the same volume; remove one, or it may be used for both training "
                "and validation."
            )


def _check_voxel_sizes(infos: Sequence[_PairInfo]) -> Iterator[Issue]:
    yield from voxel_size_issues([(info.name, info.geometry) for info in infos])


def _check_channels(infos: Sequence[_PairInfo]) -> Iterator[Issue]:
    """Find volumes with other channels than the first one; training can still use those that all have."""
    for info in infos[1:]:
        try:
            chosen = match_channels(info.name, info.channel_names, infos[0].channel_names, f"'{infos[0].name}'")
        except UserError as error:
            yield Issue.warning(str(error))
        else:
            if chosen.notice:
                yield Issue.warning(chosen.notice)


def voxel_size_issues(volumes: Sequence[tuple[str, Geometry]], *, mixed: bool = True) -> Iterator[Issue]:
    """Find volumes whose voxel size is unknown, and different voxel sizes.

    Parameters
    ----------
    volumes : sequence of tuple
        Name and geometry of each volume.
    mixed : bool
        Whether different voxel sizes are an issue.
    """
    unknown = [(name, geometry) for name, geometry in volumes if not geometry.is_calibrated]
    known = [(name, geometry) for name, geometry in volumes if geometry.is_calibrated]
    if unknown:
        name, geometry = unknown[0]
        others = f" ({len(unknown)} of {len(volumes)} volumes)" if len(volumes) > 1 else ""
        yield Issue.warning(
            f"The voxel size of {name} is {describe_voxel_size(geometry)}{others}, so its distances and volumes are in "
            "voxels. Save it with its voxel size in µm, or give one for files that have none: in the dock, or with "
            "--voxel-size."
        )
    for name, geometry in known[1:] if mixed else ():
        if not similar_voxel_sizes(geometry, known[0][1]):
            yield Issue.warning(
                f"Voxel sizes are mixed: {known[0][0]} has {describe_voxel_size(known[0][1])} and {name} has "
                f"{describe_voxel_size(geometry)}, so objects have different sizes in voxels. Set the spacing to "
                "median.",
                Remedy.of(spacing=SpacingMode.MEDIAN),
            )
            return
