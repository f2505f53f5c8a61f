"""Edits of objects: exact results by hand, and what holds for all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage

from napari_unet3d.data import object_edits
from napari_unet3d.data import object_operations as edits
from napari_unet3d.data.object_splits import split_along_cut, split_at_points
from napari_unet3d.errors import UserError

FULL = np.ones((3, 3, 3))
SPACING = (2.0, 1.0, 0.5)


def after(labels, edit):
    """Return the labels after an edit, which touches only what it says."""
    result = labels.copy()
    for change in edit.changes:
        np.testing.assert_array_equal(labels[change.box], change.before)
        result[change.box] = change.after
    return result


@pytest.fixture
def cells():
    """Object 3 of two pieces, 5 beside the larger one, and 9 elsewhere with a hole."""
    labels = np.zeros((12, 20, 24), np.uint8)
    labels[2:6, 2:8, 2:10] = 3
    labels[2:4, 15:17, 2:4] = 3
    labels[2:6, 8:12, 2:10] = 5
    labels[6:11, 13:19, 14:22] = 9
    labels[8, 15, 17] = 0
    return labels


def test_merging_keeps_the_number_of_the_first(cells):
    edit = edits.merge_objects(cells, [5, 3])
    expected = np.where(cells == 3, 5, cells)
    np.testing.assert_array_equal(after(cells, edit), expected)
    assert edit.message == "Merged 3 into 5."
    assert edit.objects == (5,)
    assert "do not touch" in edits.merge_objects(cells, [5, 9]).message
    assert "do not touch" not in edits.merge_objects(cells, [5, 3, 5]).message


def test_three_in_a_row_are_connected_by_the_middle_one():
    labels = np.zeros((3, 3, 9), np.uint8)
    labels[..., :3], labels[..., 3:6], labels[..., 6:] = 1, 2, 3
    assert edits.merge_objects(labels, [1, 3, 2]).message == "Merged 3, 2 into 1."
    assert "do not touch" in edits.merge_objects(labels, [1, 3]).message


def test_deleting_leaves_background(cells):
    result = after(cells, edits.delete_objects(cells, [3, 9]))
    np.testing.assert_array_equal(result, np.where(cells == 5, 5, 0))


def test_only_enclosed_background_is_filled(cells):
    result = after(cells, edits.fill_holes(cells, [3, 9]))
    assert result[8, 15, 17] == 9
    assert (result != cells).sum() == 1
    with pytest.raises(UserError, match="no hole in object 3"):
        edits.fill_holes(cells, [3])


def test_another_object_in_a_hole_stays(cells):
    cells[8, 15, 17] = 1
    with pytest.raises(UserError, match="no hole"):
        edits.fill_holes(cells, [9])


def test_smoothing_removes_a_spike_and_never_takes_from_a_neighbour(cells):
    cells[3, 4, 10:14] = 3  # a spike, one voxel thick
    result = after(cells, edits.smooth_objects(cells, [3], 1.0, (1.0, 1.0, 1.0)))
    assert not result[3, 4, 11:14].any()
    np.testing.assert_array_equal(result == 5, cells == 5)
    np.testing.assert_array_equal(result == 9, cells == 9)
    assert result[3, 4, 5] == 3


def test_smoothing_counts_in_micrometres():
    """A plate of one slice is thin in voxels: with a sigma of one voxel, 38 % are left of it, with 0.1 all of it."""
    plate = np.zeros((7, 16, 16), np.uint8)
    plate[3, 2:14, 2:14] = 1
    result = after(plate, edits.smooth_objects(plate, [1], 1.0, (10.0, 1.0, 1.0)))
    assert result[3, 4:12, 4:12].all()
    assert not result[3, 2, 2]  # its corners are rounded
    with pytest.raises(UserError, match="vanish"):
        edits.smooth_objects(plate, [1], 1.0, (1.0, 1.0, 1.0))


def test_what_would_vanish_is_not_smoothed(cells):
    cells[0, 0, 20:23] = 1
    with pytest.raises(UserError, match="Object 1 would vanish"):
        edits.smooth_objects(cells, [1], 3.0, (1.0, 1.0, 1.0))


def test_pieces_get_numbers_of_their_own_or_go(cells):
    edit = edits.separate_pieces(cells, [3, 5])
    assert edit.objects == (3, 10)
    result = after(cells, edit)
    assert (result == 10).sum() == 2 * 2 * 2
    assert (result == 3).sum() == 4 * 6 * 8
    result = after(cells, edits.keep_largest_piece(cells, [3]))
    assert not result[2:4, 15:17, 2:4].any()
    assert (result == 3).sum() == 4 * 6 * 8
    with pytest.raises(UserError, match="Object 5 is in one piece"):
        edits.keep_largest_piece(cells, [5])


def test_numbers_that_do_not_fit_are_refused_with_a_remedy(cells):
    cells[0, 0, 0] = 255
    with pytest.raises(UserError, match=r"uint8, whose largest number is 255.*Renumber"):
        edits.separate_pieces(cells, [3])


def test_the_ignore_label_is_no_number_of_an_object(cells):
    assert edits.free_numbers(cells, 3, reserved=11) == [10, 12, 13]


def test_renumbering_leaves_no_gaps(cells):
    result = after(cells, edits.renumber_objects(cells))
    assert np.unique(result).tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(result == 2, cells == 5)
    with pytest.raises(UserError, match="without gaps already"):
        edits.renumber_objects(result)


@pytest.mark.parametrize("edit", [edits.delete_objects, edits.fill_holes, edits.keep_largest_piece])
def test_an_object_that_is_not_there_is_named(cells, edit):
    with pytest.raises(UserError, match="There is no object 77"):
        edit(cells, [77])


def two_balls(spacing=(1.0, 1.0, 1.0)):
    grid = np.indices((17, 17, 34)).T * spacing
    left, right = (np.linalg.norm(grid - np.multiply(middle, spacing), axis=-1).T for middle in ((8, 8, 9), (8, 8, 23)))
    return np.where((left < 8) | (right < 8), 4, 0).astype(np.uint16)


@pytest.mark.parametrize(
    "points", [[(8, 8, 9), (8, 8, 23)], [(8, 1, 9), (15, 8, 23)], [(8, 8, 2), (8, 8, 30)], [(2, 8, 9), (8, 8, 24)]]
)
def test_touching_balls_are_split_at_their_neck_wherever_they_are_clicked(points):
    labels = two_balls()
    edit = split_at_points(labels, 4, points, (1.0, 1.0, 1.0))
    result = after(labels, edit)
    one, other = (result[point] for point in points)
    assert {one, other} == {4, 5}
    assert (result[:, :, :15][labels[:, :, :15] > 0] == one).all()
    assert (result[:, :, 18:][labels[:, :, 18:] > 0] == other).all()


def test_points_in_one_bulge_divide_it_half_way():
    labels = np.zeros((9, 9, 24), np.uint8)
    labels[1:8, 1:8, 1:23] = 2
    result = after(labels, split_at_points(labels, 2, [(4, 4, 7), (4, 4, 16)], SPACING))
    assert (result[labels > 0] != 2).sum() == labels[1:8, 1:8, 1:12].astype(bool).sum()
    assert len(np.unique(result[4, 4, 1:12])) == 1


@settings(max_examples=60)
@given(
    labels=npst.arrays(np.uint8, (6, 7, 8), elements=st.sampled_from([0, 1, 1, 1, 9])),
    seed=st.integers(0, 10_000),
    n_points=st.integers(2, 4),
)
def test_every_split_keeps_the_object_together_and_others_as_they_are(labels, seed, n_points):
    voxels = np.argwhere(labels == 1)
    if len(voxels) < n_points:
        return
    chosen = np.random.default_rng(seed).choice(len(voxels), n_points, replace=False)
    points = [tuple(voxels[each].tolist()) for each in chosen]
    result = after(labels, split_at_points(labels, 1, points, SPACING))
    assert len({int(result[point]) for point in points}) == n_points
    np.testing.assert_array_equal((result > 0) & (result != 9), labels == 1)
    np.testing.assert_array_equal(result == 9, labels == 9)


def test_points_elsewhere_are_refused():
    labels = two_balls()
    with pytest.raises(UserError, match="not in object 4"):
        split_at_points(labels, 4, [(8, 8, 9), (0, 0, 0)], SPACING)
    with pytest.raises(UserError, match="1 point in object 4"):
        split_at_points(labels, 4, [(8, 8, 9), (8, 8, 9)], SPACING)


def test_a_cut_divides_where_it_is_drawn():
    labels = np.zeros((10, 12, 20), np.uint8)
    labels[2:8, 2:10, 2:18] = 1
    labels[0, 0, 0] = 7
    edit = split_along_cut(labels, 1, ((5, 0, 12), (5, 11, 12)), (1, 0, 0))
    result = after(labels, edit)
    assert edit.objects == (1, 8)
    assert (result[2:8, 2:10, 2:12] == 1).all()
    assert (result[2:8, 2:10, 13:18] == 8).all()
    np.testing.assert_array_equal(result > 0, labels > 0)


def test_a_slanted_cut_leaves_no_hole_between_the_parts():
    labels = np.zeros((10, 16, 16), np.uint8)
    labels[1:9, 2:14, 2:14] = 1
    result = after(labels, split_along_cut(labels, 1, ((4, 0, 1), (5, 15, 14)), (1, 0.3, 0.2)))
    for number in (1, 2):
        assert ndimage.label(result == number, FULL)[1] == 1
    assert (result == 2).sum() > 400


def test_a_short_cut_changes_one_arm_only():
    labels = np.zeros((5, 12, 20), np.uint8)
    labels[1:4, 1:4, 1:19] = 1  # two arms
    labels[1:4, 8:11, 1:19] = 1
    labels[1:4, 1:11, 1:3] = 1  # that are connected at their left
    result = after(labels, split_along_cut(labels, 1, ((2, 0, 10), (2, 5, 10)), (1, 0, 0)))
    assert (result[1:4, 8:11, 1:19] == 1).all()
    assert (result[1:4, 1:4, 11:19] == 2).all()


@pytest.mark.parametrize("line", [((5, 0, 12), (5, 6, 12)), ((5, 0, 0), (5, 11, 0)), ((5, 3, 3), (5, 3, 3))])
def test_a_cut_that_does_not_divide_is_explained(line):
    labels = np.zeros((10, 12, 20), np.uint8)
    labels[2:8, 2:10, 2:18] = 1
    with pytest.raises(UserError, match=r"does not divide object 1|no length"):
        split_along_cut(labels, 1, line, (1, 0, 0))


@given(labels=npst.arrays(np.int16, (3, 4, 5), elements=st.integers(-2, 6)))
def test_label_values_are_those_of_numpy(labels):
    assert edits.label_values(labels).tolist() == [each for each in np.unique(labels).tolist() if each > 0]
    for number in edits.label_values(labels).tolist():
        expected = ndimage.find_objects((labels == number).astype(int))[0]
        assert object_edits.object_box(labels, number) == expected
        assert object_edits.object_boxes(labels)[number] == expected
    numbers = edits.label_values(labels).tolist()
    assert list(object_edits.object_boxes(labels, numbers[::-1])) == numbers[::-1]


def test_of_many_objects_the_one_that_is_missing_is_named():
    labels = np.arange(1, 11, dtype=np.uint8).reshape(1, 2, 5)
    with pytest.raises(UserError, match="no object 12"):
        edits.delete_objects(labels, [*range(1, 9), 12])
    assert len(edits.delete_objects(labels, range(1, 11)).changes) == 10
