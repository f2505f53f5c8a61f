from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from monai.metrics import compute_dice, compute_iou

from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics import Scores, mean_scores, score

SHAPES = st_numpy.array_shapes(min_dims=3, max_dims=3, max_side=5)


def test_scores_by_hand() -> None:
    truth = np.zeros((2, 3, 4), np.int64)
    truth[0, 0, :4] = [1, 2, 3, 300]  # ids do not matter, and 300 must not wrap round
    prediction = np.zeros((2, 3, 4), np.uint8)
    prediction[0, 0, 2:4] = 1  # two shared voxels
    prediction[1, 2, 3] = 1  # one extra; two are missed
    result = score(prediction, truth, "bone")
    assert result.as_dict() == {
        "name": "bone",
        "dice": pytest.approx(4 / 7),
        "iou": pytest.approx(2 / 5),
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 4),
    }


def test_both_empty_agree() -> None:
    empty = np.zeros((2, 3, 4), bool)
    assert score(empty, empty, "e") == Scores("e", 1.0, 1.0, 1.0, 1.0)


def test_one_empty_scores_nothing() -> None:
    empty, full = np.zeros((2, 3, 4), np.uint8), np.ones((2, 3, 4), np.uint8)
    assert score(empty, full, "missed") == Scores("missed", 0.0, 0.0, 0.0, 0.0)
    assert score(full, empty, "invented") == Scores("invented", 0.0, 0.0, 0.0, 0.0)


def test_other_shapes_are_named() -> None:
    with pytest.raises(UserError, match=r"'v' has shape \(2, 3, 4\), its truth \(4, 3, 2\)"):
        score(np.zeros((2, 3, 4)), np.zeros((4, 3, 2)), "v")


@given(data=st.data(), shape=SHAPES)
def test_dice_and_iou_are_those_of_monai(data: st.DataObject, shape: tuple[int, ...]) -> None:
    prediction, truth = (data.draw(st_numpy.arrays(bool, shape)) for _ in range(2))
    if not truth.any():
        return  # monai leaves them undefined
    found, wanted = (torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (prediction, truth))
    result = score(prediction, truth, "v")
    assert result.dice == pytest.approx(compute_dice(found, wanted).item(), abs=1e-6)
    assert result.iou == pytest.approx(compute_iou(found, wanted).item(), abs=1e-6)


@given(data=st.data(), shape=SHAPES)
def test_swapping_prediction_and_truth_swaps_precision_and_recall(data: st.DataObject, shape: tuple[int, ...]) -> None:
    prediction, truth = (data.draw(st_numpy.arrays(bool, shape)) for _ in range(2))
    one, other = score(prediction, truth, "v"), score(truth, prediction, "v")
    assert (one.precision, one.recall) == (other.recall, other.precision)
    assert (one.dice, one.iou) == (other.dice, other.iou)


def test_the_mean_weighs_volumes_equally() -> None:
    mean = mean_scores([Scores("a", 1.0, 1.0, 0.5, 0.25), Scores("b", 0.0, 0.5, 0.5, 0.75)])
    assert mean == Scores("mean", 0.5, 0.75, 0.5, 0.5)
