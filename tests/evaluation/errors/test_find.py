from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import ndimage

from napari_unet3d.configs import Task
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth, decode_labels
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.errors import find as error_objects
from napari_unet3d.evaluation.errors.find import find_errors, list_errors
from napari_unet3d.evaluation.errors.types import ErrorKind, SearchProgress, SegmentationError
from napari_unet3d.evaluation.metrics.differences import EXTRA, MISSED, WRONG_CLASS, difference_labels
from napari_unet3d.evaluation.metrics.instances import match_instances

SHAPE = (16, 20, 24)
VOXEL = (2.0, 1.0, 0.5)  # one cubic micrometre
DIAGONALLY = np.ones((3, 3, 3))


def volume(*boxes: tuple[int, tuple[slice, slice, slice]]) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    for value, box in boxes:
        labels[box] = value
    return labels


def summary(error: SegmentationError) -> tuple[ErrorKind, int, bool]:
    return error.kind, error.n_voxels, error.is_whole


BOX = np.s_[4:10, 5:13, 6:18]


def test_a_missed_box_is_a_whole_error_as_deep_as_its_middle():
    (error,) = list_errors(volume(), GroundTruth(volume((1, BOX))), geometry=Geometry(VOXEL)).errors
    assert summary(error) == (ErrorKind.MISSED, 6 * 8 * 12, True)
    assert error.volume == pytest.approx(6 * 8 * 12 * 2.0 * 1.0 * 0.5)
    # To the nearest voxel outside it is 3 voxels of 2 µm along z, 4 of 1 µm along y and 6 of 0.5 µm along x.
    assert error.depth == pytest.approx(3.0)
    assert error.position_zyx[2] in (11, 12)
    assert error.box_zyx == ((4, 10), (5, 13), (6, 18))
    assert (error.predicted, error.target) == ((), (1,))


def test_what_is_extra_next_to_an_instance_is_as_deep_as_it_reaches_away_from_it():
    truth = volume((1, BOX))
    predicted = truth.copy()
    predicted[5, 6, 18:23] = 1  # a spike of 5 voxels of 0.5 µm
    (error,) = list_errors(predicted, GroundTruth(truth), geometry=Geometry(VOXEL)).errors
    assert summary(error) == (ErrorKind.EXTRA, 5, False)
    assert error.depth == pytest.approx(2.5)
    assert error.position_zyx == (5, 6, 22)


def test_something_extra_on_its_own_is_as_deep_as_it_is_thick():
    predicted = volume((1, BOX), (1, np.s_[12:15, 1:4, 1:4]))
    (error,) = list_errors(predicted, GroundTruth(volume((1, BOX))), geometry=Geometry(VOXEL)).errors
    assert summary(error) == (ErrorKind.EXTRA, 27, True)
    assert error.depth == pytest.approx(1.0)  # two voxels of 0.5 µm along x
    assert error.position_zyx == (13, 2, 2)


def test_without_any_surface_depth_counts_from_the_own_one():
    everything = np.ones(SHAPE, np.uint8)
    (error,) = list_errors(np.zeros(SHAPE, int), GroundTruth(everything), geometry=Geometry((1, 1, 1))).errors
    assert (error.n_voxels, error.depth) == (everything.size, 8.0)


def test_pieces_that_touch_with_a_corner_are_one_error_others_are_two():
    truth = volume((1, np.s_[2:4, 2:4, 2:4]), (1, np.s_[4:6, 4:6, 4:6]), (1, np.s_[8:9, 8:9, 8:9]))
    errors = list_errors(volume(), GroundTruth(truth)).errors
    assert [error.n_voxels for error in errors] == [16, 1]
    assert [error.number for error in errors] == [1, 2]


def test_missed_and_extra_that_touch_are_two_errors():
    truth, predicted = volume((1, np.s_[2:4, 2:6, 2:4])), volume((1, np.s_[4:6, 2:6, 2:4]))
    kinds = {error.kind for error in list_errors(predicted, GroundTruth(truth)).errors}
    assert kinds == {ErrorKind.MISSED, ErrorKind.EXTRA}


