"""What is wrong between volumes: copies on two sides of a split, voxel sizes, grey values."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

import numpy as np

from napari_unet3d.configs import Normalisation, SpacingMode, TrainingConfig
from napari_unet3d.data.checks import Finding, alike_voxel_sizes
from napari_unet3d.data.pairs import Part
from napari_unet3d.data.sample import Shape3D, shape_words, um_words
from napari_unet3d.data.split import Block
from napari_unet3d.data.statistics import VolumeFacts

_LARGE_GREY_VALUE = 100  # beside the numbers around 1 that a network starts from
_DIFFERENT_GREY_VALUES = 3  # times


def check_leaks(volumes: Sequence[VolumeFacts], validates: Collection[str]) -> Iterator[Finding]:
    """Find volumes or slices with equal grey values that train and judge at the same time.

    Parameters
    ----------
    volumes : sequence of VolumeFacts
        Training and test volumes.
    validates : collection of str
        Names of the training volumes that validate.
    """

    def role(volume: VolumeFacts) -> str:
        if volume.part is Part.TEST:
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
                yield Finding.warning(
                    f"'{one.name}' and '{other.name}' are the same volume, which counts twice. Remove one of the two."
                )
        elif is_copy:
            yield Finding.warning(
                f"'{one.name}' and '{other.name}' are the same volume, which {roles}, so the result would flatter the "
                "model. Remove one of the two."
            )
        elif n_shared:
            yield Finding.warning(
                f"'{one.name}' and '{other.name}' share {n_shared} z-slices; one {role(one)} and the other "
                f"{role(other)}, so the result would flatter the model. Cut them so that they do not overlap."
            )


def _is_correction_of(corrected: VolumeFacts, other: VolumeFacts) -> bool:
    """Tell whether a volume was cut from another one, or from the same third one."""
    own = corrected.origin
    if own is None:
        return False
    if other.origin is not None:
        return (own.volume, own.part) == (other.origin.volume, other.origin.part)
    return own.volume == other.name.removeprefix(f"{Part.TEST}/") and own.part == other.part


def _check_origins(volumes: Sequence[VolumeFacts]) -> Iterator[Finding]:
    """Say which corrected volumes train although the volume that they were cut from tests."""
    for corrected in volumes:
        sources = [each for each in volumes if each.origin is None and _is_correction_of(corrected, each)]
        if corrected.part is not Part.TRAIN:
            continue
        for source in sources:
            if source.part is Part.TEST:
                yield Finding.warning(corrected_test_volume(corrected.name, source.name))


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


def check_blocks(blocks: Sequence[Block], seen_zyx: Shape3D) -> Iterator[Finding]:
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
            yield Finding.warning(
                f"Two blocks of '{one.name}' for {one.role} and {other.role} lie {max(0, *apart)} voxels apart, but "
                f"the network sees {shape_words(seen_zyx)} voxels. Move them further apart."
            )


def check_voxel_sizes(volumes: Sequence[VolumeFacts], config: TrainingConfig) -> Iterator[Finding]:
    """Find volumes with different voxel sizes that nothing brings together.

    Parameters
    ----------
    volumes : sequence of VolumeFacts
        Training and test volumes.
    config : TrainingConfig
        The voxel size that the network works at.
    """
    if config.spacing != (SpacingMode.OWN,):
        return
    for volume in volumes[1:]:
        first = volumes[0]
        if not alike_voxel_sizes(first.voxel_size_um, volume.voxel_size_um):
            yield Finding.warning(
                f"Voxel sizes are mixed: '{first.name}' has {um_words(first.voxel_size_um)} and '{volume.name}' has "
                f"{um_words(volume.voxel_size_um)}, so the network sees objects of different sizes. Set the voxel size "
                "to common (spacing common)."
            )
            return


def check_grey_values(volumes: Sequence[VolumeFacts], config: TrainingConfig) -> Iterator[Finding]:
    """Find volumes without contrast, and grey values that nothing brings to one scale.

    Parameters
    ----------
    volumes : sequence of VolumeFacts
        Training and test volumes.
    config : TrainingConfig
        The normalisation.
    """
    for volume in volumes:
        if volume.grey_range[0] == volume.grey_range[1]:
            yield Finding.warning(f"'{volume.name}' has one grey value everywhere; export it again.")
    if config.normalisation is not Normalisation.NONE or not volumes:
        return
    low, high = min(volume.grey_range[0] for volume in volumes), max(volume.grey_range[1] for volume in volumes)
    if max(abs(low), abs(high)) > _LARGE_GREY_VALUE:
        yield Finding.warning(
            f"Grey values go from {low:g} to {high:g} and are not normalised, which trains badly. Set the "
            "normalisation to z-score or percentile."
        )
    means = np.abs([volume.grey_mean for volume in volumes])
    darkest, brightest = volumes[int(means.argmin())], volumes[int(means.argmax())]
    if means.max() > _DIFFERENT_GREY_VALUES * means.min():
        yield Finding.warning(
            f"Grey values differ much and are not normalised: the mean of '{darkest.name}' is {darkest.grey_mean:.4g}, "
            f"that of '{brightest.name}' {brightest.grey_mean:.4g}. Set the normalisation to z-score or percentile."
        )
