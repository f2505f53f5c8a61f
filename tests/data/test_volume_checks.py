"""Copies on two sides of a split, blocks too close, mixed voxel sizes and intensities are said, with what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.issues import Severity
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import Block, Role
from napari_unet3d.data.statistics import VolumeStatistics, compute_statistics
from napari_unet3d.data.volume_checks import check_blocks, check_intensities, check_leaks, check_voxel_sizes

NOISE = np.random.default_rng(0).integers(0, 90, (12, 6, 7)).astype(np.uint16)
VOXEL_SIZE = (2.0, 0.5, 0.25)


def facts(name: str, image: np.ndarray, part: Subset = Subset.TRAIN, voxel_size_um=VOXEL_SIZE) -> VolumeStatistics:
    return compute_statistics(Sample(name, image, voxel_size_um=voxel_size_um), part)


def only(findings: Any) -> str:
    (finding,) = findings
    assert finding.severity is Severity.WARNING
    return finding.message


A, COPY, OTHER = facts("a", NOISE), facts("copy", NOISE.astype(np.float32)), facts("other", NOISE + 1)


def test_different_volumes_are_no_leak():
    assert not list(check_leaks([A, OTHER, facts("t", NOISE + 2, Subset.TEST)], {"other"}))


def test_one_volume_twice():
    assert only(check_leaks([A, OTHER, COPY], set())) == ("'a' and 'copy' are the same volume. Remove one of the two.")
    assert "'a' and 'copy' are the same volume, used for training and validation, so" in only(
        check_leaks([A, OTHER, COPY], {"copy"})
    )


def test_each_two_of_many_that_are_equal_are_named_once_in_their_order():
    volumes = [facts(str(n), NOISE + n % 3) for n in range(6)]
    found = [issue.message.split(" are ")[0] for issue in check_leaks(volumes, {"4"})]
    assert found == ["'0' and '3'", "'1' and '4'", "'2' and '5'"]


def test_a_training_volume_in_the_test_set():
    copy = facts("t", NOISE, Subset.TEST)
    assert "'a' and 't' are the same volume, used for training and testing, so scores would be too optimistic" in only(
        check_leaks([A, copy], set())
    )


def test_volumes_that_overlap():
    first, second = facts("first", NOISE[:8]), facts("second", NOISE[5:])
    assert not list(check_leaks([first, second], set()))
    assert only(check_leaks([first, second], {"second"})) == (
        "'first' and 'second' share 3 z-slices and are used for training and validation, so scores would be too "
        "optimistic. Crop them so that they do not overlap."
    )


def blocks(gap: int) -> list[Block]:
    return [
        Block("a", Role.TRAINING, (0, 0, 0), (40, 20, 10)),
        Block("a", Role.VALIDATION, (40 + gap, 0, 0), (60 + gap, 20, 10)),
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_blocks_closer_than_the_network_sees(order):
    assert not list(check_blocks(blocks(19)[::order], (19, 25, 25)))
    message = only(check_blocks(blocks(18)[::order], (19, 25, 25)))
    assert "are 18 voxels apart, but the receptive field is 19 × 25 × 25 voxels. Move them further apart." in message
    assert "are 0 voxels apart" in only(check_blocks(blocks(-5)[::order], (19, 25, 25)))


def test_blocks_of_one_role_or_of_two_volumes_may_touch():
    train, validation = blocks(0)
    assert not list(check_blocks([train, Block("b", Role.VALIDATION, (40, 0, 0), (60, 20, 10))], (19, 25, 25)))
    assert not list(check_blocks([train, Block("a", Role.TRAINING, (40, 0, 0), (60, 20, 10))], (19, 25, 25)))
    assert list(check_blocks([train, validation], (19, 25, 25)))


def test_mixed_voxel_sizes():
    volumes = [A, OTHER, facts("thick", NOISE, voxel_size_um=(4.0, 0.5, 0.25))]
    message = only(check_voxel_sizes(volumes, TrainingConfig()))
    assert message.startswith("Voxel sizes are mixed: 'a' has 2 × 0.5 × 0.25 µm and 'thick' has 4 × 0.5 × 0.25 µm")
    assert message.endswith("Set the spacing to median.")
    assert not list(check_voxel_sizes(volumes, TrainingConfig(spacing="median")))
    assert not list(check_voxel_sizes(volumes, TrainingConfig(spacing=(2, 1, 1))))
    assert not list(check_voxel_sizes(volumes[:2], TrainingConfig()))


def test_one_grey_value():
    message = only(check_intensities([A, facts("flat", np.full((3, 4, 5), 7))], TrainingConfig()))
    assert message == "'flat' has a constant intensity; export it again."


def test_large_grey_values_that_are_not_normalised():
    bright = facts("bright", NOISE + 40)
    message = only(check_intensities([bright], TrainingConfig(normalisation="none")))
    assert message.startswith("Intensities range from 40 to 129 and are not normalised")
    assert not list(check_intensities([bright], TrainingConfig()))
    assert not list(check_intensities([A], TrainingConfig(normalisation="none")))


def test_different_grey_values_that_are_not_normalised():
    dark = facts("dark", NOISE // 10)
    message = only(check_intensities([A, dark], TrainingConfig(normalisation="none")))
    assert f"the mean of 'dark' is {(NOISE // 10).mean():.4g}, that of 'a' {NOISE.mean():.4g}. Set the" in message
    assert not list(check_intensities([A, dark], TrainingConfig()))
    assert not list(check_intensities([], TrainingConfig(normalisation="none")))


def corrected(source: str, part: str) -> VolumeStatistics:
    mask = np.ones(NOISE.shape, bool)
    sample = Sample(f"{source} corrected", NOISE, np.ones_like(mask, np.uint8), VOXEL_SIZE, mask)
    return compute_statistics(replace(sample, provenance=Provenance(volume=source, subset=part)))


def test_a_corrected_volume_is_no_copy_of_its_source_but_must_not_be_a_test_volume():
    test = facts("test/t", NOISE, Subset.TEST)
    assert not list(check_leaks([A, corrected("a", "train")], set()))
    assert only(check_leaks([OTHER, test, corrected("t", "test")], set())) == (
        "'t corrected' is used for training and was cropped from the test volume 'test/t', so the score of that volume "
        "is too optimistic. Move it to the training volumes, or remove the corrected one."
    )


def test_a_correction_of_another_volume_is_no_excuse_for_a_copy():
    test = facts("test/t", NOISE, Subset.TEST)
    assert "are the same volume, used for testing and training" in only(
        check_leaks([test, corrected("b", "train")], set())
    )