def test_merge_and_split_have_the_instances_and_where_they_meet():
    truth = volume((1, np.s_[2:6, 2:8, 2:8]), (2, np.s_[2:6, 2:8, 8:12]), (3, np.s_[8:14, 4:16, 4:10]))
    predicted = volume((7, np.s_[2:6, 2:8, 2:12]), (8, np.s_[8:14, 4:12, 4:10]), (9, np.s_[8:14, 12:16, 4:10]))
    errors = list_errors(predicted, GroundTruth(truth), Task.INSTANCE).errors
    split, merge = errors
    assert summary(split) == (ErrorKind.SPLIT, 6 * 12 * 6, False)
    assert (split.predicted, split.target) == ((8, 9), (3,))
    assert split.position_zyx[1] == 12  # the first voxel of the smaller part
    assert split.depth == 2.0  # which is four voxels wide
    assert summary(merge) == (ErrorKind.MERGE, 4 * 6 * 10, False)
    assert (merge.predicted, merge.target) == ((7,), (1, 2))
    assert merge.position_zyx[2] == 8


def test_instances_are_missed_and_extra_one_by_one_though_they_touch():
    truth = volume((1, np.s_[2:6, 2:8, 2:8]), (2, np.s_[2:6, 2:8, 8:12]), (5, np.s_[10:14, 2:8, 2:8]))
    predicted = volume((4, np.s_[10:14, 2:8, 2:6]), (6, np.s_[10:14, 12:16, 12:16]))
    errors = list_errors(predicted, GroundTruth(truth), Task.INSTANCE).errors
    told = [(error.kind, error.target, error.predicted, error.is_whole) for error in errors]
    assert told == [
        (ErrorKind.MISSED, (1,), (), True),
        (ErrorKind.MISSED, (2,), (), True),
        (ErrorKind.EXTRA, (), (6,), True),
        (ErrorKind.MISSED, (5,), (), False),
    ]


def test_a_gap_between_touching_instances_is_no_deeper_than_it_is_wide():
    truth = volume((1, np.s_[2:14, 2:18, 2:10]), (2, np.s_[2:14, 2:18, 10:20]))
    predicted = truth.copy()
    predicted[:, :, 9] = 0  # the gap between instances: one voxel, deep inside the foreground
    assert [error.depth for error in list_errors(predicted, GroundTruth(truth), Task.INSTANCE).errors] == [1.0]
    hidden = list_errors(predicted, GroundTruth(truth), Task.INSTANCE, tolerance=1.0)
    assert (hidden.errors, hidden.n_hidden) == ((), 1)


def test_a_wrong_class_tells_which_for_which():
    truth = volume((1, np.s_[2:8, 2:8, 2:8]), (2, np.s_[8:12, 2:8, 2:8]))
    predicted = truth.copy()
    predicted[6:8, 2:8, 2:8] = 2
    predicted[8:12, 2:8, 2:4] = 3
    wide, narrow = list_errors(predicted, GroundTruth(truth), Task.SEMANTIC).errors
    assert (wide.kind, wide.target, wide.predicted, wide.n_voxels) == (ErrorKind.WRONG_CLASS, (1,), (2,), 72)
    assert wide.depth == 2.0
    assert (narrow.kind, narrow.target, narrow.predicted, narrow.n_voxels) == (ErrorKind.WRONG_CLASS, (2,), (3,), 48)


def test_what_is_not_annotated_is_no_error():
    painted = volume((1, np.s_[4:12, 2:18, 2:20]), (2, np.s_[5:9, 4:10, 4:10]))
    predicted = volume((1, np.s_[5:9, 4:10, 7:10]), (1, np.s_[13:16, :, :]))
    truth = decode_labels(painted, Task.BINARY, 0)
    (error,) = list_errors(predicted, truth).errors
    assert summary(error) == (ErrorKind.MISSED, 4 * 6 * 3, False)


def test_tolerance_hides_noise_at_surfaces_and_nothing_else():
    truth = volume((1, BOX))
    predicted = volume((1, np.s_[3:11, 5:13, 6:18]))  # two slices of 2 µm too many
    predicted[12:14, 1, 1] = 1  # a speck of two voxels
    predicted[1, 1, 2:22] = 1  # long and thin
    errors = list_errors(predicted, GroundTruth(truth), geometry=Geometry(VOXEL), tolerance=2.0)
    assert [summary(error) for error in errors.errors] == [(ErrorKind.EXTRA, 20, True)]
    assert (errors.n_hidden, errors.tolerance) == (3, 2.0)
    assert np.count_nonzero(errors.regions) == 20
    shallower = list_errors(predicted, GroundTruth(truth), geometry=Geometry(VOXEL), tolerance=1.9)
    assert len(shallower.errors) == 4


