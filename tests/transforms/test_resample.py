from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.transform import resize

from napari_unet3d.transforms.resample import shape_at_spacing, to_shape, to_spacing

LENGTHS = st.tuples(*[st.floats(0.1, 10)] * 3)
SIDES = st.tuples(*[st.integers(2, 20)] * 3)


def ball(shape: tuple[int, int, int], voxel_size_um: tuple[float, float, float], radius_um: float) -> np.ndarray:
    """Draw a ball slightly off the centre."""
    axes = [(np.arange(side) + 0.5) * size for side, size in zip(shape, voxel_size_um, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    centre = [side * size * part for side, size, part in zip(shape, voxel_size_um, (0.4, 0.5, 0.55), strict=True)]
    return (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius_um**2


def centre_um(volume: np.ndarray, voxel_size_um: tuple[float, float, float]) -> np.ndarray:
    return (np.array(ndimage.center_of_mass(volume)) + 0.5) * voxel_size_um


def test_shapes_by_hand() -> None:
    assert shape_at_spacing((10, 40, 30), (2.0, 0.5, 0.3), (1.0, 1.0, 0.3)) == (20, 20, 30)
    assert shape_at_spacing((10, 41, 30), (2.0, 0.5, 0.3), (2.015, 1.5, 0.25)) == (10, 14, 36)
    assert shape_at_spacing((10, 41, 30), (2.0, 0.5, 0.3), (50.0, 50.0, 50.0)) == (2, 2, 2)


@pytest.mark.parametrize("is_labels", [True, False])
def test_the_same_voxel_size_returns_the_same_array(is_labels: bool) -> None:
    volume = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    assert to_spacing(volume, (2.0, 0.5, 0.3), (2.01, 0.4975, 0.3), is_labels=is_labels) is volume
    assert to_shape(volume, (2, 3, 4), is_labels=is_labels) is volume


def test_an_axis_that_agrees_is_unchanged() -> None:
    volume = np.random.default_rng(0).random((5, 6, 8), dtype=np.float32)
    halved = to_spacing(volume, (2.0, 0.5, 0.3), (2.0, 0.5, 0.6), is_labels=False)
    blurred = ndimage.gaussian_filter1d(volume, 0.5, axis=2, mode="nearest")
    np.testing.assert_allclose(halved, (blurred[..., ::2] + blurred[..., 1::2]) / 2, atol=1e-6)


@pytest.mark.parametrize("spacing_um", [(1.0, 1.0, 1.0), (0.7, 0.4, 0.9), (3.0, 0.5, 2.0)])
def test_objects_keep_their_position(spacing_um: tuple[float, float, float]) -> None:
    voxel_size_um = (1.5, 0.5, 0.75)
    shape = (20, 60, 44)
    volume = ball(shape, voxel_size_um, 7.0)
    expected = centre_um(volume, voxel_size_um)
    for is_labels in (True, False):
        resampled = to_spacing(volume.astype(np.uint8), voxel_size_um, spacing_um, is_labels=is_labels)
        assert resampled.shape == shape_at_spacing(shape, voxel_size_um, spacing_um)
        actual_um = tuple(
            size * old / new for size, old, new in zip(voxel_size_um, shape, resampled.shape, strict=True)
        )
        # Nearest neighbour may be off by half a voxel.
        tolerance = np.array(voxel_size_um) * (0.55 if is_labels else 0.1)
        assert (abs(centre_um(resampled, actual_um) - expected) < tolerance).all()
        back = to_shape(resampled, shape, is_labels=is_labels)
        assert back.shape == shape
        assert (abs(centre_um(back, voxel_size_um) - expected) < tolerance).all()


def test_a_round_trip_over_a_finer_grid_keeps_labels() -> None:
    labels = np.random.default_rng(1).integers(0, 5, (6, 9, 7)).astype(np.uint16)
    finer = to_spacing(labels, (2.0, 1.0, 0.5), (0.5, 0.5, 0.125), is_labels=True)
    assert finer.shape == (24, 18, 28)
    assert finer.dtype == np.uint16
    np.testing.assert_array_equal(to_shape(finer, (6, 9, 7), is_labels=True), labels)


def test_intensities_are_resampled_as_by_skimage() -> None:
    image = np.random.default_rng(2).random((12, 20, 30), dtype=np.float32)
    expected = resize(image, (8, 30, 11), order=1, mode="edge", anti_aliasing=True)
    np.testing.assert_allclose(to_shape(image, (8, 30, 11), is_labels=False), expected, atol=1e-5)


@given(shape=SIDES, voxel_size_um=LENGTHS, spacing_um=LENGTHS)
def test_constant_volumes_stay_constant_and_labels_are_never_mixed(
    shape: tuple[int, int, int], voxel_size_um: tuple[float, float, float], spacing_um: tuple[float, float, float]
) -> None:
    expected = shape_at_spacing(shape, voxel_size_um, spacing_um)
    if np.prod(expected) > 1e5:
        return
    image = np.full(shape, 7.0, np.float32)
    resampled = to_spacing(image, voxel_size_um, spacing_um, is_labels=False)
    assert resampled.shape == expected
    np.testing.assert_allclose(resampled, 7.0, rtol=1e-5)
    labels = np.where(np.indices(shape).sum(0) % 2, 1000, 3).astype(np.uint16)
    assert set(np.unique(to_spacing(labels, voxel_size_um, spacing_um, is_labels=True))) <= {3, 1000}
