from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from monai.metrics import compute_dice, compute_iou

from napari_unet3d.configs import Task
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth, decode_labels
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.instances import match_instances
from napari_unet3d.evaluation.metrics.metric import Scope
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.metrics.table import columns_of, metrics_of
from napari_unet3d.evaluation.metrics.types import ClassScores, Scores, mean_scores

SHAPES = st_numpy.array_shapes(min_dims=3, max_dims=3, max_side=5)


def test_scores_by_hand() -> None:
    truth = np.zeros((2, 3, 4), np.int64)
    truth[0, 0, :4] = [1, 2, 3, 300]  # ids do not matter, and 300 must not wrap round
    prediction = np.zeros((2, 3, 4), np.uint8)
    prediction[0, 0, 2:4] = 1  # two shared voxels
    prediction[1, 2, 3] = 1  # one extra; two are missed
    result = score(prediction, GroundTruth(truth), "bone")
    assert result.as_dict() == {
        "name": "bone",
        "dice": pytest.approx(4 / 7),
        "iou": pytest.approx(2 / 5),
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 4),
        # Distances 0, 0, √5 from the prediction, whose 95th percentile is nine tenths of the last, and 0, 0, 1, 2.
        "hd95": pytest.approx(0.9 * 5**0.5),
        "nsd": pytest.approx(5 / 7),
        "distance_unit": "voxels",
        "seen_in": "unknown",
    }


def scores_of(name: str, *values: float | None) -> Scores:
    names = [metric.name for metric in columns_of(Scope.VOXELS)]
    return Scores(name, dict(zip(names, values, strict=True)))


def test_both_empty_agree() -> None:
    empty = np.zeros((2, 3, 4), bool)
    assert score(empty, GroundTruth(empty), "e") == scores_of("e", 1.0, 1.0, 1.0, 1.0, 0.0, 1.0)


def test_one_empty_scores_nothing() -> None:
    empty, full = np.zeros((2, 3, 4), np.uint8), np.ones((2, 3, 4), np.uint8)
    assert score(empty, GroundTruth(full), "missed") == scores_of("missed", 0.0, 0.0, 0.0, 0.0, None, 0.0)
    assert score(full, GroundTruth(empty), "invented") == scores_of("invented", 0.0, 0.0, 0.0, 0.0, None, 0.0)


def test_other_shapes_are_named() -> None:
    with pytest.raises(UserError, match=r"'v' has shape \(2, 3, 4\), its ground truth \(4, 3, 2\)"):
        score(np.zeros((2, 3, 4)), GroundTruth(np.zeros((4, 3, 2), np.uint8)), "v")


@given(data=st.data(), shape=SHAPES)
def test_dice_and_iou_are_those_of_monai(data: st.DataObject, shape: tuple[int, ...]) -> None:
    prediction, truth = (data.draw(st_numpy.arrays(bool, shape)) for _ in range(2))
    if not truth.any():
        return  # monai leaves them undefined
    predicted, target = (torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (prediction, truth))
    result = score(prediction, GroundTruth(truth), "v")
    assert result.dice == pytest.approx(compute_dice(predicted, target).item(), abs=1e-6)
    assert result.iou == pytest.approx(compute_iou(predicted, target).item(), abs=1e-6)


@given(data=st.data(), shape=SHAPES)
def test_swapping_prediction_and_truth_swaps_precision_and_recall(data: st.DataObject, shape: tuple[int, ...]) -> None:
    prediction, truth = (data.draw(st_numpy.arrays(bool, shape)) for _ in range(2))
    one, other = score(prediction, GroundTruth(truth), "v"), score(truth, GroundTruth(prediction), "v")
    assert (one.precision, one.recall) == (other.recall, other.precision)
    assert (one.dice, one.iou) == (other.dice, other.iou)


def test_the_mean_weighs_volumes_equally() -> None:
    mean = mean_scores([scores_of("a", 1.0, 1.0, 0.5, 0.25, 3.0, 1.0), scores_of("b", 0.0, 0.5, 0.5, 0.75, None, 0.0)])
    assert mean == scores_of("mean", 0.5, 0.75, 0.5, 0.5, 3.0, 0.5)
    assert mean_scores([scores_of("b", 0.0, 0.0, 0.0, 0.0, None, 0.0)]).hd95 is None


def test_voxels_that_are_not_annotated_do_not_count() -> None:
    painted = np.array([[[1, 2, 2, 0, 0, 0], [1, 1, 2, 0, 0, 0]]], np.uint8)
    prediction = np.array([[[0, 1, 0, 1, 0, 1], [1, 0, 1, 1, 1, 1]]], np.uint8)
    truth = decode_labels(painted, Task.BINARY, 0)
    result = score(prediction, truth, "few")
    assert (result.dice, result.iou, result.precision, result.recall) == (4 / 6, 2 / 4, 2 / 3, 2 / 3)
    prediction[painted == 0] = 0
    assert score(prediction, truth, "few") == result


