from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.metrics.instances import IOU_THRESHOLDS, match_instances
from napari_unet3d.evaluation.metrics.metric import Scope
from napari_unet3d.evaluation.metrics.pair import LabelPair
from napari_unet3d.evaluation.metrics.table import compute_metrics
from napari_unet3d.evaluation.metrics.types import InstanceScores, mean_values

SHAPES = st_numpy.array_shapes(min_dims=3, max_dims=3, max_side=5)
Ids = NDArray[np.unsignedinteger]


def lines(*pieces: str) -> Ids:
    """Volumes of one row per plane, a letter or digit per voxel."""
    return np.array(
        [[[ord(letter) - ord("0") if letter != "." else 0 for letter in piece]] for piece in pieces], np.uint16
    )


def two_volumes(data: st.DataObject, shape: tuple[int, ...]) -> tuple[Ids, Ids]:
    ids = st_numpy.arrays(np.uint8, shape, elements=st.integers(0, 3))
    return data.draw(ids), data.draw(ids)


def matched_by_brute_force(prediction: Ids, truth: Ids, iou: float) -> tuple[int, int, int]:
    """Count matched, extra and missed instances with masks of all pairs and an optimal assignment."""
    predicted = [prediction == number for number in np.unique(prediction[prediction > 0])]
    target = [truth == number for number in np.unique(truth[truth > 0])]
    enough = np.array([[(a & b).sum() / (a | b).sum() >= iou for b in target] for a in predicted], float)
    n_matched = 0
    if predicted and target:
        rows, columns = linear_sum_assignment(-enough)
        n_matched = int(enough[rows, columns].sum())
    return n_matched, len(predicted) - n_matched, len(target) - n_matched


def test_by_hand() -> None:
    truth = lines("111122223333....5555")
    predicted = lines("1111222.33336666....")
    scores = match_instances(predicted, truth)
    # 1 and 3 agree, 2 has an IoU of 3/4, 6 is extra, 5 is missed.
    assert (scores.n_true, scores.n_predicted, scores.n_matched) == (4, 4, 3)
    assert (scores.f1, scores.precision, scores.recall) == (0.75, 0.75, 0.75)
    three, two = 3 / 5, 2 / 6
    assert scores.ap_at_iou == pytest.approx([three] * 6 + [two] * 4)  # up to 0.75, and above it
    assert scores.f1_at_iou == pytest.approx([6 / 8] * 6 + [4 / 8] * 4)
    assert scores.ap == pytest.approx((6 * three + 4 * two) / 10)
    assert (scores.n_split, scores.n_merged) == (0, 0)


def test_two_halves_match_one_instance_once() -> None:
    scores = match_instances(lines("1122"), lines("7777"))
    assert (scores.n_matched, scores.n_predicted, scores.precision, scores.recall) == (1, 2, 0.5, 1.0)
    assert (scores.n_split, scores.n_merged) == (1, 0)


def test_splits_and_merges_by_hand() -> None:
    truth = lines("1111111122223333..44")
    predicted = lines("1112223344444444..55")
    # The first instance contains 1, 2 and most of 3; predicted 4 contains two true ones; the last is right.
    scores = match_instances(predicted, truth)
    assert (scores.n_split, scores.n_merged) == (1, 1)
    half_outside = match_instances(lines("..1122.."), lines("...111.."))  # half of 1 and all of 2 lie in it
    assert half_outside.n_split == 0


def test_the_widest_ids_are_no_trouble() -> None:
    truth, predicted = lines("1122", "0.33").astype(np.uint64), lines("1122", "4.33").astype(np.int64)
    plain = match_instances(predicted, truth)
    truth[truth == 2] = 2**63 + 5
    predicted[predicted == 3] = 2**40
    assert match_instances(predicted, truth) == plain
    assert (plain.n_matched, plain.n_predicted) == (3, 4)


def test_without_instances() -> None:
    empty, one = np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 4), np.uint8)
    one[1, 1, 1:3] = 9
    perfect = match_instances(empty, empty)
    assert (perfect.f1, perfect.precision, perfect.recall, perfect.ap, perfect.n_true) == (1, 1, 1, 1, 0)
    for scores in (match_instances(empty, one), match_instances(one, empty)):
        assert (scores.f1, scores.precision, scores.recall, scores.ap) == (0, 0, 0, 0)


