from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet3d.configs import ResizeMode
from napari_unet3d.errors import UserError
from napari_unet3d.transforms.pad import divisible_shape, to_divisible, valid_region

SIDES = st.tuples(st.integers(4, 40), st.integers(4, 40), st.integers(4, 40))
STRIDES = st.sampled_from([2, 4, 8, 16])


def counted(shape: tuple[int, int, int]) -> np.ndarray:
    """Fill a volume with values that are all different, so that no voxel can be mistaken for another."""
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(ResizeMode.CROP, (16, 16, 40)), (ResizeMode.PAD, (16, 24, 48)), (ResizeMode.RESIZE, (16, 16, 40))],
)
def test_shapes_by_hand(mode: ResizeMode, expected: tuple[int, int, int]) -> None:
    assert divisible_shape((16, 19, 43), (8,) * 3, mode) == expected


def test_a_thin_volume_is_padded_to_two_voxels_at_the_bottom() -> None:
    assert divisible_shape((3, 40, 50), (16,) * 3, ResizeMode.PAD) == (32, 48, 64)
    assert divisible_shape((3, 40, 50), (16,) * 3, ResizeMode.RESIZE) == (32, 48, 48)


@given(shape=SIDES, stride=STRIDES, mode=st.sampled_from(ResizeMode))
def test_the_network_can_downsample_every_divisible_shape(
    shape: tuple[int, int, int], stride: int, mode: ResizeMode
) -> None:
    if mode is ResizeMode.CROP and min(shape) < 2 * stride:
        with pytest.raises(UserError) as caught:
            divisible_shape(shape, (stride,) * 3, mode)
        assert str(shape) in str(caught.value)
        assert str((2 * stride,) * 3) in str(caught.value)
        return
    divisible = divisible_shape(shape, (stride,) * 3, mode)
    for old, new in zip(shape, divisible, strict=True):
        assert new % stride == 0
        assert new // stride >= 2
        match mode:
            case ResizeMode.CROP:
                assert 0 <= old - new < stride
            case ResizeMode.PAD:
                assert old <= new < max(old + stride, 2 * stride + 1)
            case ResizeMode.RESIZE:
                assert abs(new - old) <= stride // 2 or new == 2 * stride


@given(shape=SIDES, stride=STRIDES)
def test_padding_is_undone_exactly(shape: tuple[int, int, int], stride: int) -> None:
    volume = counted(shape)
    padded = to_divisible(
        volume, divisible_shape(shape, (stride,) * 3, ResizeMode.PAD), ResizeMode.PAD, is_labels=False
    )
    np.testing.assert_array_equal(padded[valid_region(shape, padded.shape, ResizeMode.PAD)], volume)


def test_each_axis_has_its_own_stride() -> None:
    assert divisible_shape((3, 17, 29), (1, 4, 8), ResizeMode.PAD) == (3, 20, 32)
    assert divisible_shape((3, 17, 29), (1, 4, 8), ResizeMode.CROP) == (3, 16, 24)
    assert divisible_shape((1, 5, 9), (1, 4, 8), ResizeMode.RESIZE) == (2, 8, 16)
    with pytest.raises(UserError, match=r"at least \(2, 8, 16\)"):
        divisible_shape((3, 17, 15), (1, 4, 8), ResizeMode.CROP)


@given(shape=SIDES, stride=st.sampled_from([2, 3]))
def test_cropping_keeps_the_centre(shape: tuple[int, int, int], stride: int) -> None:
    if min(shape) < 2 * stride:
        return
    volume = counted(shape)
    cropped = to_divisible(
        volume, divisible_shape(shape, (stride,) * 3, ResizeMode.CROP), ResizeMode.CROP, is_labels=False
    )
    first = tuple((old - new) // 2 for old, new in zip(shape, cropped.shape, strict=True))
    np.testing.assert_array_equal(
        cropped, volume[tuple(slice(start, start + side) for start, side in zip(first, cropped.shape, strict=True))]
    )


def test_padding_reflects_image_and_labels_alike() -> None:
    row = np.array([1, 2, 3], np.int64).reshape(1, 1, 3)
    for is_labels in (False, True):
        padded = to_divisible(row, (1, 1, 8), ResizeMode.PAD, is_labels=is_labels)
        np.testing.assert_array_equal(padded.ravel(), [2, 1, 1, 2, 3, 3, 2, 1])
        assert padded.dtype == np.int64


@given(shape=SIDES, stride=STRIDES)
def test_images_are_resized_as_scipy_does(shape: tuple[int, int, int], stride: int) -> None:
    target = divisible_shape(shape, (stride,) * 3, ResizeMode.RESIZE)
    image = np.random.default_rng(sum(shape)).random(shape, dtype=np.float32)
    resized = to_divisible(image, target, ResizeMode.RESIZE, is_labels=False)
    zoom = [new / old for old, new in zip(shape, target, strict=True)]
    expected = ndimage.zoom(image, zoom, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(resized, expected, atol=1e-4)


@given(shape=SIDES, stride=STRIDES)
def test_labels_are_resized_to_the_nearest_as_torch_does(shape: tuple[int, int, int], stride: int) -> None:
    target = divisible_shape(shape, (stride,) * 3, ResizeMode.RESIZE)
    labels = np.random.default_rng(stride).choice(np.array([0, 3, 2**40], np.int64), shape)
    resized = to_divisible(labels, target, ResizeMode.RESIZE, is_labels=True)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(labels.astype(np.float64))[None, None], target, mode="nearest-exact"
    )
    assert resized.dtype == np.int64
    np.testing.assert_array_equal(resized, expected[0, 0].numpy().astype(np.int64))


def test_resized_image_and_labels_stay_aligned() -> None:
    labels = np.zeros((20, 26, 33), np.uint8)
    labels[5:14, 8:20, 3:15] = 1
    target = (16, 32, 32)
    image = to_divisible(labels.astype(np.float32), target, ResizeMode.RESIZE, is_labels=False)
    resized = to_divisible(labels, target, ResizeMode.RESIZE, is_labels=True)
    expected = (np.array([9, 13.5, 8.5]) + 0.5) * target / labels.shape - 0.5
    np.testing.assert_allclose(ndimage.center_of_mass(image), expected, atol=0.1)
    np.testing.assert_allclose(ndimage.center_of_mass(resized), expected, atol=0.5)  # whole voxels


def test_a_read_only_memory_map_can_be_resized() -> None:
    image = counted((4, 5, 6))
    image.setflags(write=False)
    assert to_divisible(image, (4, 6, 6), ResizeMode.RESIZE, is_labels=False).shape == (4, 6, 6)
