from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from napari_unet3d.configs import Normalisation
from napari_unet3d.data.intensities import compute_intensities
from napari_unet3d.errors import UserError
from napari_unet3d.transforms.normalise import fit_scale, normalise

NUMBER_TYPES = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]


def volume(*values: float, dtype: str = "f4") -> np.ndarray:
    return np.array(values, dtype=dtype).reshape(-1, 1, 1)


def test_z_score_by_hand() -> None:
    # mean 4, squared deviations 9 1 1 9 → variance 5
    result = normalise(volume(1, 3, 5, 7, dtype="u1"), Normalisation.Z_SCORE)
    np.testing.assert_allclose(result.ravel(), np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=1e-6)


def test_min_max_by_hand() -> None:
    result = normalise(volume(-10, 0, 30, dtype="i2"), Normalisation.MIN_MAX)
    np.testing.assert_allclose(result.ravel(), [0, 0.25, 1], rtol=1e-6)


def test_percentile_maps_1_and_99_percent_to_0_and_1_without_clipping() -> None:
    result = normalise(volume(*range(101), dtype="u1"), Normalisation.PERCENTILE, (1, 99)).ravel()
    np.testing.assert_allclose(result[[0, 1, 50, 99, 100]], [-1 / 98, 0, 0.5, 1, 99 / 98], atol=1e-6)


def test_percentile_of_very_few_bright_voxels_does_not_lose_them() -> None:
    image = np.zeros((5, 20, 30), np.uint8)
    image[2, 3, 4] = 200
    result = normalise(image, Normalisation.PERCENTILE)
    assert result[2, 3, 4] == 1
    assert np.count_nonzero(result) == 1


ROBUST = [Normalisation.Z_SCORE, Normalisation.PERCENTILE]


@pytest.mark.parametrize("method", ROBUST)
@pytest.mark.parametrize("dtype", ["u2", "i2", "u4", "f4", "f8"])
@pytest.mark.parametrize("extreme", [65535, 32767, -32768])
def test_one_hot_voxel_does_not_move_the_others(method: Normalisation, dtype: str, extreme: int) -> None:
    if np.dtype(dtype).kind in "ui" and not np.iinfo(dtype).min <= extreme <= np.iinfo(dtype).max:
        return
    image = np.random.default_rng(0).normal(100, 20, (20, 24, 28)).clip(0, 255).astype(dtype)
    hot = image.copy()
    hot[3, 4, 5] = extreme
    before, after = normalise(image, method), normalise(hot, method)
    others = np.ones(image.shape, bool)
    others[3, 4, 5] = False
    assert np.abs(before - after)[others].max() < 0.1 * before.std()
    assert abs(after[3, 4, 5]) < 25 * before.std()
    plain = normalise(hot, method, (0, 100))
    assert np.ptp(plain[others]) < 0.3 * np.ptp(before[others])  # what it would do


def test_a_constant_volume_with_a_hot_voxel_has_one_value_elsewhere() -> None:
    image = np.full((9, 10, 12), 7, np.uint16)
    image[1, 2, 3] = 65535
    for method in ROBUST:
        result = normalise(image, method)
        assert np.isfinite(result).all()
        assert len(np.unique(result)) <= 2


@pytest.mark.parametrize("method", list(Normalisation))
def test_a_part_is_normalised_as_in_its_volume(method: Normalisation) -> None:
    image = np.random.default_rng(0).normal(100, 20, (20, 24, 28)).astype(np.float32)
    image[10:] += 200
    dim = image[:8, 3:20, 5:]
    whole = fit_scale(image, method)
    part = fit_scale(dim, method, whole=compute_intensities(image))
    np.testing.assert_array_equal(part.apply(part.clip(dim)), whole.apply(image)[:8, 3:20, 5:])
    if method is not Normalisation.NONE:
        assert np.abs(normalise(dim, method) - part.apply(dim)).mean() > 0.1


@pytest.mark.parametrize("method", ROBUST)
def test_a_part_of_a_volume_with_a_hot_voxel_is_normalised_as_in_it(method: Normalisation) -> None:
    image = np.random.default_rng(0).normal(100, 20, (20, 24, 28)).clip(0, 255).astype(np.uint16)
    image[1, 2, 3] = 65535
    statistics = compute_intensities(image)
    for part in (image[:9], image[9:]):  # with the voxel and without it
        scale = fit_scale(part, method, whole=statistics)
        assert scale == fit_scale(image, method)


def test_none_keeps_values_and_returns_a_new_array() -> None:
    image = volume(1.5, -2, 1000)
    result = normalise(image, Normalisation.NONE)
    np.testing.assert_array_equal(result, image)
    assert not np.shares_memory(result, image)


@pytest.mark.parametrize("dtype", NUMBER_TYPES)
@pytest.mark.parametrize("method", list(Normalisation))
def test_every_number_type_gives_the_same_float32(dtype: str, method: Normalisation) -> None:
    zeros_and_ones = np.random.default_rng(1).integers(0, 2, (3, 4, 5))
    image = zeros_and_ones.astype(dtype)
    before = image.copy()
    result = normalise(image, method)
    assert result.dtype == np.float32
    assert result.shape == (3, 4, 5)
    np.testing.assert_allclose(result, normalise(zeros_and_ones.astype("f8"), method), rtol=1e-6)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("base", [2**40, -(2**40), 2**52])
def test_small_differences_of_large_integers_are_kept(base: int) -> None:
    image = volume(base, base + 2, dtype="i8")
    np.testing.assert_array_equal(normalise(image, Normalisation.Z_SCORE).ravel(), [-1, 1])
    np.testing.assert_array_equal(normalise(image, Normalisation.MIN_MAX).ravel(), [0, 1])


@pytest.mark.parametrize("method", [Normalisation.Z_SCORE, Normalisation.PERCENTILE, Normalisation.MIN_MAX])
@pytest.mark.parametrize("value", [0, 7, 0.1, -3e7])
def test_a_constant_volume_becomes_zero(method: Normalisation, value: float) -> None:
    image = np.full((3, 5, 7), value, np.float32)
    np.testing.assert_array_equal(normalise(image, method), np.zeros((3, 5, 7)))


@given(
    image=st_numpy.arrays(np.uint8, st_numpy.array_shapes(min_dims=3, max_dims=3, max_side=6)),
    gain=st.integers(1, 200),
    offset=st.integers(-5000, 5000),
)
def test_gain_and_offset_of_the_instrument_do_not_matter(image: np.ndarray, gain: int, offset: int) -> None:
    brighter = image.astype(np.int32) * gain + offset
    for method in (Normalisation.Z_SCORE, Normalisation.PERCENTILE, Normalisation.MIN_MAX):
        np.testing.assert_allclose(normalise(brighter, method), normalise(image, method), atol=1e-4)


def test_a_flipped_view_is_normalised_like_its_copy() -> None:
    image = np.random.default_rng(0).normal(size=(4, 5, 6))
    view = image[::-1, :, ::2]
    np.testing.assert_array_equal(
        normalise(view, Normalisation.Z_SCORE), normalise(np.ascontiguousarray(view), Normalisation.Z_SCORE)
    )


@pytest.mark.parametrize("method", list(Normalisation))
def test_fill_values_beyond_float32_are_named(method: Normalisation) -> None:
    image = np.zeros((2, 3, 40))
    image[0, 0, :20] = -1.7e308
    image[1, 1, :20] = 1.7e308
    with pytest.raises(UserError, match=r"1\.7e\+308"):
        normalise(image, method)
