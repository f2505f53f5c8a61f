from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.disagreement import BOTH, FIRST, SECOND, compare_predictions


def row(*values):
    return np.array([[values]], np.uint8)


def test_which_is_foreground_without_ground_truth():
    disagreement = compare_predictions(row(0, 1, 1, 0, 1, 0, 0, 0), row(0, 1, 0, 1, 1, 1, 0, 0))
    assert disagreement.labels.tolist() == [[[0, 0, FIRST, SECOND, 0, SECOND, 0, 0]]]
    assert (disagreement.n_first, disagreement.n_second, disagreement.n_both, disagreement.n_compared) == (1, 2, 0, 8)
    assert disagreement.fraction == 3 / 8
    assert disagreement.dice == 2 * 2 / (3 + 4)
    assert disagreement.first_dice is disagreement.second_dice is None


def test_which_is_right_with_ground_truth():
    truth = GroundTruth(row(0, 1, 1, 1, 0, 0))
    disagreement = compare_predictions(row(0, 1, 1, 0, 1, 0), row(0, 1, 0, 1, 0, 1), truth=truth)
    assert disagreement.labels.tolist() == [[[0, 0, FIRST, SECOND, SECOND, FIRST]]]
    assert (disagreement.first_dice, disagreement.second_dice) == (2 * 2 / (3 + 3), 2 * 2 / (3 + 3))
    assert disagreement.dice == 2 * 1 / (3 + 3)


def test_classes_are_compared_by_value():
    first, second = row(1, 1, 2, 2, 0, 3), row(1, 2, 2, 0, 0, 1)
    assert compare_predictions(first, second, Task.SEMANTIC).labels.tolist() == [[[0, BOTH, 0, FIRST, 0, BOTH]]]
    disagreement = compare_predictions(first, second, Task.SEMANTIC, GroundTruth(row(1, 2, 1, 2, 0, 2)))
    assert disagreement.labels.tolist() == [
        [[0, SECOND, 0, FIRST, 0, BOTH]]
    ]  # where both say 2 they agree, though wrong
    # class 1: 2 of 2 + 2, one shared; class 2: 2 of 2 + 2, one shared; class 3 is in the first alone
    assert disagreement.dice == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)


def test_ids_of_instances_are_not_compared():
    disagreement = compare_predictions(row(5, 5, 0, 9), row(1, 1, 0, 2), Task.INSTANCE)
    assert not disagreement.labels.any()
    assert disagreement.dice == 1


def test_only_annotated_voxels_count_with_ground_truth():
    annotated = np.array([[[True, True, False, False]]])
    disagreement = compare_predictions(row(1, 0, 1, 0), row(0, 0, 0, 1), truth=GroundTruth(row(1, 0, 0, 0), annotated))
    assert disagreement.labels.tolist() == [[[FIRST, 0, 0, 0]]]
    assert (disagreement.n_compared, disagreement.fraction) == (2, 0.5)
    assert (disagreement.first_dice, disagreement.second_dice, disagreement.dice) == (1, 0, 0)


def test_volumes_of_different_shapes_are_explained():
    with pytest.raises(UserError, match=r"\(1, 1, 2\) and \(1, 1, 3\)"):
        compare_predictions(row(0, 1), row(0, 1, 1))
    with pytest.raises(UserError, match=r"\(1, 1, 3\)"):
        compare_predictions(row(0, 1), row(0, 1), truth=GroundTruth(row(0, 1, 1)))


LABELS = st.lists(st.integers(0, 3), min_size=12, max_size=12).map(lambda v: np.array(v, np.uint8).reshape(2, 2, 3))


@settings(max_examples=50)
@given(first=LABELS, second=LABELS, truth=LABELS, task=st.sampled_from(Task), is_known=st.booleans())
def test_changing_sides_changes_only_the_sides(first, second, truth, task, is_known):
    known = GroundTruth(truth) if is_known else None
    one, other = compare_predictions(first, second, task, known), compare_predictions(second, first, task, known)
    swapped = np.array([0, SECOND, FIRST, BOTH], np.uint8)
    np.testing.assert_array_equal(swapped[one.labels], other.labels)
    assert one.dice == pytest.approx(other.dice)
    assert (one.first_dice, one.n_first) == (other.second_dice, other.n_second)
    if known and task is not Task.SEMANTIC:
        assert one.n_both == 0, "of two that differ in the foreground, one is right"
