"""Checks across volumes: copies in training and test sets, voxel sizes, intensities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

import numpy as np

from napari_unet3d.configs import Normalisation, SpacingMode, TrainingConfig
from napari_unet3d.data.channels import describe_channels
from napari_unet3d.data.checks import voxel_size_issues
from napari_unet3d.data.corrected_regions import find_unknown_intensities
from napari_unet3d.data.issues import Issue, Remedy, RemedyValue
from napari_unet3d.data.outliers import Outliers, describe_outliers
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.sample import Shape3D, format_shape
from napari_unet3d.data.split import Block
from napari_unet3d.data.statistics import VolumeStatistics

_LARGE_INTENSITY = 100  # inputs of a network should be around 1
_DIFFERENT_INTENSITIES = 3  # ratio of means
_NORMALISED = Remedy.of(normalisation=Normalisation.Z_SCORE), Remedy.of(normalisation=Normalisation.PERCENTILE)


def check_leaks(volumes: Sequence[VolumeStatistics], validates: Collection[str]) -> Iterator[Issue]:
    """Find equal volumes or slices that are used for training and for validation or testing.

    Parameters
    ----------
    volumes : sequence of VolumeStatistics
        Training and test volumes.
    validates : collection of str
        Names of the training volumes used for validation.
    """

    def role(volume: VolumeStatistics) -> str:
        if volume.subset is Subset.TEST:
            return "testing"
        return "validation" if volume.name in validates else "training"

    yield from _check_origins(volumes)
    for one, other in _with_equal_parts(volumes):
        if any(_is_correction_of(a, b) for a, b in ((one, other), (other, one))):
            continue
        roles = f"{role(one)} and {role(other)}"
        is_copy = one.fingerprint.volume == other.fingerprint.volume
        n_shared = len(one.fingerprint.slices & other.fingerprint.slices)
        if role(one) == role(other):
            if is_copy:
                yield Issue.warning(f"'{one.name}' and '{other.name}' are the same volume. Remove one of the two.")
        elif is_copy:
            yield Issue.warning(
                f"'{one.name}' and '{other.name}' are the same volume, used for {roles}, so scores would be too "
                "optimistic. Remove one of the two."
            )
        elif n_shared:
            yield Issue.warning(
                f"'{one.name}' and '{other.name}' share {n_shared} z-slices and are used for {roles}, so scores would "
                "be too optimistic. Crop them so that they do not overlap."
            )


def _with_equal_parts(volumes: Sequence[VolumeStatistics]) -> Iterator[tuple[VolumeStatistics, VolumeStatistics]]:
    """Yield the pairs of volumes that are equal or share a slice, without comparing each volume with each other."""
    places: defaultdict[bytes, list[int]] = defaultdict(list)
    for place, volume in enumerate(volumes):
        for part in {volume.fingerprint.volume, *volume.fingerprint.slices}:
            places[part].append(place)
    pairs = {pair for shared in places.values() for pair in combinations(shared, 2)}
    for one, other in sorted(pairs):
        yield volumes[one], volumes[other]


def _is_correction_of(corrected: VolumeStatistics, other: VolumeStatistics) -> bool:
    """Return whether a volume was cropped from another one, or both from the same third one."""
    own = corrected.provenance
    if own is None:
        return False
    if other.provenance is not None:
        return (own.volume, own.subset) == (other.provenance.volume, other.provenance.subset)
    return own.volume == other.name.removeprefix(f"{Subset.TEST}/") and own.subset == other.subset


def _check_origins(volumes: Sequence[VolumeStatistics]) -> Iterator[Issue]:
    """Find corrected training volumes that were cropped from test volumes."""
    for corrected in volumes:
        sources = [each for each in volumes if each.provenance is None and _is_correction_of(corrected, each)]
        if corrected.subset is not Subset.TRAIN:
            continue
        for source in sources:
            if source.subset is Subset.TEST:
                yield Issue.warning(corrected_test_volume(corrected.name, source.name))


def corrected_test_volume(corrected: str, source: str) -> str:
    """Return the message for a correction of a test volume that is used for training."""
    return (
        f"'{corrected}' is used for training and was cropped from the test volume '{source}', so the score of that "
        "volume is too optimistic. Move it to the training volumes, or remove the corrected one."
    )


def corrected_validation_volume(corrected: str, source: str) -> str:
    """Return the message for a correction of a validation volume that is used for training."""
    return (
        f"'{corrected}' is used for training and was cropped from the validation volume '{source}', so validation "
        "scores are too optimistic. Evaluate the model on the test set."
    )


def unknown_intensities(corrected: str, source: str) -> str:
    """Return the message for a correction that does not know the intensities of the volume it was cropped from."""
    return (
        f"'{corrected}' was cropped from '{source}', whose intensities were not saved with it, so it is normalised by "
        "its own, unlike at prediction. Add the corrections again, or add that volume to the training volumes."
    )


def check_blocks(blocks: Sequence[Block], receptive_field: Shape3D) -> Iterator[Issue]:
    """Find training and validation blocks of a volume that are closer than the receptive field.

    Parameters
    ----------
    blocks : sequence of Block
        Blocks of a split.
    receptive_field : tuple of int
        Receptive field along z, y, x in voxels of the volume.
    """
    for one, other in combinations(blocks, 2):
        if one.name != other.name or one.role is other.role:
            continue
        apart = [
            max(one.start_zyx[axis] - other.stop_zyx[axis], other.start_zyx[axis] - one.stop_zyx[axis])
            for axis in range(3)
        ]
        if all(gap < field for gap, field in zip(apart, receptive_field, strict=True)):
            yield Issue.warning(
                f"Two blocks of '{one.name}' for {one.role} and {other.role} are {max(0, *apart)} voxels apart, but "
                f"the receptive field is {format_shape(receptive_field)} voxels. Move them further apart."
            )


def check_voxel_sizes(volumes: Sequence[VolumeStatistics], config: TrainingConfig) -> Iterator[Issue]:
    """Find volumes of unknown voxel size, and different voxel sizes that are not resampled.

    Parameters
    ----------
    volumes : sequence of VolumeStatistics
        Training and test volumes.
    config : TrainingConfig
        The voxel size of the network input.
    """
    is_resampled = config.spacing != (SpacingMode.ORIGINAL,)
    named = [(f"'{volume.name}'", volume.geometry) for volume in volumes]
    yield from voxel_size_issues(named, mixed=not is_resampled)


def check_intensities(volumes: Sequence[VolumeStatistics], config: TrainingConfig) -> Iterator[Issue]:
    """Find constant volumes, outliers, and intensities that should be normalised.

    Parameters
    ----------
    volumes : sequence of VolumeStatistics
        Training and test volumes.
    config : TrainingConfig
        The normalisation.
    """
    for volume in volumes:
        for constant in constant_channels(volume.channel_names, volume.intensity_ranges):
            yield Issue.warning(f"{constant}'{volume.name}' has a constant intensity; export it again.")
        for name, outliers in volume.outliers:
            message = describe_outliers(name, outliers, config.normalisation)
            yield Issue.warning(message, *_remedies_for(outliers, config))
    for source, corrected in find_unknown_intensities(volumes):
        yield Issue.warning(unknown_intensities(corrected, source))
    if config.normalisation is not Normalisation.NONE or not volumes:
        return
    for channel, name in enumerate(volumes[0].channel_names or ("",)):
        of_channel = f" of the channel {name}" if len(volumes[0].channel_names) > 1 else ""
        yield from _check_not_normalised(volumes, channel, of_channel)


def _remedies_for(outliers: Outliers, config: TrainingConfig) -> Sequence[Remedy]:
    """Return the settings that `describe_outliers` names."""
    is_robust = config.normalisation in (Normalisation.Z_SCORE, Normalisation.PERCENTILE)
    if outliers.remedy is None:
        return [Remedy.of(percentiles=(0, 100))] if is_robust else _NORMALISED
    normalised: dict[str, RemedyValue] = {} if is_robust else {"normalisation": Normalisation.Z_SCORE}
    return [Remedy.of(percentiles=outliers.remedy, **normalised)]


def no_channel_to_drop(config: TrainingConfig) -> str:
    """Return the message for a channel dropout of volumes with a single channel."""
    return (
        f"The channel dropout of {config.channel_dropout:g} has no effect, since the volumes have a single channel. "
        "Set it to 0."
    )


def check_channel_settings(train: Sequence[VolumeStatistics], config: TrainingConfig) -> Iterator[Issue]:
    """Find settings for several channels with volumes of one, and say which channels are used where there are several.

    Parameters
    ----------
    train : sequence of VolumeStatistics
        Training volumes, with the chosen channels.
    config : TrainingConfig
        The channel dropout.
    """
    if train and len(train[0].channel_names) > 1:
        yield Issue.info(f"The images have {describe_channels(train[0].channel_names)}, each normalised by itself.")
    elif train and config.channel_dropout:
        yield Issue.warning(no_channel_to_drop(config), Remedy.of(channel_dropout=0.0))


def constant_channels(names: Sequence[str], ranges: Sequence[tuple[float, float]]) -> Iterator[str]:
    """Yield the beginning of a message for each channel with a constant intensity; empty for a single channel.

    >>> list(constant_channels(("dapi", "membrane"), ((0, 9), (3, 3)))), list(constant_channels((), ((3, 3),)))
    (["The channel 'membrane' of "], [''])
    """
    for number, (low, high) in enumerate(ranges):
        if low == high:
            yield f"The channel '{names[number]}' of " if len(ranges) > 1 else ""


def _check_not_normalised(volumes: Sequence[VolumeStatistics], channel: int, of_channel: str) -> Iterator[Issue]:
    having = [volume for volume in volumes if channel < len(volume.intensity_ranges)]
    low, high = (
        min(volume.intensity_ranges[channel][0] for volume in having),
        max(volume.intensity_ranges[channel][1] for volume in having),
    )
    if max(abs(low), abs(high)) > _LARGE_INTENSITY:
        yield Issue.warning(
            f"Intensities{of_channel} range from {low:g} to {high:g} and are not normalised, which makes training "
            "difficult. Set the normalisation to z-score or percentile.",
            *_NORMALISED,
        )
    signed = [volume.intensity_means[channel] for volume in having]
    means = np.abs(signed)
    darkest, brightest = int(means.argmin()), int(means.argmax())
    if means.max() > _DIFFERENT_INTENSITIES * means.min():
        yield Issue.warning(
            f"Intensities{of_channel} differ between volumes and are not normalised: the mean of "
            f"'{having[darkest].name}' is {signed[darkest]:.4g}, that of '{having[brightest].name}' "
            f"{signed[brightest]:.4g}. Set the normalisation to z-score or percentile.",
            *_NORMALISED,
        )
