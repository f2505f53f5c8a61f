from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.configs import PixelType, SyntheticConfig
from napari_unet3d.data.synthetic import imaging
from napari_unet3d.data.synthetic.imaging import (
    UnevenBackground,
    background_noise,
    blur,
    has_imaging,
    image_slabs,
    to_pixels,
)

SHAPE = (24, 30, 36)


def config(**changes):
    return SyntheticConfig(**{"shape": SHAPE, "pixel_type": "float32", "intensity": (1, 200)} | changes)


def image_of(clean, settings, seed=0):
    result = np.full(clean.shape, np.nan, np.float32)
    for slices, finished in image_slabs(clean, settings, np.random.SeedSequence(seed)):
        assert finished.dtype == settings.pixel_type.value
        result[slices] = finished
    assert np.isfinite(result).all()
    return result


def flat(value, shape=SHAPE):
    return np.full(shape, value, np.float32)


def test_the_blur_has_its_width_in_micrometres_on_every_axis():
    point = np.zeros((21, 41, 61), np.float32)
    point[10, 20, 30] = 1
    settings = config(shape=point.shape, blur_um=3.0, voxel_size_um=(2.0, 1.0, 0.5))
    result = blur(point, slice(0, 21), settings)
    assert result.sum() == pytest.approx(1, rel=1e-4)
    for axis, size in enumerate(settings.voxel_size_um):
        place = (np.arange(point.shape[axis]) - point.shape[axis] // 2) * size
        profile = result.sum(axis=tuple({0, 1, 2} - {axis}))
        assert np.sqrt((profile * place**2).sum()) == pytest.approx(3.0, rel=0.02)


@pytest.mark.parametrize("photons", [4, 50, 1000])
def test_photon_noise_has_the_variance_of_its_count(photons):
    clean = flat(50)  # a quarter of the brightest value, so a quarter of the photons
    result = image_of(clean, config(photon_count=photons))
    counts = result * (photons / 200)
    assert np.abs(counts - np.rint(counts)).max() < 1e-3
    assert counts.mean() == pytest.approx(photons / 4, rel=0.02)
    assert counts.var() == pytest.approx(photons / 4, rel=0.05)


def test_read_noise_is_a_part_of_the_brightest_value_everywhere():
    result = image_of(flat(0), config(read_noise=0.05))
    assert result.std() == pytest.approx(10, rel=0.03)
    assert result.mean() == pytest.approx(0, abs=0.3)


def test_the_uneven_background_is_smooth_and_uses_its_height():
    settings = config(uneven_background=0.5, voxel_size_um=(3, 1, 1))
    result = image_of(flat(0), settings)
    assert result.min() >= 0
    assert 80 < result.max() <= 100.001
    assert np.ptp(result) > 60
    assert max(np.abs(np.diff(result, axis=axis)).max() for axis in range(3)) < 20


def test_the_waves_of_the_uneven_background_are_as_long_in_micrometres_on_every_axis():
    thin = config(shape=(8, 64, 64), uneven_background=1, voxel_size_um=(1, 1, 1))
    field = UnevenBackground(thin, np.random.default_rng(0)).slices(slice(0, 8))
    steps = [np.square(np.diff(field, axis=axis)).mean() for axis in range(3)]
    assert 0.2 < steps[0] / (steps[1] + steps[2]) < 2


@pytest.mark.parametrize(
    ("generate", "apply", "by_hand"),
    [
        # object 40 on a baseline of 20 with noise of exactly 4
        ("add", "add", 40 + 24),
        ("subtract", "add", 40 + 16),
        ("multiply", "subtract", 40 - 80),
        ("divide", "multiply", 40 * 5),
        ("divide", "divide", 40 / 5),
        ("add", "none", 40),
    ],
)
def test_background_arithmetic_by_hand(generate, apply, by_hand):
    settings = config(
        background_baseline=20, background_noise=(4, 4), background_generate=generate, background_apply=apply
    )
    np.testing.assert_allclose(image_of(flat(40), settings), by_hand, rtol=1e-6)


def test_background_noise_is_uniform_over_its_range():
    noise = background_noise((30, 31, 32), config(background_noise=(5, 25)), np.random.default_rng(0))
    assert 5 <= noise.min() < 5.1
    assert 24.9 < noise.max() <= 25
    assert noise.var() == pytest.approx(20**2 / 12, rel=0.03)


def test_dividing_by_nothing_stays_finite():
    settings = config(background_apply="divide", background_noise=(0, 1), pixel_type="uint8")
    result = image_of(flat(0), settings)
    np.testing.assert_array_equal(result, 0)


def test_integer_images_are_rounded_and_clipped():
    values = np.array([-3, 0.4, 0.6, 254.6, 300, 70000], np.float32)
    assert to_pixels(values, PixelType.UINT8).tolist() == [0, 0, 1, 255, 255, 255]
    assert to_pixels(values, PixelType.UINT16).tolist() == [0, 0, 1, 255, 300, 65535]
    np.testing.assert_array_equal(to_pixels(values, PixelType.FLOAT32), values)


def test_the_thickness_of_the_slabs_does_not_matter(monkeypatch):
    settings = config(
        blur_um=1.5,
        photon_count=30,
        read_noise=0.05,
        uneven_background=0.2,
        background_apply="add",
        voxel_size_um=(1, 2, 1),
    )
    clean = np.zeros(SHAPE, np.uint8)
    clean[8:15, 10:20, 12:30] = 150
    whole = image_of(clean, settings)
    monkeypatch.setattr(imaging, "_SLAB_VOXELS", 5 * SHAPE[1] * SHAPE[2])
    np.testing.assert_array_equal(image_of(clean, settings), whole)


def test_the_clean_image_is_never_changed():
    clean = flat(10)
    image_of(clean, config(read_noise=0.1, uneven_background=0.1))
    np.testing.assert_array_equal(clean, 10)


@pytest.mark.parametrize(
    "effect",
    [{"blur_um": 1}, {"photon_count": 5}, {"read_noise": 0.1}, {"uneven_background": 0.1}, {"background_apply": "add"}],
)
def test_every_effect_counts_as_one(effect):
    assert has_imaging(config(**effect))
    assert not has_imaging(config())
