from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import GroundTruth, decode_labels
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.differences import (
    EXTRA,
    MISSED,
    WRONG_CLASS,
    difference_labels,
    signed_difference,
)

TRUTH = np.array([[[0, 0, 7], [300, 0, 1]]], np.int64)
PREDICTION = np.array([[[0, 1, 0], [1, 2, 1]]], np.uint8)


def test_extra_and_missed_voxels_are_distinguished() -> None:
    difference = difference_labels(PREDICTION, GroundTruth(TRUTH))
    assert difference.dtype == np.uint8
    np.testing.assert_array_equal(difference, [[[0, EXTRA, MISSED], [0, EXTRA, 0]]])
    assert (EXTRA, MISSED, WRONG_CLASS) == (1, 2, 3)  # the viewer's colours and files on disk rely on it


def test_signed_difference_is_prediction_minus_truth_also_for_unsigned_types() -> None:
    difference = signed_difference(PREDICTION, TRUTH.astype(np.uint16))
    assert difference.dtype == np.int8
    np.testing.assert_array_equal(difference, [[[0, 1, -1], [0, 1, 0]]])


def test_classes_that_were_confused_are_distinguished() -> None:
    truth, prediction = np.array([[[0, 2, 2, 1, 1]]], np.uint8), np.array([[[1, 0, 2, 2, 1]]], np.uint8)
    expected = [[[EXTRA, MISSED, 0, WRONG_CLASS, 0]]]
    np.testing.assert_array_equal(difference_labels(prediction, GroundTruth(truth), Task.SEMANTIC), expected)
    for task in (Task.BINARY, Task.INSTANCE):  # ids do not matter
        assert WRONG_CLASS not in difference_labels(prediction, GroundTruth(truth), task)


def test_what_is_not_annotated_is_no_difference() -> None:
    painted = np.array([[[0, 0, 1, 1, 2, 2, 3]]], np.uint8)
    prediction = np.array([[[0, 2, 0, 2, 0, 3, 3]]], np.uint8)
    difference = difference_labels(prediction, decode_labels(painted, Task.SEMANTIC, 0), Task.SEMANTIC)
    np.testing.assert_array_equal(difference, [[[0, 0, 0, EXTRA, MISSED, WRONG_CLASS, 0]]])


def test_shapes_that_numpy_would_stretch_are_refused() -> None:
    other = np.zeros((4, 2, 3), np.uint8)
    for compare in (
        lambda: difference_labels(PREDICTION, GroundTruth(other)),
        lambda: signed_difference(PREDICTION, other),
    ):
        with pytest.raises(UserError, match=r"\(1, 2, 3\)"):
            compare()