def test_instances_outside_of_the_annotation_are_no_errors() -> None:
    truth = lines("1111......", "..........")
    predicted = lines("1111222333", ".....44444")
    annotated = lines("1111110000", "1111111000") > 0
    # Of 2 two thirds are annotated, of 3 nothing, of 4 two fifths.
    scores = match_instances(predicted, truth, annotated)
    assert (scores.n_true, scores.n_predicted, scores.n_matched) == (1, 2, 1)
    assert scores.precision == 0.5
    assert match_instances(predicted, truth).n_predicted == 4


def test_overlaps_are_counted_where_it_is_annotated() -> None:
    truth, predicted = lines("1111........"), lines("111111111111")
    assert match_instances(predicted, truth).n_matched == 0
    annotated = lines("111110000000") > 0
    scores = match_instances(predicted, truth, annotated)  # 4 of 5, though most of it lies outside
    assert (scores.n_matched, scores.n_predicted) == (1, 1)
    assert scores.f1_at_iou[IOU_THRESHOLDS.index(0.8)] == 1
    # At 0.85 the true one is missed, and the predicted one, which is mostly outside, is no error.
    assert scores.ap_at_iou[IOU_THRESHOLDS.index(0.85)] == 0


@pytest.mark.parametrize("percent", [50, 55, 60, 65, 70, 95])
def test_an_overlap_of_exactly_the_threshold_is_enough(percent: int) -> None:
    """In floats 0.55 × 100 is more than 55."""
    scores = match_instances(lines("1" * percent + "." * (100 - percent)), lines("1" * 100))
    assert sum(scores.ap_at_iou) == IOU_THRESHOLDS.index(percent / 100) + 1


@given(data=st.data(), shape=SHAPES)
def test_the_number_of_matches_is_that_of_an_optimal_assignment(data: st.DataObject, shape: tuple[int, ...]) -> None:
    prediction, truth = two_volumes(data, shape)
    scores = match_instances(prediction, truth)
    for iou, f1, ap in zip(IOU_THRESHOLDS, scores.f1_at_iou, scores.ap_at_iou, strict=True):
        tp, fp, fn = matched_by_brute_force(prediction, truth, iou)
        assert f1 == pytest.approx(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1)
        assert ap == pytest.approx(tp / (tp + fp + fn) if tp + fp + fn else 1)


@given(data=st.data(), shape=SHAPES)
def test_what_the_ids_are_does_not_matter(data: st.DataObject, shape: tuple[int, ...]) -> None:
    prediction, truth = two_volumes(data, shape)
    others = np.array([0, *data.draw(st.permutations([7, 300, 2**33]))], np.uint64)
    assert match_instances(others[prediction], truth) == match_instances(prediction, truth)
    assert match_instances(prediction, others[truth]) == match_instances(prediction, truth)


@given(data=st.data(), shape=SHAPES)
def test_exchanging_prediction_and_truth(data: st.DataObject, shape: tuple[int, ...]) -> None:
    prediction, truth = two_volumes(data, shape)
    one, other = match_instances(prediction, truth), match_instances(truth, prediction)
    assert one.counts == tuple((tp, fp, fn) for tp, fn, fp in other.counts)
    assert (one.precision, one.recall, one.f1, one.ap) == (other.recall, other.precision, other.f1, other.ap)
    assert (one.n_true, one.n_predicted) == (other.n_predicted, other.n_true)
    assert (one.n_split, one.n_merged) == (other.n_merged, other.n_split)


@given(data=st.data(), shape=SHAPES)
def test_annotating_everything_changes_nothing(data: st.DataObject, shape: tuple[int, ...]) -> None:
    prediction, truth = two_volumes(data, shape)
    assert match_instances(prediction, truth, np.ones(shape, bool)) == match_instances(prediction, truth)


def scores_of(prediction: Ids, truth: Ids) -> InstanceScores:
    return InstanceScores(compute_metrics(Scope.INSTANCES, LabelPair(prediction, GroundTruth(truth))))


def test_the_mean_of_counts_and_thresholds() -> None:
    volumes = [scores_of(lines("1122"), lines("3333")), scores_of(lines("12"), lines("12"))]
    mean = InstanceScores(mean_values(Scope.INSTANCES, [each.values for each in volumes]))
    assert (mean.n_true, mean.n_predicted, mean.n_split) == (1.5, 2.0, 0.5)
    assert mean.f1 == pytest.approx((2 / 3 + 1) / 2)
    assert mean.ap_at_iou[-1] == 0.5


def test_a_dictionary_names_the_thresholds() -> None:
    numbers = scores_of(lines("112"), lines("111")).as_dict()
    assert list(numbers["f1_at_iou"]) == [f"{iou:.2f}" for iou in IOU_THRESHOLDS]
    assert not any(isinstance(value, float) and math.isnan(value) for value in numbers.values())
