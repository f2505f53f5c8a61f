from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.differences import EXTRA, MISSED, difference_labels, signed_difference

TRUTH = np.array([[[0, 0, 7], [300, 0, 1]]], np.int64)
PREDICTION = np.array([[[0, 1, 0], [1, 2, 1]]], np.uint8)


def test_extra_and_missed_voxels_are_told_apart() -> None:
    difference = difference_labels(PREDICTION, TRUTH)
    assert difference.dtype == np.uint8
    np.testing.assert_array_equal(difference, [[[0, EXTRA, MISSED], [0, EXTRA, 0]]])
    assert (EXTRA, MISSED) == (1, 2)  # the viewer's colours and files on disk rely on it


def test_signed_difference_is_prediction_minus_truth_also_for_unsigned_types() -> None:
    difference = signed_difference(PREDICTION, TRUTH.astype(np.uint16))
    assert difference.dtype == np.int8
    np.testing.assert_array_equal(difference, [[[0, 1, -1], [0, 1, 0]]])


@pytest.mark.parametrize("compare", [difference_labels, signed_difference])
def test_shapes_that_numpy_would_stretch_are_refused(compare: object) -> None:
    with pytest.raises(UserError, match=r"\(1, 2, 3\)"):
        compare(PREDICTION, np.zeros((4, 2, 3), int))  # type: ignore[operator]
