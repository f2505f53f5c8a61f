from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_unet3d.training.loading.instance_targets import instance_targets

VOXEL = (2.0, 1.0, 0.5)


def test_boundary_is_where_two_objects_meet_and_not_their_surface() -> None:
    ids = np.zeros((3, 5, 9), np.uint16)
    ids[:, :, :3] = 7
    ids[:, :, 3:5] = 2
    ids[:, :, 6:] = 900  # one voxel of background before it

    boundary, _ = instance_targets(ids, VOXEL)

    for row in boundary.reshape(-1, 9):
        assert row.tolist() == [0, 0, 1, 1, 0, 1, 0, 0, 0]


def test_objects_that_share_a_corner_meet() -> None:
    ids = np.zeros((4, 5, 6), np.uint8)
    ids[:2, :2, :2] = 1
    ids[2:, 2:, 2:] = 2

    boundary, _ = instance_targets(ids, VOXEL)

    assert boundary[1, 1, 1] == boundary[2, 2, 2] == boundary[1, 2, 2] == 1
    assert boundary[0, 0, 0] == boundary[3, 4, 5] == boundary[0, 1, 1] == 0


def test_distance_is_in_um_as_a_part_of_the_largest_of_the_object() -> None:
    ids = np.zeros((7, 9, 14), np.uint8)
    ids[1:6, 2:7, 1:13] = 3  # 5, 5 and 12 voxels: 10, 5 and 6 µm

    _, distance = instance_targets(ids, VOXEL)

    # At most 3 voxels of 1 µm along y (6 of 0.5 µm along x, 3 of 2 µm along z lie further away, or as far).
    assert distance[3, 2:7, 6].tolist() == [85, 170, 255, 170, 85]
    assert distance[1, 4, 6] == 170  # 2 µm to the nearest voxel outside along z
    assert distance[3, 4, 1:4].tolist() == [42, 85, 128]  # 0.5, 1 and 1.5 of 3 µm; a half is rounded to even
    assert not distance[ids == 0].any()


def test_the_border_of_the_volume_is_no_border_of_an_object() -> None:
    whole = np.zeros((9, 11, 13), np.uint8)
    z, y, x = np.ogrid[:9, :11, :13]
    whole[(z - 4) ** 2 * 4 + (y - 5) ** 2 + (x - 6) ** 2 / 4 < 14] = 1
    half = whole[:, :, 6:]

    _, distance = instance_targets(half, VOXEL)

    np.testing.assert_array_equal(distance, instance_targets(whole, VOXEL)[1][:, :, 6:])
    assert distance[4, 5, 0] == 255


@pytest.mark.parametrize("value", [1, 4_000_000_000])
def test_a_volume_that_is_one_object_is_all_middle(value: int) -> None:
    boundary, distance = instance_targets(np.full((3, 4, 5), value, np.uint32), VOXEL)

    assert not boundary.any()
    assert (distance == 255).all()


def test_nothing_but_background_has_no_targets() -> None:
    assert not instance_targets(np.zeros((3, 4, 5), np.uint8), VOXEL).any()


def test_an_object_painted_in_one_slice_has_its_middle_there() -> None:
    ids = np.zeros((5, 9, 7), np.uint8)
    ids[2, 2:7, 1:6] = 4
    annotated = np.zeros(ids.shape, np.bool_)
    annotated[2] = True

    _, distance = instance_targets(ids, VOXEL, annotated)

    # In the slice alone: 0.5, 1 and 1.5 µm along x, of at most 1.5 µm.
    assert distance[2, 4, 1:6].tolist() == [85, 170, 255, 170, 85]
    assert not distance[[0, 1, 3, 4]].any()


@settings(max_examples=25)
@given(arrays(np.uint8, (4, 5, 6), elements=st.integers(0, 4)), st.permutations(range(1, 5)))
def test_ids_are_names_and_nothing_else(ids: np.ndarray, order: list[int]) -> None:
    names = np.array([0, *(4_000_000_000 + number for number in order)], np.uint32)

    np.testing.assert_array_equal(instance_targets(names[ids], VOXEL), instance_targets(ids, VOXEL))


@settings(max_examples=25)
@given(arrays(np.uint8, (4, 5, 6), elements=st.integers(0, 3)))
def test_distance_is_scipys_over_the_whole_volume(ids: np.ndarray) -> None:
    _, distance = instance_targets(ids, VOXEL)

    for number in set(np.unique(ids)) - {0}:
        if (ids == number).all():
            continue
        to_border = ndimage.distance_transform_edt(ids == number, sampling=VOXEL)
        expected = np.rint(to_border / to_border.max() * 255)
        assert np.abs(distance[ids == number] - expected[ids == number]).max() <= 1
