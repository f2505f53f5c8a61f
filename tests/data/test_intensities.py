"""Percentiles and outliers of a volume, and what is kept of it for its parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet3d.configs import Normalisation
from napari_unet3d.data.intensities import (
    IntensityStatistics,
    clip_bounds,
    compute_intensities,
    mean_and_std,
    outlier_bounds,
    percentiles_of,
)
from napari_unet3d.data.outliers import describe_outliers, find_outliers

INTEGERS = ["u1", "i1", "u2", "i2", "u4", "i8"]


def noise(shape=(20, 24, 28), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(60, 8, shape).clip(0, 120)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i8", "f2", "f4", "f8"])
def test_percentiles_leave_as_many_voxels_beyond_as_they_allow(dtype):
    image = noise().astype(dtype)
    levels = (0, 0.1, 5, 49, 75, 99.9, 100)
    values = np.sort(image.astype("f8"), axis=None)
    n = values.size  # 13 440, so that 13 voxels are beyond the percentiles 0.1 and 99.9
    ranks = (0, 13, n // 20, 6585, n - 1 - n // 4, n - 14, n - 1)
    expected = values[list(ranks)]
    assert percentiles_of(image, levels) == pytest.approx(expected)


def test_percentiles_of_a_large_float_volume_are_estimated_and_its_ends_exact():
    image = np.random.default_rng(0).permutation(170**3).reshape(170, 170, 170).astype(np.float32)
    low, middle, high, highest = percentiles_of(image, (0.1, 50, 99.9, 100))
    assert np.divide([low, middle, high], image.max()) == pytest.approx([0.001, 0.5, 0.999], abs=2e-4)
    assert highest == image.max()


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_hot_or_dead_pixel_is_found_in_every_type(dtype, sign):
    if dtype.startswith("u") and sign < 0:
        image = (noise() * 3 + 60).clip(180, 250).astype(dtype) if dtype == "u1" else (noise() + 50_000).astype(dtype)
        extreme = 0
    else:
        image, extreme = (noise() / 2).astype(dtype), sign * min(np.iinfo(dtype).max, 30_000)
    assert find_outliers(image) is None
    image[3, 4, 5] = extreme
    outliers = find_outliers(image)
    if outliers is None:  # within three times the range of an image that uses all of its type
        assert dtype in ("u1", "i1")
        return
    assert (outliers.n_voxels, outliers.extreme) == (1, extreme)


def test_one_voxel_of_65535_in_the_range_of_8_bits():
    image = noise().astype(np.uint16)
    assert clip_bounds(image) == (-np.inf, np.inf)
    low, high = np.sort(image.ravel())[[13, -14]].astype(float)  # the 0.1 % of 13 440 voxels are beyond
    image[1, 2, 3] = image[5, 5, 5] = 65535
    outliers = find_outliers(image)
    assert (outliers.n_voxels, outliers.extreme) == (2, 65535)
    assert outliers.usual_range == pytest.approx((low, high), abs=1)
    assert outliers.bounds == clip_bounds(image) == pytest.approx((1.5 * low - high / 2, 1.5 * high - low / 2), abs=2)
    assert outlier_bounds(image) == pytest.approx((3 * low - 2 * high, 3 * high - 2 * low), abs=4)
    message = describe_outliers("brain", outliers, Normalisation.Z_SCORE)
    assert message.startswith("2 voxels of 'brain' are far outside the range of the others: up to 65535, while nearly")
    assert message.endswith("If they are part of a structure, set the percentiles to 0 and 100.")
    assert "Set the normalisation to z-score" in describe_outliers("brain", outliers, Normalisation.MIN_MAX)


def test_structures_are_no_outliers():
    bright = noise().astype(np.uint16)
    bright[:2, :5, :5] = 4000  # 50 of 13 440 voxels, four in a thousand
    assert find_outliers(bright) is None
    few = np.zeros((40, 40, 40), np.uint8)
    few[3:6, 3:6, 3:6] = 200  # on zeros, where both percentiles are 0
    assert find_outliers(few) is None
    assert find_outliers(np.full((4, 5, 6), 7)) is None
    assert find_outliers(noise() > 60) is None


def test_with_0_and_100_there_are_none():
    image = noise().astype(np.uint16)
    image[0, 0, 0] = 65535
    assert find_outliers(image, (0, 100)) is None
    assert find_outliers(image, (1, 99)).n_voxels == 1


def test_statistics_by_numpy():
    image = noise().astype(np.uint16)
    statistics = compute_intensities(image)
    assert (statistics.minimum, statistics.maximum) == (image.min(), image.max())
    assert (statistics.mean, statistics.std) == pytest.approx((image.mean(), image.std()))
    assert (statistics.inner_mean, statistics.inner_std) == (statistics.mean, statistics.std)
    assert percentiles_of(statistics, (0.1, 1, 50, 99.9)) == percentiles_of(image, (0.1, 1, 50, 99.9))
    image[2, 3, 4] = 65535
    hot = compute_intensities(image)
    others = np.delete(image.ravel(), np.ravel_multi_index((2, 3, 4), image.shape))
    assert (hot.inner_mean, hot.inner_std) == pytest.approx((others.mean(), others.std()))
    assert hot.mean == pytest.approx(image.mean())
    assert mean_and_std(image, clip_bounds(image)) == pytest.approx((others.mean(), others.std()))


@given(seed=st.integers(0, 20), gain=st.sampled_from([1.0, 1e-3, 1e6]), offset=st.sampled_from([0.0, -500.0, 1e7]))
def test_statistics_survive_their_file(seed, gain, offset):
    statistics = compute_intensities(noise((5, 6, 7), seed) * gain + offset)
    assert IntensityStatistics.model_validate_json(statistics.model_dump_json()) == statistics
