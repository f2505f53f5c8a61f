"""Copies, crops and overlaps are found by intensities, whatever the volumes are called."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.shared_content import matching_volumes, shares_content

SHAPE = (24, 30, 36)


def noise(seed: int, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 60, shape).astype(np.uint8)


@pytest.mark.parametrize("start", [(0, 0, 0), (3, 5, 7), (8, 14, 20)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64])
def test_a_crop_is_found_wherever_it_lies(start, dtype):
    z, y, x = start
    crop = noise(1)[z : z + 16, y : y + 16, x : x + 16].astype(dtype)
    assert shares_content(Sample("crop", crop), noise(1))
    assert not shares_content(Sample("crop", crop), noise(2))


def test_slabs_do_not_hide_what_lies_across_them(monkeypatch):
    monkeypatch.setattr("napari_unet3d.data.box_hashes._MOST_VOXELS", 30 * 36 * 9)
    for start in range(SHAPE[0] - 12):
        assert shares_content(Sample("crop", noise(1)[start : start + 12]), noise(1))


def test_whole_copies_and_thin_volumes_are_found():
    assert shares_content(Sample("copy", noise(1)), noise(1))
    thin = noise(1)[:3]
    assert shares_content(Sample("thin", thin), noise(1))
    assert shares_content(Sample("whole", noise(1)), thin)  # the test volume is the part
    assert not shares_content(Sample("thin", thin), noise(2))


@pytest.mark.parametrize("overlap", [11, 15])
def test_overlapping_volumes_are_found(overlap):
    scene = noise(3, (40, 40, 40))
    one, other = scene[: 20 + overlap // 2, :35, :35], scene[20 - (overlap + 1) // 2 :, 5:, 5:]
    assert shares_content(Sample("one", one), other)


def test_only_what_is_annotated_counts():
    scene = noise(4, (24, 30, 72))
    mask = np.zeros((24, 30, 40), bool)
    mask[5:12, 5:15, 2:12] = True
    assert not shares_content(Sample("left", scene[..., :40], label_mask=mask), scene[..., 30:])
    mask[5:12, 5:15, 30:40] = True
    assert shares_content(Sample("left", scene[..., :40], label_mask=mask), scene[..., 30:])
    assert not shares_content(Sample("left", scene[..., :40], label_mask=0 * mask > 0), scene)


def test_few_grey_values_are_no_proof_unless_all_of_it_is_found():
    """Flat objects without noise look alike in any volume."""
    one, other = np.zeros(SHAPE), np.zeros(SHAPE)
    one[4:12, 4:20, 4:20] = other[4:12, 4:20, 4:30] = 100
    assert not shares_content(Sample("one", one), other)
    assert shares_content(Sample("one", one), one)
    assert shares_content(Sample("part", one[2:, 2:, :22]), one)
    assert not shares_content(Sample("flat", 0 * one), 0 * one)


def test_test_volumes_are_named(tmp_path):
    labels = np.ones(SHAPE, np.uint8)
    for seed, name in enumerate("ab"):
        add_sample(tmp_path, Sample(name, noise(seed), labels), Subset.TEST)
    mask = np.zeros(SHAPE, bool)
    mask[4:14, 4:14, 4:14] = True
    corrected = Sample("b", noise(0), labels, label_mask=mask, provenance=Provenance(volume="b"))
    assert matching_volumes(tmp_path, corrected) == ("a",)
    assert matching_volumes(tmp_path / "new", corrected) == ()
