from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet3d.configs import Fit
from napari_unet3d.errors import UserError
from napari_unet3d.transforms.pad import fit_volume, fitted_shape, kept_part

SIDES = st.tuples(st.integers(4, 40), st.integers(4, 40), st.integers(4, 40))
STRIDES = st.sampled_from([2, 4, 8, 16])


def counted(shape: tuple[int, int, int]) -> np.ndarray:
    """Fill a volume with values that are all different, so that no voxel can be mistaken for another."""
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("fit", "expected"), [(Fit.CROP, (16, 16, 40)), (Fit.PAD, (16, 24, 48)), (Fit.RESIZE, (16, 16, 40))]
)
def test_shapes_by_hand(fit: Fit, expected: tuple[int, int, int]) -> None:
    assert fitted_shape((16, 19, 43), (8,) * 3, fit) == expected


def test_a_flat_volume_grows_to_two_voxels_at_the_bottom() -> None:
    assert fitted_shape((3, 40, 50), (16,) * 3, Fit.PAD) == (32, 48, 64)
    assert fitted_shape((3, 40, 50), (16,) * 3, Fit.RESIZE) == (32, 48, 48)


@given(shape=SIDES, stride=STRIDES, fit=st.sampled_from(Fit))
def test_the_network_can_halve_every_fitted_shape(shape: tuple[int, int, int], stride: int, fit: Fit) -> None:
    if fit is Fit.CROP and min(shape) < 2 * stride:
        with pytest.raises(UserError) as caught:
            fitted_shape(shape, (stride,) * 3, fit)
        assert str(shape) in str(caught.value)
        assert str((2 * stride,) * 3) in str(caught.value)
        return
    fitted = fitted_shape(shape, (stride,) * 3, fit)
    for old, new in zip(shape, fitted, strict=True):
        assert new % stride == 0
        assert new // stride >= 2
        match fit:
            case Fit.CROP:
                assert 0 <= old - new < stride
            case Fit.PAD:
                assert old <= new < max(old + stride, 2 * stride + 1)
            case Fit.RESIZE:
                assert abs(new - old) <= stride // 2 or new == 2 * stride


@given(shape=SIDES, stride=STRIDES)
def test_padding_is_undone_exactly(shape: tuple[int, int, int], stride: int) -> None:
    volume = counted(shape)
    padded = fit_volume(volume, fitted_shape(shape, (stride,) * 3, Fit.PAD), Fit.PAD, is_labels=False)
    np.testing.assert_array_equal(padded[kept_part(shape, padded.shape, Fit.PAD)], volume)


def test_each_axis_has_a_stride_of_its_own() -> None:
    assert fitted_shape((3, 17, 29), (1, 4, 8), Fit.PAD) == (3, 20, 32)
    assert fitted_shape((3, 17, 29), (1, 4, 8), Fit.CROP) == (3, 16, 24)
    assert fitted_shape((1, 5, 9), (1, 4, 8), Fit.RESIZE) == (2, 8, 16)
    with pytest.raises(UserError, match=r"at least \(2, 8, 16\)"):
        fitted_shape((3, 17, 15), (1, 4, 8), Fit.CROP)


@given(shape=SIDES, stride=st.sampled_from([2, 3]))
def test_cropping_keeps_the_middle(shape: tuple[int, int, int], stride: int) -> None:
    if min(shape) < 2 * stride:
        return
    volume = counted(shape)
    cropped = fit_volume(volume, fitted_shape(shape, (stride,) * 3, Fit.CROP), Fit.CROP, is_labels=False)
    first = tuple((old - new) // 2 for old, new in zip(shape, cropped.shape, strict=True))
    np.testing.assert_array_equal(
        cropped, volume[tuple(slice(start, start + side) for start, side in zip(first, cropped.shape, strict=True))]
    )


def test_padding_mirrors_image_and_labels_alike() -> None:
    row = np.array([1, 2, 3], np.int64).reshape(1, 1, 3)
    for is_labels in (False, True):
        padded = fit_volume(row, (1, 1, 8), Fit.PAD, is_labels=is_labels)
        np.testing.assert_array_equal(padded.ravel(), [2, 1, 1, 2, 3, 3, 2, 1])
        assert padded.dtype == np.int64


@given(shape=SIDES, stride=STRIDES)
def test_images_are_resized_as_scipy_does(shape: tuple[int, int, int], stride: int) -> None:
    target = fitted_shape(shape, (stride,) * 3, Fit.RESIZE)
    image = np.random.default_rng(sum(shape)).random(shape, dtype=np.float32)
    resized = fit_volume(image, target, Fit.RESIZE, is_labels=False)
    zoom = [new / old for old, new in zip(shape, target, strict=True)]
    expected = ndimage.zoom(image, zoom, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(resized, expected, atol=1e-4)


@given(shape=SIDES, stride=STRIDES)
def test_labels_are_resized_to_the_nearest_as_torch_does(shape: tuple[int, int, int], stride: int) -> None:
    target = fitted_shape(shape, (stride,) * 3, Fit.RESIZE)
    labels = np.random.default_rng(stride).choice(np.array([0, 3, 2**40], np.int64), shape)
    resized = fit_volume(labels, target, Fit.RESIZE, is_labels=True)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(labels.astype(np.float64))[None, None], target, mode="nearest-exact"
    )
    assert resized.dtype == np.int64
    np.testing.assert_array_equal(resized, expected[0, 0].numpy().astype(np.int64))


def test_resized_image_and_labels_stay_on_top_of_each_other() -> None:
    labels = np.zeros((20, 26, 33), np.uint8)
    labels[5:14, 8:20, 3:15] = 1
    target = (16, 32, 32)
    image = fit_volume(labels.astype(np.float32), target, Fit.RESIZE, is_labels=False)
    resized = fit_volume(labels, target, Fit.RESIZE, is_labels=True)
    expected = (np.array([9, 13.5, 8.5]) + 0.5) * target / labels.shape - 0.5
    np.testing.assert_allclose(ndimage.center_of_mass(image), expected, atol=0.1)
    np.testing.assert_allclose(ndimage.center_of_mass(resized), expected, atol=0.5)  # whole voxels


def test_a_read_only_map_of_a_file_can_be_resized() -> None:
    image = counted((4, 5, 6))
    image.setflags(write=False)
    assert fit_volume(image, (4, 6, 6), Fit.RESIZE, is_labels=False).shape == (4, 6, 6)
