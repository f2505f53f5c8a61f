"""Objects at the border of the volume can be left out of scores and errors."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.errors.find import list_errors
from napari_unet3d.evaluation.metrics.instances import match_instances
from napari_unet3d.evaluation.metrics.overlaps import border_ids
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.metrics.types import mean_scores

SHAPE = (8, 20, 30)
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
INSIDE: Box = ((2, 6), (4, 10), (4, 12))
OTHER_INSIDE: Box = ((2, 6), (4, 10), (15, 21))
AT_BORDER: Box = ((2, 6), (14, 20), (4, 12))


def volume(*boxes: tuple[int, Box]) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint16)
    for value, box in boxes:
        labels[tuple(slice(*side) for side in box)] = value
    return labels


def counts(prediction: np.ndarray, truth: np.ndarray, **options: object) -> tuple[int, int, int]:
    return match_instances(prediction, truth, ignore_border=True, **options).counts[0]  # type: ignore[arg-type]


def test_the_six_faces_are_the_border_but_not_of_a_single_slice() -> None:
    for axis in range(3):
        for index in (0, -1):
            labels = np.zeros((3, 4, 5), np.uint8)
            labels[1, 1, 1] = 9
            labels.swapaxes(0, axis)[index, 1, 1] = 4
            assert border_ids(labels).tolist() == [4]
    assert border_ids(np.full((1, 1, 1), 3)).tolist() == []
    flat = np.zeros((1, 5, 5), np.uint8)
    flat[0, 2, 2] = 1
    assert border_ids(flat).tolist() == []
    assert border_ids(np.zeros((0, 4, 5), np.uint8)).tolist() == []


def test_a_missed_object_at_the_border_is_no_error() -> None:
    truth = volume((5, INSIDE), (9, AT_BORDER))
    assert match_instances(volume((1, INSIDE)), truth).counts[0] == (1, 0, 1)
    assert counts(volume((1, INSIDE)), truth) == (1, 0, 0)


def test_an_extra_object_at_the_border_is_no_error() -> None:
    prediction = volume((1, INSIDE), (2, AT_BORDER))
    assert match_instances(prediction, volume((5, INSIDE))).counts[0] == (1, 1, 0)
    assert counts(prediction, volume((5, INSIDE))) == (1, 0, 0)


def test_a_prediction_that_reaches_the_border_still_finds_a_true_object_inside() -> None:
    reaching: Box = ((2, 6), (4, 10), (0, 12))  # IoU 8/12 with the object inside
    assert counts(volume((1, reaching)), volume((5, INSIDE))) == (1, 0, 0)
    too_large: Box = ((2, 6), (4, 10), (0, 30))  # IoU 8/30: the object is missed, the prediction does not count
    assert counts(volume((1, too_large)), volume((5, INSIDE))) == (0, 0, 1)


def test_a_prediction_inside_of_a_true_object_at_the_border_does_not_count() -> None:
    most: Box = ((2, 6), (14, 19), (4, 12))  # stops a voxel before the border
    assert counts(volume((1, most)), volume((5, AT_BORDER))) == (0, 0, 0)
    mostly_elsewhere: Box = ((2, 6), (6, 16), (4, 12))  # 2 of 10 rows are in the object
    assert counts(volume((1, mostly_elsewhere)), volume((5, AT_BORDER))) == (0, 1, 0)


def test_splits_and_merges_of_objects_at_the_border_do_not_count() -> None:
    halves = volume((1, ((2, 6), (14, 20), (4, 8))), (2, ((2, 6), (14, 20), (8, 12))))
    assert match_instances(halves, volume((5, AT_BORDER))).n_split == 1
    assert match_instances(halves, volume((5, AT_BORDER)), ignore_border=True).n_split == 0
    both: Box = ((2, 6), (4, 10), (4, 21))
    merged = match_instances(volume((1, both)), volume((5, INSIDE), (6, OTHER_INSIDE)), ignore_border=True)
    assert merged.n_merged == 1


def test_large_ids_are_matched_too() -> None:
    truth = volume((5, INSIDE), (9, AT_BORDER)).astype(np.uint64)
    truth[truth > 0] += 2**40
    assert counts(volume((1, INSIDE)), truth) == (1, 0, 0)


def test_the_option_is_off_by_default_and_leaves_voxels_alone() -> None:
    truth, prediction = volume((5, INSIDE), (9, AT_BORDER)), volume((1, INSIDE))
    plain = score(prediction, GroundTruth(truth), "a", options=MetricOptions(Task.INSTANCE))
    inner = score(prediction, GroundTruth(truth), "a", options=MetricOptions(Task.INSTANCE, ignore_border=True))
    assert plain.instances is not None
    assert inner.instances is not None
    assert (plain.instances.f1, inner.instances.f1) == (pytest.approx(2 / 3), 1.0)
    assert (inner.instances.n_true, inner.instances.recall) == (1, 1.0)
    assert plain.values == inner.values
    assert plain.values["dice"] == pytest.approx(2 * 192 / (192 + 384))


def test_a_volume_with_objects_at_the_border_only_has_no_score_rather_than_a_perfect_one() -> None:
    options = MetricOptions(Task.INSTANCE, ignore_border=True)
    outer = score(volume((1, INSIDE)) * 0, GroundTruth(volume((9, AT_BORDER))), "outer", options=options)
    inner = score(volume((1, AT_BORDER)), GroundTruth(volume((5, INSIDE))), "inner", options=options)
    empty = score(volume(), GroundTruth(volume()), "empty", options=options)
    for scores, f1 in ((outer, None), (inner, 0.0), (empty, 1.0)):
        assert scores.instances is not None
        assert scores.instances.f1 == f1
    mean = mean_scores([outer, inner]).instances
    assert mean is not None
    assert (mean.f1, mean.left_out["f1"]) == (0.0, 1)


class TestErrors:
    """The table of errors leaves out what the scores leave out."""

    def errors(self, prediction: np.ndarray, truth: np.ndarray, *, ignore_border: bool) -> list[tuple[str, int]]:
        found = list_errors(prediction, GroundTruth(truth), Task.INSTANCE, ignore_border=ignore_border)
        assert found.ignores_border is ignore_border
        return [(error.kind.value, error.n_voxels) for error in found]

    def test_missed_and_extra_objects(self) -> None:
        truth = volume((5, INSIDE), (9, AT_BORDER))
        prediction = volume((1, OTHER_INSIDE), (2, ((0, 3), (4, 10), (24, 28))))
        every = self.errors(prediction, truth, ignore_border=False)
        assert sorted(every) == [("extra", 72), ("extra", 144), ("missed", 192), ("missed", 192)]
        assert sorted(self.errors(prediction, truth, ignore_border=True)) == [("extra", 144), ("missed", 192)]

    def test_extra_voxels_of_a_prediction_that_is_matched_inside_stay(self) -> None:
        reaching = volume((1, ((2, 6), (4, 10), (0, 12))))
        assert self.errors(reaching, volume((5, INSIDE)), ignore_border=True) == [("extra", 96)]
        too_large = volume((1, ((2, 6), (4, 10), (0, 30))))
        assert self.errors(too_large, volume((5, INSIDE)), ignore_border=True) == []

    def test_merges_and_splits(self) -> None:
        halves = volume((1, ((2, 6), (14, 20), (4, 8))), (2, ((2, 6), (14, 20), (8, 12))))
        assert [kind for kind, _ in self.errors(halves, volume((5, AT_BORDER)), ignore_border=False)] == ["split"]
        assert self.errors(halves, volume((5, AT_BORDER)), ignore_border=True) == []

    def test_other_tasks_have_no_objects(self) -> None:
        truth = volume((1, AT_BORDER))
        for ignore_border in (False, True):
            found = list_errors(truth * 0, GroundTruth(truth), Task.BINARY, ignore_border=ignore_border)
            assert len(found) == 1
