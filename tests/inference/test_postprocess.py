from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_unet3d.configs import PostProcessing, Task
from napari_unet3d.inference.postprocess import postprocess, remove_small
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.transforms.instances import split_instances

VOXEL = (2.0, 1.0, 0.5)


def plan(task: Task, *values: int) -> Plan:
    classes = tuple(LabelClass(value=value, name=str(value)) for value in values)
    return Plan(task=task, strides=((2, 2, 2),), classes=classes)


def test_foreground_reaches_the_threshold() -> None:
    probability = np.array([0.2, 0.5, 0.7, np.nan], np.float32).reshape(1, 2, 2)

    for chosen in (None, plan(Task.BINARY)):
        labels = postprocess(probability, None, VOXEL, chosen, PostProcessing(threshold=0.6))
        assert labels.ravel().tolist() == [0, 0, 1, 0]
        assert labels.dtype == np.uint8


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        # Odds of the better class against background: 0.3 to 0.4, 0.6 to 0.1, 0.5 to 0.5, 0.1 to 0.8.
        (0.5, [0, 300, 4, 0]),
        (0.4, [4, 300, 4, 0]),  # two thirds are enough
        (0.6, [0, 300, 0, 0]),  # one and a half are needed
        (0.0, [4, 300, 4, 300]),
    ],
)
def test_the_most_likely_class_wins_and_the_threshold_shifts_its_odds(threshold: float, expected: list[int]) -> None:
    probability = np.array([0.6, 0.9, 0.5, 0.2], np.float32).reshape(1, 2, 2)
    maps = np.array([[0.3, 0.3, 0.5, 0.09], [0.29, 0.6, 0, 0.11]], np.float16).reshape(2, 1, 2, 2)

    labels = postprocess(probability, maps, VOXEL, plan(Task.SEMANTIC, 4, 300), PostProcessing(threshold=threshold))

    assert labels.ravel().tolist() == expected
    assert labels.dtype == np.uint16


def test_objects_are_separated() -> None:
    probability = np.zeros((6, 8, 20), np.float32)
    probability[1:5, 1:7, 1:9] = probability[1:5, 1:7, 12:18] = 1
    maps = np.stack([np.zeros_like(probability), probability]).astype(np.float16)
    settings = PostProcessing(min_volume_um3=150)

    labels = postprocess(probability, maps, VOXEL, plan(Task.INSTANCE), settings)

    np.testing.assert_array_equal(labels, split_instances(probability, maps, settings, VOXEL))
    assert labels[2, 3, 4] == 1
    assert labels[2, 3, 14] == 0  # 144 voxels of 1 µm³


@pytest.mark.parametrize(
    ("smallest", "kept"), [(0, [9, 9, 7]), (7.9, [9, 9, 7]), (8.1, [0, 9, 7]), (24, [0, 9, 7]), (25, [0, 0, 7])]
)
def test_small_components_are_removed_per_class(smallest: float, kept: list[int]) -> None:
    labels = np.zeros((6, 10, 12), np.uint16)
    labels[0:2, 0:2, 0:2] = 9  # 8 µm³, touches the class 7 only
    labels[0:5, 2:6, 0:2] = 7  # 40 µm³
    labels[0:2, 6:9, 0:4] = 9  # 24 µm³

    result = remove_small(labels, smallest, VOXEL)

    assert [result[0, 0, 0], result[0, 7, 1], result[3, 3, 1]] == kept
    assert result.dtype == np.uint16
    assert np.count_nonzero(result) == sum(np.array([8, 24, 40]) * (np.array(kept) > 0))


def test_a_thin_diagonal_line_is_one_component() -> None:
    labels = np.zeros((6, 7, 8), np.uint8)
    labels[range(6), range(6), range(6)] = 1
    assert ndimage.label(labels)[1] == 6

    np.testing.assert_array_equal(remove_small(labels, 6, VOXEL), labels)
    assert not remove_small(labels, 6.1, VOXEL).any()


def test_settings_apply_to_every_task() -> None:
    probability = np.zeros((4, 6, 8), np.float32)
    probability[1:3, 1:3, 1:3] = 0.9
    maps = np.stack([probability, probability]).astype(np.float16)
    for chosen in (plan(Task.BINARY), plan(Task.SEMANTIC, 2, 5), plan(Task.INSTANCE)):
        for settings, n_voxels in (
            (PostProcessing(), 8),
            (PostProcessing(min_volume_um3=8), 8),
            (PostProcessing(min_volume_um3=9), 0),
            (PostProcessing(threshold=0.95), 0),
        ):
            labels = postprocess(probability, maps, VOXEL, chosen, settings)
            assert np.count_nonzero(labels) == n_voxels, (chosen.task, settings)