def test_surfaces_are_measured_in_micrometres() -> None:
    truth, prediction = np.zeros((6, 7, 8), np.uint8), np.zeros((6, 7, 8), np.uint8)
    truth[2, 2:4, 2:5] = prediction[3, 2:4, 2:5] = 1
    result = score(prediction, GroundTruth(truth), "v", Geometry((3.0, 0.5, 0.7)), MetricOptions(tolerance=2.9))
    assert (result.hd95, result.nsd) == (3.0, 0.0)
    assert score(prediction, GroundTruth(truth), "v", Geometry((3.0, 0.5, 0.7)), MetricOptions(tolerance=3.0)).nsd == 1
    quick = score(prediction, GroundTruth(truth), "v", options=MetricOptions(fast=True))
    assert (quick.dice, quick.hd95, quick.nsd) == (0.0, None, None)


CLASSES = MetricOptions(task=Task.SEMANTIC, classes={1: "wall", 2: "lumen", 5: "nucleus"})


def test_classes_by_hand() -> None:
    truth = np.array([[[1, 1, 1, 1, 2, 2, 0, 0]]], np.uint8)
    prediction = np.array([[[1, 1, 2, 2, 2, 2, 2, 0]]], np.uint8)
    result = score(prediction, GroundTruth(truth), "v", options=CLASSES)
    wall, lumen, nucleus = result.classes
    assert (wall.name, wall.value, wall.dice, wall.precision, wall.recall) == ("wall", 1, 4 / 6, 1.0, 0.5)
    assert (lumen.name, lumen.dice, lumen.precision, lumen.recall) == ("lumen", 4 / 7, 2 / 5, 1.0)
    assert nucleus == ClassScores(5, "nucleus")  # neither has it, so it says nothing
    assert result.dice == pytest.approx((4 / 6 + 4 / 7) / 2)
    assert result.nsd is not None


def test_a_class_that_the_model_does_not_know_counts_as_missed() -> None:
    truth, prediction = np.array([[[1, 1, 9]]], np.uint8), np.array([[[1, 1, 0]]], np.uint8)
    result = score(prediction, GroundTruth(truth), "v", options=CLASSES)
    assert [(each.name, each.dice) for each in result.classes] == [
        ("wall", 1.0),
        ("lumen", None),
        ("nucleus", None),
        ("9", 0.0),
    ]
    assert result.dice == 0.5


def test_volumes_without_any_class_agree() -> None:
    empty = np.zeros((2, 3, 4), np.uint8)
    result = score(empty, GroundTruth(empty), "v", options=CLASSES)
    assert (result.dice, result.hd95, result.nsd) == (1.0, 0.0, 1.0)
    assert all(each.dice is None for each in result.classes)


def test_the_mean_of_a_class_is_over_the_volumes_that_have_it() -> None:
    one = score(np.array([[[1, 1]]]), GroundTruth(np.array([[[1, 1]]], np.uint8)), "one", options=CLASSES)
    two = score(np.array([[[1, 2]]]), GroundTruth(np.array([[[0, 2]]], np.uint8)), "two", options=CLASSES)
    wall, lumen, nucleus = mean_scores([one, two]).classes
    assert (wall.dice, lumen.dice, nucleus.dice) == (0.5, 1.0, None)
    assert mean_scores([one, two]).dice == 0.75


def test_instances_have_scores_of_their_own_and_foreground_scores() -> None:
    truth, prediction = np.array([[[1, 1, 2, 2, 0]]], np.uint16), np.array([[[7, 7, 7, 7, 7]]], np.uint16)
    result = score(prediction, GroundTruth(truth), "v", options=MetricOptions(task=Task.INSTANCE))
    matches = match_instances(prediction, truth)
    assert result.instances.values == {
        metric.name: getattr(matches, metric.name) for metric in metrics_of(Scope.INSTANCES)
    }
    assert result.instances.n_merged == 1
    assert result.dice == 8 / 9
    assert result.as_dict()["instances"]["n_merged"] == 1
    assert mean_scores([result, result]).instances == result.instances
    assert score(prediction, GroundTruth(truth), "v").instances is None


@pytest.mark.parametrize("task", list(Task))
def test_all_numbers_can_be_written_as_json(task: Task) -> None:
    truth, prediction = np.zeros((2, 3, 4), np.uint8), np.ones((2, 3, 4), np.uint8)
    result = score(prediction, GroundTruth(truth), "v", options=MetricOptions(task=task, classes={1: "a", 3: "b"}))
    written = json.dumps(result.as_dict(), allow_nan=False)
    assert json.loads(written)["hd95"] is None
