"""Labels that are stored the other way round or swapped with their image are found by their voxels."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.checks import check_dataset
from napari_unet3d.data.label_checks import check_label_values
from napari_unet3d.data.label_fit import label_doubts
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.statistics import compute_statistics

SHAPE = (20, 20, 20)
RNG = np.random.default_rng(0)
LABELS = np.zeros(SHAPE, np.uint8)
LABELS[2:7, 3:9, 4:11] = 1
LABELS[12:18, 1:5, 14:19] = 2
IMAGE = (100 + 80 * (LABELS > 0) + RNG.normal(0, 20, SHAPE)).astype(np.float32)
TURNS = [(order, flips) for order in permutations(range(3)) for flips in product((1, -1), repeat=3)]


@pytest.mark.parametrize(("order", "flips"), TURNS)
def test_all_ways_to_turn_labels_are_found_and_right_ones_are_not_doubted(
    order: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    steps = tuple(slice(None, None, flip) for flip in flips)
    is_same = order == (0, 1, 2) and flips == (1, 1, 1)
    assert len(label_doubts("a", IMAGE, LABELS.transpose(order)[steps])) == (not is_same)
    assert not label_doubts("a", IMAGE.transpose(order)[steps], LABELS.transpose(order)[steps])
    assert not label_doubts("a", -IMAGE, LABELS)


def test_the_message_says_what_would_fit() -> None:
    (flipped,) = label_doubts("brain", IMAGE, LABELS[:, ::-1])
    assert "'brain' hardly fit its image and would if they were flipped along y" in flipped
    (turned,) = label_doubts("brain", np.stack([IMAGE * 0, IMAGE]), LABELS.transpose(2, 1, 0))
    assert "would if their axes were (x, y, z)" in turned


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), contrast=st.floats(0, 3), slope=st.floats(-3, 3))
def test_objects_that_are_hard_to_see_are_not_doubted(seed: int, contrast: float, slope: float) -> None:
    """Smooth random objects of any contrast, on a background that is brighter at one end."""
    rng = np.random.default_rng(seed)
    labels = gaussian_filter(rng.normal(size=(16, 18, 20)), 2) > 0.08
    image = contrast * labels + rng.normal(size=labels.shape) + slope * np.linspace(0, 1, 20)
    assert not label_doubts("a", image, labels)


def test_an_image_in_the_place_of_the_labels_is_found() -> None:
    values = RNG.integers(0, 500, SHAPE)
    (doubt,) = label_doubts("a", LABELS, values)
    assert "The image 'a' has 3 values" in doubt
    assert "not swapped" in doubt
    assert not label_doubts("a", values, LABELS)


def test_both_checks_warn_of_them(tmp_path: Path) -> None:
    for kind, array in (("images", IMAGE), ("labels", LABELS[::-1])):
        (tmp_path / "train" / kind).mkdir(parents=True)
        tifffile.imwrite(tmp_path / "train" / kind / "a.tif", array, photometric="minisblack")
    assert any("flipped along z" in issue.message for issue in check_dataset(tmp_path))
    statistics = compute_statistics(Sample("a", IMAGE, LABELS[::-1]))
    issues = [issue.message for issue in check_label_values([statistics], TrainingConfig())]
    assert any("flipped along z" in message for message in issues)
    masked = Sample("a", IMAGE, LABELS[::-1], label_mask=np.ones(SHAPE, bool))
    assert not compute_statistics(masked).label_doubts  # the labels of other voxels mean nothing
