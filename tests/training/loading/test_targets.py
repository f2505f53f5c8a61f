from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.ground_truth import decode_labels
from napari_unet3d.errors import UserError
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.training.loading.targets import find_classes, make_targets

LABELS = np.array([0, 1, 2, 5, 5, 0], np.uint16).reshape(1, 2, 3)
VOXEL = (2.0, 1.0, 0.5)


def plan(task: str, *values: int) -> Plan:
    classes = tuple(LabelClass(value=value, name=str(value)) for value in values)
    return Plan(task=Task(task), strides=((2, 2, 2),), classes=classes)


@pytest.mark.parametrize(
    ("task", "ignore_label", "values", "expected"),
    [
        ("binary", None, (), [0, 1, 1, 1, 1, 0]),
        ("binary", 0, (), [255, 0, 1, 1, 1, 255]),
        ("semantic", None, (1, 2, 5), [0, 1, 2, 3, 3, 0]),
        ("semantic", 0, (2, 5), [255, 0, 1, 2, 2, 255]),
        ("semantic", 0, (2, 5, 9), [255, 0, 1, 2, 2, 255]),  # a class that this volume has not
        ("instance", 0, (), [255, 0, 1, 1, 1, 255]),
    ],
)
def test_what_each_value_means(
    task: str, ignore_label: int | None, values: tuple[int, ...], expected: list[int]
) -> None:
    targets = make_targets(decode_labels(LABELS, Task(task), ignore_label), plan(task, *values), VOXEL)

    assert targets[0].ravel().tolist() == expected
    assert targets.dtype == np.uint8
    assert len(targets) == (3 if task == "instance" else 1)


def test_classes_are_all_values_of_all_volumes_with_their_names() -> None:
    config = TrainingConfig(task="semantic", class_names=("wall", "lumen", "fibre"))
    truths = [decode_labels(labels, Task.SEMANTIC, None) for labels in (LABELS, LABELS * 0 + 2)]

    named = find_classes(truths, config)
    assert [(each.value, each.name) for each in named] == [(1, "wall"), (2, "lumen"), (5, "fibre")]
    unnamed = find_classes(truths, TrainingConfig(task="semantic"))
    assert [each.name for each in unnamed] == ["class 1", "class 2", "class 5"]
    assert find_classes(truths, TrainingConfig()) == ()


def test_names_that_do_not_match_the_values_are_counted_out() -> None:
    truths = [decode_labels(LABELS, Task.SEMANTIC, 0)]
    with pytest.raises(UserError, match=r"3 class names are given \(a, b, c\), but the labels hold 2 classes \(2, 5\)"):
        find_classes(truths, TrainingConfig(task="semantic", class_names=("a", "b", "c")))


def test_ids_of_objects_are_no_classes() -> None:
    ids = np.arange(1000, dtype=np.uint16).reshape(10, 10, 10)
    with pytest.raises(UserError, match=r"999 different values up to 999, which are hardly classes\. Choose the task"):
        find_classes([decode_labels(ids, Task.SEMANTIC, None)], TrainingConfig(task="semantic"))
