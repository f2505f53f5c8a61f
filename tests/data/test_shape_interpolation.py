"""Shapes between painted slices, against values computed by hand and against geometry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet3d.data.shape_interpolation import gaps_around, interpolate_gap, is_painted


def disk(side, middle, radius):
    rows, columns = np.indices((side, side))
    return np.hypot(rows - middle[0], columns - middle[1]) <= radius


def test_a_cone_between_two_disks():
    labels = np.zeros((9, 41, 41), np.uint8)
    labels[0][disk(41, (20, 20), 4)] = labels[8][disk(41, (20, 20), 16)] = 2
    gap = interpolate_gap(labels, 0, 0, 8, (1.0, 1.0, 1.0))
    assert gap.labels.dtype == np.uint8
    for index in range(1, 8):
        radius = 4 + 12 * index / 8
        area = np.count_nonzero(gap.labels[index - 1])
        assert np.sqrt(area / np.pi) == pytest.approx(radius, abs=0.5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_axis_gives_the_same_shapes(axis):
    labels = np.zeros((5, 11, 13), np.uint8)
    labels[0, 3:6, 4:9] = labels[4, 2:9, 3:12] = 2
    labels[0, 8:10, 2:5] = labels[4, 9:11, 2:6] = 1
    expected = interpolate_gap(labels, 0, 0, 4, (1.0, 1.0, 2.0))
    turned = np.moveaxis(labels, 0, axis)
    spacing = [1.0, 2.0]
    spacing.insert(axis, 1.0)
    gap = interpolate_gap(turned, axis, 0, 4, tuple(spacing))
    np.testing.assert_array_equal(np.moveaxis(gap.labels, axis, 0), expected.labels)
    assert gap.box[axis] == slice(1, 4)


def test_distances_are_in_space_not_in_voxels():
    """From a bar that is wide along x to one that is wide along y: which of them wins depends on the voxel size."""
    labels = np.zeros((3, 21, 21), np.uint8)
    labels[0, 8:13, 4:17] = labels[2, 4:17, 8:13] = 2
    same = interpolate_gap(labels, 0, 0, 2, (1.0, 1.0, 1.0)).labels[0]
    np.testing.assert_array_equal(same, same.T)
    long = interpolate_gap(labels, 0, 0, 2, (1.0, 5.0, 1.0)).labels[0]
    assert (long != long.T).any()


def test_what_is_painted_in_the_gap_stays_and_what_only_one_slice_has_is_left_out():
    labels = np.zeros((3, 9, 9), np.uint8)
    labels[0, 2:7, 2:7] = labels[2, 2:7, 2:7] = 2
    labels[0, 7:9, 7:9] = 3
    labels[1, 4, 4] = 1
    gap = interpolate_gap(labels, 0, 0, 2, (1.0, 1.0, 1.0))
    expected = np.zeros((9, 9), np.uint8)
    expected[2:7, 2:7] = 2
    expected[4, 4] = 0
    rows, columns = gap.box[1:]
    np.testing.assert_array_equal(gap.labels[0], expected[rows, columns])
    assert gap.left_out == (3,)


def test_slices_that_are_painted_completely_fill_those_between():
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[0] = labels[3] = 1
    gap = interpolate_gap(labels, 0, 0, 3, (1.0, 1.0, 1.0))
    assert gap.labels.shape == (2, 5, 6)
    assert (gap.labels == 1).all()


@settings(max_examples=40)
@given(st.data())
def test_between_two_equal_slices_lies_the_same_slice(data):
    shape = data.draw(st.tuples(st.integers(3, 9), st.integers(3, 9)))
    values = data.draw(st.lists(st.integers(0, 3), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    plane = np.array(values, np.uint8).reshape(shape)
    labels = np.zeros((4, *shape), np.uint8)
    labels[0] = labels[3] = plane
    gap = interpolate_gap(labels, 0, 0, 3, (1.0, 1.0, 1.0))
    filled = np.zeros((2, *shape), np.uint8)
    filled[(slice(None), *gap.box[1:])] = gap.labels
    np.testing.assert_array_equal(filled, [plane, plane])


def test_lines_in_which_other_slices_cross_are_no_painted_slices():
    labels = np.zeros((12, 10, 10), np.uint8)
    labels[:, 4] = 1  # one slice along y, painted completely
    assert gaps_around(labels, 0, 5) == []
    labels[[2, 9], 6:9, 6:9] = 2
    assert gaps_around(labels, 0, 5) == [(2, 9)]
    assert gaps_around(labels, 0, 9) == [(2, 9)]
    assert gaps_around(labels, 0, 11) == []
    assert is_painted(labels[:, 4])


def test_slices_side_by_side_have_no_gap():
    labels = np.zeros((5, 6, 6), np.uint8)
    labels[[1, 2], 2:5, 2:5] = 2
    assert gaps_around(labels, 0, 1) == []
