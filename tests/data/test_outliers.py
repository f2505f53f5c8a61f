"""Hot and dead pixels that are too many for the default percentiles are named, with what to do about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet3d import TrainingConfig, train
from napari_unet3d.configs import Normalisation
from napari_unet3d.data.checks import check_dataset
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.data.intensities import compute_intensities
from napari_unet3d.data.outliers import describe_outliers, find_defects, find_outliers
from napari_unet3d.data.sample import Sample
from napari_unet3d.training.preflight import preflight
from napari_unet3d.transforms.normalise import fit_scale, normalise

SHAPE = (20, 30, 40)


def noise(seed: int = 0, middle: float = 60.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(middle, 8, SHAPE).clip(1, None).astype(np.uint16)


def with_columns(image: np.ndarray, share: float, value: int, seed: int = 1) -> np.ndarray:
    """Set columns along z, as a defective pixel of a camera makes them."""
    columns = np.random.default_rng(seed).permutation(SHAPE[1] * SHAPE[2])[: round(share * SHAPE[1] * SHAPE[2])]
    broken = image.copy()
    broken.reshape(SHAPE[0], -1)[:, columns] = value
    return broken


@pytest.mark.parametrize("share", [0.002, 0.01, 0.03])
@pytest.mark.parametrize(("middle", "value"), [(60, 65535), (60, 4095), (60, 3000), (20_000, 0)])
def test_defective_columns_are_named_and_the_advised_percentiles_undo_them(share, middle, value):
    clean = noise(middle=middle)
    broken = with_columns(clean, share, value)
    found = find_outliers(broken)
    n_broken = round(share * 1200) * 20
    assert (found.n_voxels, found.extreme, found.remedy is None) == (n_broken, value, False)
    message = describe_outliers("brain", found, Normalisation.Z_SCORE)
    kind = "hot pixels" if value else "dead pixels or fill values"
    assert message.startswith(
        f"{n_broken:,} voxels ({100 * n_broken / clean.size:.2g} %) of 'brain' look like {kind}: "
    )
    assert f"set the percentiles to {found.remedy[0]:g} and {found.remedy[1]:g}" in message
    assert find_outliers(broken, found.remedy).remedy is None, "they are outliers then, which are clipped"
    ordinary = broken == clean
    for method in (Normalisation.Z_SCORE, Normalisation.PERCENTILE):
        scale, reference = (fit_scale(each, method, found.remedy) for each in (broken, clean))
        assert scale.scale == pytest.approx(reference.scale, rel=0.15)
        assert scale.shift == pytest.approx(reference.shift, abs=0.15 * reference.scale)
        moved = fit_scale(broken, method)
        if share > 0.01 and value not in (3000, 4095):
            assert moved.scale > 10 * reference.scale, "what the message warns of"
        difference = (
            normalise(broken, method, found.remedy)[ordinary] - normalise(clean, method, found.remedy)[ordinary]
        )
        assert np.abs(difference).max() < 1


@given(seed=st.integers(0, 1000), share=st.floats(0.002, 0.045))
def test_scattered_hot_pixels_of_various_values_are_named(seed, share):
    image = noise(seed % 7)
    places = np.random.default_rng(seed).permutation(image.size)[: round(share * image.size)]
    image.ravel()[places] = np.random.default_rng(seed).integers(3000, 60_000, places.size)
    found = find_outliers(image)
    assert found.remedy is not None
    assert found.n_voxels == places.size
    assert find_outliers(image, found.remedy) is not None


def test_structures_are_not_named():
    blurred = np.zeros(SHAPE)
    blurred[5:10, 5:10, 5:12] = 1
    bright = ndimage.gaussian_filter(blurred, 1.5)
    assert find_defects((noise() + bright * 5000).astype(np.uint16)) is None
    saturated = (noise() + bright * 200_000).clip(0, 65535).astype(np.uint16)
    assert 0.001 < (saturated == 65535).mean() < 0.05
    assert find_defects(saturated) is None, "its surface has all intensities between"
    solid = noise()
    solid[5:10, 5:10, 5:12] = 4000
    assert find_defects(solid) is None
    half = noise()
    half[:, :, :20] = 65535
    assert find_defects(half) is None
    few = np.zeros(SHAPE, np.uint8)
    few[3:6, 3:6, 3:6] = 255
    assert find_defects(few) is None
    for same in (np.full(SHAPE, 7), noise() > 60, np.zeros(SHAPE)):
        assert find_defects(same) is None


def test_with_0_and_100_nothing_is_named_and_parts_follow_their_volume():
    broken = with_columns(noise(), 0.01, 65535)
    assert find_outliers(broken, (0, 100)) is None
    assert find_outliers(broken[:5], whole=compute_intensities(broken)) is None, "it was named with its volume"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:10, 5:15, 5:15] = 1
    image = with_columns(noise() + 40 * labels, 0.01, 65535)
    add_sample(tmp_path / "data", Sample("brain", image, labels, (1, 1, 1)), Subset.TRAIN)
    return tmp_path / "data"


def test_checks_and_training_say_it_until_the_advice_is_followed(dataset: Path, tmp_path: Path) -> None:
    small = {"preset": "xxsmall", "epochs": 1, "device": "cpu", "val_fraction": 0}
    words = "240 voxels (1 %) of '{}' look like hot pixels: they go up to 65535"
    assert any(words.format("train/images/brain.tif") in issue.message for issue in check_dataset(dataset))
    *_, result = preflight(dataset, TrainingConfig(**small), timed=False)
    assert any(words.format("brain") in issue.message for issue in result.issues)
    config = TrainingConfig(**small, percentiles=(0.1, 98))
    *_, result = preflight(dataset, config, timed=False)
    messages = [issue.message for issue in result.issues]
    assert not any("look like" in message for message in messages)
    assert any("They are clipped to" in message for message in messages)
    notices = []
    for event in train(dataset, tmp_path / "run", TrainingConfig(**small)):
        notices += [getattr(event, "message", ""), *list(getattr(event, "notices", ()))]
    assert any(words.format("brain") in notice for notice in notices)


def test_a_min_max_normalisation_is_told_to_change():
    found = find_outliers(with_columns(noise(), 0.01, 65535))
    message = describe_outliers("brain", found, Normalisation.MIN_MAX)
    assert "set the percentiles to 0.1 and 98 and the normalisation to z-score or percentile." in message