def test_errors_that_noise_connects_are_separated_with_a_tolerance():
    truth, predicted = volume((1, np.s_[3:13, 4:16, 4:20])), volume((1, np.s_[2:14, 3:17, 3:21]))  # too wide by a voxel
    for corner in (np.s_[0:3, 4:7, 4:7], np.s_[0:3, 12:15, 16:19]):
        predicted[corner] = 1
    (joined,) = list_errors(predicted, GroundTruth(truth)).errors
    assert joined.n_voxels == (predicted > truth).sum()
    errors = list_errors(predicted, GroundTruth(truth), tolerance=1.8)
    assert [error.depth for error in errors.errors] == [3.0, 3.0]
    assert {error.box_zyx[0][0] for error in errors.errors} == {0}
    assert {error.position_zyx[1] < 10 for error in errors.errors} == {True, False}
    for error in errors.errors:
        assert 18 <= error.n_voxels < 100  # the two slices above the noise, and some of that


def test_noise_of_one_instance_does_not_become_a_part_of_an_error_of_another():
    truth = volume((1, np.s_[6:10, 4:16, 2:22]))
    predicted = volume((1, np.s_[5:10, 4:16, 2:22]))  # too high by a slice, which is noise
    predicted[3:6, 4:7, 2:5] = 1  # and by three in one corner, which is not
    predicted[2:5, 8:16, 12:22] = 2  # on top of the noise
    larger, smaller = list_errors(predicted, GroundTruth(truth), Task.INSTANCE, tolerance=1.5).errors
    assert (larger.predicted, larger.n_voxels) == ((2,), 3 * 8 * 10)
    assert smaller.predicted == (1,)


@pytest.mark.parametrize(("tolerance", "n_errors"), [(0.3, 0), (0.29, 1)])
def test_a_merge_exactly_as_deep_as_the_tolerance_is_noise(tolerance, n_errors):
    truth = volume((1, np.s_[2:12, 2:8, 2:8]), (2, np.s_[2:12, 2:8, 8:9]))
    errors = list_errors(
        (truth > 0).astype(int), GroundTruth(truth), Task.INSTANCE, Geometry((0.3, 0.3, 0.3)), tolerance
    )
    assert len(errors.errors) == n_errors


def test_only_the_largest_errors_are_kept(monkeypatch):
    monkeypatch.setattr(error_objects, "MOST_KEPT", 3)
    truth = np.zeros((10, 12, 60), np.uint8)
    for number in range(1, 8):
        truth[5, 5, 8 * number - 8 : 9 * number - 8] = 1
    errors = list_errors(np.zeros_like(truth), GroundTruth(truth))
    assert [error.n_voxels for error in errors.errors] == [7, 6, 5]
    assert errors.n_left_out == 4
    assert np.unique(errors.regions).tolist() == [0, 1, 2, 3]


def test_noise_is_not_counted_among_the_errors_that_were_left_out(monkeypatch):
    monkeypatch.setattr(error_objects, "MOST_KEPT", 2)
    truth = np.zeros((10, 12, 60), np.uint8)
    for number in range(1, 8):
        truth[5, 5, 8 * number - 8 : 9 * number - 8] = 1
    errors = list_errors(np.zeros_like(truth), GroundTruth(truth), tolerance=2.0)
    assert [error.n_voxels for error in errors.errors] == [7, 6]
    assert (errors.n_hidden, errors.n_left_out) == (4, 1)  # those of four voxels and fewer are noise


def test_large_ids_come_back_as_they_were():
    truth = volume((1, BOX)).astype(np.uint64) * 2**40
    (error,) = list_errors(volume(), GroundTruth(truth), Task.INSTANCE).errors
    assert error.target == (2**40,)


def test_the_search_says_how_far_it_is_and_can_be_left():
    rng = np.random.default_rng(3)
    truth, predicted = (rng.integers(0, 2, SHAPE, np.uint8) for _ in range(2))
    events = find_errors(predicted, GroundTruth(truth))
    assert next(events) == SearchProgress(0, int((truth != predicted).sum()))
    events.close()


