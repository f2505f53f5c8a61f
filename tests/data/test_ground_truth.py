"""What labels mean with and without an ignore label, by values that were worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.geometry import UNKNOWN
from napari_unet3d.data.ground_truth import (
    background_value,
    decode_labels,
    encode_labels,
    has_foreground,
    is_foreground,
)
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.split import split_samples
from napari_unet3d.data.statistics import compute_statistics
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.model.plan import Plan
from napari_unet3d.training.loading.targets import find_classes, make_targets

# A row of voxels in each convention: two ignored ones, background, two of 2, two of 3, background.
ROWS = {0: [0, 0, 1, 2, 2, 3, 3, 1], 255: [255, 255, 0, 2, 2, 3, 3, 0], -1: [-1, -1, 0, 2, 2, 3, 3, 0]}
PREDICTION = [2, 0, 0, 2, 3, 3, 0, 2]
IGNORED = sorted(ROWS)


def row(values: list[int]) -> np.ndarray:
    return np.array([[values]], np.int16)


@pytest.mark.parametrize("ignored", IGNORED)
def test_labels_and_mask_of_each_task(ignored: int) -> None:
    labels = row(ROWS[ignored])
    for task, expected in (
        (Task.BINARY, [0, 0, 0, 1, 1, 1, 1, 0]),
        (Task.SEMANTIC, [0, 0, 0, 2, 2, 3, 3, 0]),
        (Task.INSTANCE, [0, 0, 0, 2, 2, 3, 3, 0]),
    ):
        truth = decode_labels(labels, task, ignored)
        assert truth.labels.ravel().tolist() == expected
        assert truth.labels.dtype == np.uint8
        assert truth.label_mask is not None
        assert truth.label_mask.ravel().tolist() == [False, False, True, True, True, True, True, True]


@pytest.mark.parametrize("task", list(Task))
def test_without_an_ignore_label_all_voxels_are_annotated(task: Task) -> None:
    truth = decode_labels(np.array([[[0, 1, 2, 255]]], np.uint8), task, None)
    assert truth.labels.ravel().tolist() == ([0, 1, 1, 1] if task is Task.BINARY else [0, 1, 2, 255])
    assert truth.label_mask is None


@pytest.mark.parametrize("ignored", IGNORED)
def test_targets_and_classes(ignored: int) -> None:
    truth = decode_labels(row(ROWS[ignored]), Task.SEMANTIC, ignored)
    config = TrainingConfig(task="semantic", ignore_label=ignored, class_names=("wall", "lumen"))
    classes = find_classes([truth], config)
    assert [(each.value, each.name) for each in classes] == [(2, "wall"), (3, "lumen")]
    for task, expected in ((Task.BINARY, [1, 1, 1, 1]), (Task.SEMANTIC, [1, 1, 2, 2]), (Task.INSTANCE, [1, 1, 1, 1])):
        plan = Plan(task=task, strides=((2, 2, 2),), classes=classes if task is Task.SEMANTIC else ())
        targets = make_targets(decode_labels(row(ROWS[ignored]), task, ignored), plan, (1.0, 1.0, 1.0))
        assert targets[0].ravel().tolist() == [255, 255, 0, *expected, 0]


@pytest.mark.parametrize("ignored", IGNORED)
def test_scores_leave_out_voxels_that_are_not_annotated(ignored: int) -> None:
    """Of the annotated voxels 3 of 4 predicted ones are foreground, and 3 of 4 foreground ones are predicted."""
    prediction = row(PREDICTION).astype(np.uint8)
    binary = score(
        (prediction > 0).view(np.uint8),
        decode_labels(row(ROWS[ignored]), Task.BINARY, ignored),
        "a",
        UNKNOWN,
        MetricOptions(Task.BINARY, fast=True),
    )
    assert (binary.dice, binary.iou, binary.precision, binary.recall) == (6 / 8, 3 / 5, 3 / 4, 3 / 4)
    rules = MetricOptions(Task.SEMANTIC, {2: "wall", 3: "lumen"}, fast=True)
    semantic = score(prediction, decode_labels(row(ROWS[ignored]), Task.SEMANTIC, ignored), "a", UNKNOWN, rules)
    # class 2: predicted at 3 and 7, true at 3 and 4; class 3: predicted at 4 and 5, true at 5 and 6
    assert [each.dice for each in semantic.classes] == [1 / 2, 1 / 2]
    instance = score(
        prediction,
        decode_labels(row(ROWS[ignored]), Task.INSTANCE, ignored),
        "a",
        UNKNOWN,
        MetricOptions(Task.INSTANCE),
    )
    assert instance.instances is not None
    assert (instance.instances.n_true, instance.instances.n_predicted) == (2, 2)


@pytest.mark.parametrize("ignored", [None, *IGNORED])
def test_what_is_foreground(ignored: int | None) -> None:
    values = [-1, 0, 1, 2, 255]
    expected = {None: {1, 2, 255}, 0: {2, 255}, 255: {1, 2}, -1: {1, 2, 255}}[ignored]
    assert {value for value in values if is_foreground(value, ignored)} == expected
    assert {values[i] for i in np.flatnonzero(is_foreground(np.array(values), ignored))} == expected
    assert background_value(ignored) == (1 if ignored == 0 else 0)


@pytest.mark.parametrize(("ignored", "only"), [(None, 0), (0, 1), (255, 255), (-1, -1)])
def test_ignored_voxels_and_background_are_no_foreground(ignored: int | None, only: int) -> None:
    labels = np.full((2, 3, 4), only, np.int16)
    assert not has_foreground(labels, ignored)
    labels[1, 1, 1] = 7
    assert has_foreground(labels, ignored)
    assert not has_foreground(labels, ignored, labels != 7)
    assert compute_statistics(Sample("a", np.zeros((2, 3, 4)), labels)).n_foreground(ignored) == 1


@pytest.mark.parametrize("ignored", IGNORED)
def test_validation_takes_volumes_with_foreground(ignored: int) -> None:
    image = np.zeros((2, 3, 8))
    full, empty = (np.tile(row(values), (2, 3, 1)) for values in (ROWS[ignored], [ignored] * 8))
    samples = [Sample("empty", image, empty), Sample("a", image, full), Sample("b", image, full)]
    for seed in range(5):
        (val,) = split_samples(samples, 0.34, seed, gap_zyx=(1, 1, 1), ignore_label=ignored).val
        assert val.name != "empty"


@pytest.mark.parametrize(("ignored", "lowest"), [(None, -2), (255, -2), (0, -2), (-2, -1)])
def test_other_negative_labels_are_refused(ignored: int | None, lowest: int) -> None:
    labels = np.array([[[-1, -2, 0, 1]]], np.int8)
    with pytest.raises(
        UserError, match=rf"The labels of 'scan' go down to {lowest}; background is 0 .* to {lowest} if"
    ):
        decode_labels(labels, Task.BINARY, ignored, name="scan")


def test_ids_above_the_ignore_label_stay_distinct() -> None:
    truth = decode_labels(np.arange(300, dtype=np.uint16).reshape(1, 3, 100), Task.INSTANCE, 255)
    assert truth.labels.dtype == np.uint16
    assert len(np.unique(truth.labels)) == 299  # 0 to 299 without 255


@pytest.mark.parametrize("ignored", [None, *IGNORED])
@pytest.mark.parametrize("task", list(Task))
def test_encoded_labels_are_decoded_to_the_same(task: Task, ignored: int | None) -> None:
    labels = row([0, 0, 2, 2, 3, 3, 0] if ignored is None else ROWS[ignored])
    truth = decode_labels(labels, task, ignored)
    encoded = encode_labels(truth, task, ignored)
    again = decode_labels(encoded, task, ignored)
    np.testing.assert_array_equal(again.labels, truth.labels)
    np.testing.assert_array_equal(again.label_mask, truth.label_mask)
    if task is not Task.BINARY:
        np.testing.assert_array_equal(encoded, labels)
