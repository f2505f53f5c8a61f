"""What is wrong between volumes: copies on two sides of a split, voxel sizes, grey values."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

import numpy as np

from napari_unet3d.configs import Normalisation, SpacingMode, TrainingConfig
from napari_unet3d.data.checks import Issue, similar_voxel_sizes
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.sample import Shape3D, format_shape, format_um
from napari_unet3d.data.split import Block
from napari_unet3d.data.statistics import VolumeStatistics

_LARGE_INTENSITY = 100  # beside the numbers around 1 that a network starts from
_DIFFERENT_INTENSITIES = 3  # times


def check_leaks(volumes: Sequence[VolumeStatistics], validates: Collection[str]) -> Iterator[Issue]:
    """Find volumes or slices with equal grey values that train and judge at the same time.

    Parameters
    ----------
    volumes : sequence of VolumeStatistics
        Training and test volumes.
    validates : collection of str
        Names of the training volumes that validate.
    """

    def role(volume: VolumeStatistics) -> str:
        if volume.subset is Subset.TEST:
            return "tests"
        return "validates" if volume.name in validates else "trains"

    yield from _check_origins(volumes)
    for one, other in combinations(volumes, 2):
        if any(_is_correction_of(a, b) for a, b in ((one, other), (other, one))):
            continue
        roles = f"{role(one)} and {role(other)}"
        is_copy = one.fingerprint.volume == other.fingerprint.volume
        n_shared = len(one.fingerprint.slices & other.fingerprint.slices)
        if role(one) == role(other):
            if is_copy:
                yield Issue.warning(
                    f"'{one.name}' and '{other.name}' are the same volume, which counts twice. Remove one of the two."
                )
        elif is_copy:
            yield Issue.warning(
                f"'{one.name}' and '{other.name}' are the same volume, which {roles}, so the result would flatter the "
                "model. Remove one of the two."
            )
        elif n_shared:
            yield Issue.warning(
                f"'{one.name}' and '{other.name}' share {n_shared} z-slices; one {role(one)} and the other "
                f"{role(other)}, so the result would flatter the model. Cut them so that they do not overlap."
            )


def _is_correction_of(corrected: VolumeStatistics, other: VolumeStatistics) -> bool:
    """Return whether a volume was cut from another one, or from the same third one."""
    own = corrected.provenance
    if own is None:
        return False
    if other.provenance is not None:
        return (own.volume, own.subset) == (other.provenance.volume, other.provenance.subset)
    return own.volume == other.name.removeprefix(f"{Subset.TEST}/") and own.subset == other.subset


def _check_origins(volumes: Sequence[VolumeStatistics]) -> Iterator[Issue]:
    """Say which corrected volumes train although the volume that they were cut from tests."""
    for corrected in volumes:
        sources = [each for each in volumes if each.provenance is None and _is_correction_of(corrected, each)]
        if corrected.subset is not Subset.TRAIN:
            continue
        for source in sources:
            if source.subset is Subset.TEST:
                yield Issue.warning(corrected_test_volume(corrected.name, source.name))


def corrected_test_volume(corrected: str, source: str) -> str:
    """Say that a test volume is learnt from."""
    return (
        f"'{corrected}' trains and was cut from the test volume '{source}', whose score is not to be trusted any more. "
        "Move that volume to the training part, or remove the corrected one."
    )


def corrected_validation_volume(corrected: str, source: str) -> str:
    """Say that a validation volume is learnt from."""
    return (
        f"'{corrected}' trains and was cut from '{source}', which validates, so validation flatters the model. Judge "
        "it by the test set."
    )


def check_blocks(blocks: Sequence[Block], seen_zyx: Shape3D) -> Iterator[Issue]:
    """Find blocks of one volume with different roles that lie closer together than the network sees.

    Parameters
    ----------
    blocks : sequence of Block
        Blocks of a split.
    seen_zyx : tuple of int
        What the network sees at once along z, y, x, in voxels of the volume.
    """
    for one, other in combinations(blocks, 2):
        if one.name != other.name or one.role is other.role:
            continue
        apart = [
            max(one.start_zyx[axis] - other.stop_zyx[axis], other.start_zyx[axis] - one.stop_zyx[axis])
            for axis in range(3)
        ]
        if all(gap < seen for gap, seen in zip(apart, seen_zyx, strict=True)):
            yield Issue.warning(
                f"Two blocks of '{one.name}' for {one.role} and {other.role} lie {max(0, *apart)} voxels apart, but "
                f"the network sees {format_shape(seen_zyx)} voxels. Move them further apart."
            )


def check_voxel_sizes(volumes: Sequence[VolumeStatistics], config: TrainingConfig) -> Iterator[Issue]:
    """Find volumes with different voxel sizes that nothing brings together.

    Parameters
    ----------
    volumes : sequence of VolumeStatistics
        Training and test volumes.
    config : TrainingConfig
        The voxel size that the network works at.
    """
    if config.spacing != (SpacingMode.ORIGINAL,):
        return
    for volume in volumes[1:]:
        first = volumes[0]
        if not similar_voxel_sizes(first.voxel_size_um, volume.voxel_size_um):
            yield Issue.warning(
                f"Voxel sizes are mixed: '{first.name}' has {format_um(first.voxel_size_um)} and '{volume.name}' has "
                f"{format_um(volume.voxel_size_um)}, so the network sees objects of different sizes. Set the voxel size "
                "to median (spacing median)."
            )
            return


def check_intensities(volumes: Sequence[VolumeStatistics], config: TrainingConfig) -> Iterator[Issue]:
    """Find volumes without contrast, and grey values that nothing brings to one scale.

    Parameters
    ----------
    volumes : sequence of VolumeStatistics
        Training and test volumes.
    config : TrainingConfig
        The normalisation.
    """
    for volume in volumes:
        if volume.intensity_range[0] == volume.intensity_range[1]:
            yield Issue.warning(f"'{volume.name}' has one grey value everywhere; export it again.")
    if config.normalisation is not Normalisation.NONE or not volumes:
        return
    low, high = (
        min(volume.intensity_range[0] for volume in volumes),
        max(volume.intensity_range[1] for volume in volumes),
    )
    if max(abs(low), abs(high)) > _LARGE_INTENSITY:
        yield Issue.warning(
            f"Grey values go from {low:g} to {high:g} and are not normalised, which trains badly. Set the "
            "normalisation to z-score or percentile."
        )
    means = np.abs([volume.intensity_mean for volume in volumes])
    darkest, brightest = volumes[int(means.argmin())], volumes[int(means.argmax())]
    if means.max() > _DIFFERENT_INTENSITIES * means.min():
        yield Issue.warning(
            f"Grey values differ much and are not normalised: the mean of '{darkest.name}' is {darkest.intensity_mean:.4g}, "
            f"that of '{brightest.name}' {brightest.intensity_mean:.4g}. Set the normalisation to z-score or percentile."
        )