def test_volumes_of_different_shapes_are_refused():
    with pytest.raises(UserError, match=r"\(16, 20, 24\).*\(16, 20, 23\)"):
        list_errors(volume(), GroundTruth(volume()[..., 1:]))


TASKS = st.sampled_from(list(Task))
SHAPES = st_numpy.array_shapes(min_dims=3, max_dims=3, max_side=6)


@st.composite
def pairs(draw):
    shape = draw(SHAPES)
    values = st_numpy.arrays(np.uint8, shape, elements=st.integers(0, 3))
    annotated = draw(st.none() | st_numpy.arrays(bool, shape))
    truth = draw(values)
    return draw(values), GroundTruth(truth if annotated is None else truth * annotated, annotated)


@given(pairs(), TASKS)
def test_regions_are_the_difference_with_each_voxel_once(pair, task):
    predicted, truth = pair
    if task is Task.BINARY:
        truth = GroundTruth((truth.labels > 0).astype(np.uint8), truth.label_mask)
    difference = difference_labels(predicted, truth, task)
    errors = list_errors(predicted, truth, task, Geometry(VOXEL))
    marks = {ErrorKind.EXTRA: EXTRA, ErrorKind.MISSED: MISSED, ErrorKind.WRONG_CLASS: WRONG_CLASS}
    drawn = np.zeros_like(difference)
    for error in errors.errors:
        mask = errors.regions == error.number
        if error.kind in marks:
            assert mask.sum() == error.n_voxels
            assert not drawn[mask].any()
            drawn[mask] = marks[error.kind]
            assert ndimage.label(mask, DIAGONALLY)[1] == 1
            assert mask[error.position_zyx]
            assert mask[error.slices].sum() == error.n_voxels
            np.testing.assert_array_equal(errors.mask_of(error), mask[error.slices])
    np.testing.assert_array_equal(drawn, difference)
    assert errors.n_hidden == errors.n_left_out == 0


@given(pairs())
def test_foreground_errors_are_those_that_scipy_counts_and_measures(pair):
    predicted, truth = pair
    truth = GroundTruth((truth.labels > 0).astype(np.uint8), truth.label_mask)
    difference = difference_labels(predicted, truth)
    errors = list_errors(predicted, truth, geometry=Geometry(VOXEL)).errors
    for kind, mark, inside in ((ErrorKind.MISSED, MISSED, 1), (ErrorKind.EXTRA, EXTRA, 0)):
        ours = [error for error in errors if error.kind is kind]
        assert len(ours) == ndimage.label(difference == mark, DIAGONALLY)[1]
        other = truth.labels != inside
        if truth.label_mask is not None:
            other &= truth.label_mask
        if other.any():
            depths = ndimage.distance_transform_edt(~other, sampling=VOXEL)
            for error in ours:
                if not (error.is_whole and kind is ErrorKind.EXTRA):
                    assert error.depth == pytest.approx(depths[error.position_zyx], rel=1e-5)


@given(pairs())
def test_merges_and_splits_are_those_of_the_scores(pair):
    predicted, truth = pair
    scores = match_instances(predicted, truth.labels, truth.label_mask)
    errors = list_errors(predicted, truth, Task.INSTANCE).errors
    kinds = [error.kind for error in errors]
    assert kinds.count(ErrorKind.MERGE) == scores.n_merged
    assert kinds.count(ErrorKind.SPLIT) == scores.n_split


@given(pairs(), st.floats(0, 4))
def test_no_error_in_the_table_is_boundary_noise(pair, tolerance):
    predicted, truth = pair
    truth = GroundTruth((truth.labels > 0).astype(np.uint8), truth.label_mask)
    everything = list_errors(predicted, truth, geometry=Geometry(VOXEL))
    errors = list_errors(predicted, truth, geometry=Geometry(VOXEL), tolerance=tolerance)
    assert all(error.depth > tolerance or error.is_whole for error in errors.errors)
    assert np.isin(everything.regions[errors.regions > 0], [error.number for error in everything.errors]).all()
    deepest = {error.number: error.depth for error in everything.errors if not error.is_whole}
    n_noise = sum(depth <= tolerance for depth in deepest.values())
    n_specks = errors.n_hidden - n_noise
    assert 0 <= n_specks <= sum(error.is_whole for error in everything.errors)
