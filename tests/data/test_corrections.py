"""Corrected places: what holds where, undo to the last bit, and the training volume that comes of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet3d.configs import Task, UneditedRegions
from napari_unet3d.data.boxes import MaskedBox
from napari_unet3d.data.corrected_volume import make_corrected_volume
from napari_unet3d.data.corrections import Corrections, CorrectionSource, auto_margin, describe_count
from napari_unet3d.data.dataset import Subset, add_sample, read_samples
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth, decode_labels
from napari_unet3d.data.pairs import unique_name, with_unique_name
from napari_unet3d.data.provenance import CorrectionRecord, Provenance
from napari_unet3d.errors import UserError

SHAPE = (9, 10, 12)
VOXEL_SIZE = (2.0, 1.0, 0.5)
PLACE = CorrectionRecord(kind="missed", number=1)
HERE = Provenance(volume="scan", subset="train")
IMAGE = np.random.default_rng(0).integers(0, 60_000, SHAPE).astype(np.uint16)
SMALLEST = (1, 1, 1)


def region(z: int, y: int, x: int, shape=(2, 3, 2)) -> MaskedBox:
    box = tuple(slice(start, start + side) for start, side in zip((z, y, x), shape, strict=True))
    return MaskedBox(box, np.ones(shape, bool))


def random_labels(seed: int, highest: int = 3) -> np.ndarray:
    """Blobs of a few values, so that neighbours are often alike."""
    small = np.random.default_rng(seed).integers(0, highest + 1, (3, 4, 4))
    return small.repeat(3, 0).repeat(3, 1).repeat(3, 2)[: SHAPE[0], : SHAPE[1], : SHAPE[2]].astype(np.uint8)


def two(seed: int = 0, task: Task = Task.SEMANTIC) -> tuple[np.ndarray, np.ndarray, Corrections]:
    prediction, truth = random_labels(seed), random_labels(seed + 100)
    return prediction, truth, Corrections(prediction, GroundTruth(truth), task, Geometry(VOXEL_SIZE))


def test_taking_the_truth_annotates_a_margin_in_micrometres():
    prediction, truth, corrections = two()
    done = corrections.accept(region(4, 4, 5), CorrectionSource.TRUTH, PLACE, margin=2.0)
    # 2 µm are 1 voxel along z, 2 along y and 4 along x.
    assert done.box == (slice(3, 7), slice(2, 9), slice(1, 11))
    expected = prediction.copy()
    expected[done.box] = truth[done.box]
    np.testing.assert_array_equal(corrections.labels, expected)
    assert done.annotated.all()


def test_taking_the_prediction_keeps_it_in_the_error_and_takes_the_truth_around_it():
    prediction, truth, corrections = two()
    done = corrections.accept(region(4, 4, 5), CorrectionSource.PREDICTION, PLACE, margin=2.0)
    expected = prediction.copy()
    expected[done.box] = truth[done.box]
    expected[4:6, 4:7, 5:7] = prediction[4:6, 4:7, 5:7]
    np.testing.assert_array_equal(corrections.labels, expected)


def test_around_an_error_a_truth_that_is_annotated_mask_parts_annotates_those_only():
    prediction, truth = random_labels(0), random_labels(100)
    known = np.zeros(SHAPE, bool)
    known[:, :, :6] = True
    corrections = Corrections(
        prediction, GroundTruth(np.where(known, truth, 0), known), Task.SEMANTIC, Geometry(VOXEL_SIZE)
    )
    done = corrections.accept(region(4, 4, 5), CorrectionSource.PREDICTION, PLACE, margin=2.0)
    expected = known[done.box].copy()
    expected[1:3, 2:5, 4:6] = True  # the error itself
    np.testing.assert_array_equal(done.annotated, expected)


def test_a_decision_outlives_the_margin_of_the_next_one():
    prediction, _, corrections = two(3)
    corrections.accept(region(4, 4, 5), CorrectionSource.PREDICTION, PLACE, margin=2.0)
    corrections.accept(
        region(4, 4, 8), CorrectionSource.TRUTH, PLACE, margin=0.5
    )  # a voxel of margin reaches the first one
    np.testing.assert_array_equal(corrections.labels[4:6, 4:7, 5:7], prediction[4:6, 4:7, 5:7])


def test_what_is_painted_holds_also_outside_of_the_error():
    prediction = random_labels(1)
    corrections = Corrections(prediction, None, Task.BINARY, Geometry(VOXEL_SIZE))
    corrections.begin_painting()
    assert corrections.is_painting
    corrections.labels[1, 2, 3] = 9
    done = corrections.finish_painting(region(4, 4, 5), PLACE, margin=0.5)
    assert done.box == (slice(1, 6), slice(2, 7), slice(2, 8))  # of both, and half a micrometre more: one voxel along x
    assert done.record.source == "painted"
    expected = prediction.copy()
    expected[1, 2, 3] = 9
    np.testing.assert_array_equal(corrections.labels, expected)
    corrections.undo()
    np.testing.assert_array_equal(corrections.labels, prediction)


def test_painting_nothing_corrects_nothing():
    corrections = Corrections(random_labels(1), None, Task.BINARY, Geometry(VOXEL_SIZE))
    corrections.begin_painting()
    assert corrections.finish_painting(region(4, 4, 5), PLACE, 1.0) is None
    assert corrections.done == []
    assert not corrections.is_painting


def test_there_may_be_no_truth_to_take():
    corrections = Corrections(random_labels(1), None, Task.BINARY, Geometry(VOXEL_SIZE))
    with pytest.raises(UserError, match="no ground truth here"):
        corrections.accept(region(4, 4, 5), CorrectionSource.TRUTH, PLACE, 1.0)
    with pytest.raises(UserError, match="There are no corrections yet"):
        make_corrected_volume(corrections, IMAGE, HERE, UneditedRegions.IGNORE, None, SMALLEST)
    assert corrections.undo() is None
    assert corrections.redo() is None


steps = st.lists(
    st.tuples(
        st.sampled_from(["truth", "prediction", "paint", "undo", "redo"]),
        st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 10)),
        st.sampled_from([0.5, 2.0, 0.0]),
    ),
    max_size=8,
)


def follow(corrections: Corrections, plan) -> None:
    for what, corner, margin in plan:
        match what:
            case "undo":
                corrections.undo()
            case "redo":
                corrections.redo()
            case "paint":
                corrections.begin_painting()
                corrections.labels[corner] += 1
                corrections.finish_painting(region(*corner), PLACE, margin)
            case _:
                corrections.accept(region(*corner), CorrectionSource(what), PLACE, margin)


@given(plan=steps, seed=st.integers(0, 9), task=st.sampled_from(Task))
def test_undoing_all_gives_the_prediction_and_redoing_all_the_corrections(plan, seed, task):
    prediction, _, corrections = two(seed, task)
    follow(corrections, plan)
    n, after = len(corrections.done), corrections.labels.copy()
    while corrections.undo():
        pass
    np.testing.assert_array_equal(corrections.labels, prediction)
    for _ in range(n):
        corrections.redo()
    np.testing.assert_array_equal(corrections.labels, after)
    assert len(corrections.done) == n


@given(plan=steps, seed=st.integers(0, 9), ignore_label=st.sampled_from((None, 0, 7, -1)), task=st.sampled_from(Task))
def test_a_sample_says_what_is_in_view_where_something_was_corrected_and_nothing_elsewhere(
    plan, seed, ignore_label, task
):
    _, _, corrections = two(seed, task)
    follow(corrections, [*plan, ("truth", (3, 3, 3), 0.5)])
    sample = make_corrected_volume(corrections, IMAGE, HERE, UneditedRegions.IGNORE, ignore_label, SMALLEST)
    place = tuple(
        slice(start, start + side) for start, side in zip(sample.provenance.start_zyx, sample.shape, strict=True)
    )
    known = np.zeros(SHAPE, bool)
    for correction in corrections.done:
        known[correction.box] |= correction.annotated
    np.testing.assert_array_equal(sample.label_mask, known[place])
    assert known.sum() == sample.label_mask.sum()  # the cut loses nothing
    np.testing.assert_array_equal(sample.image, IMAGE[place])
    assert sample.image.dtype == np.uint16
    assert sample.voxel_size_um == VOXEL_SIZE
    truth = decode_labels(sample.labels, task, ignore_label, sample.label_mask)
    np.testing.assert_array_equal(truth.label_mask, sample.label_mask)
    seen, said = corrections.labels[place][sample.label_mask], truth.labels[sample.label_mask]
    if task is Task.SEMANTIC and ignore_label == 0:
        return  # classes begin at 2 there
    np.testing.assert_array_equal(seen > 0, said > 0)
    if task is Task.INSTANCE:
        assert len(set(zip(seen.tolist(), said.tolist(), strict=True))) == len(np.unique(seen)) == len(np.unique(said))


@given(seed=st.integers(0, 30), corner=st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 10)))
def test_objects_stay_distinct_and_go_on_over_the_rim(seed, corner):
    prediction, truth, corrections = two(seed, Task.INSTANCE)
    done = corrections.accept(region(*corner), CorrectionSource.TRUTH, PLACE, 0.5)
    inside, wanted = corrections.labels[done.box].ravel().tolist(), truth[done.box].ravel().tolist()
    pairs = set(zip(inside, wanted, strict=True))
    assert len(pairs) == len({own for own, _ in pairs}) == len({there for _, there in pairs})  # one to one
    np.testing.assert_array_equal(np.array(inside) > 0, np.array(wanted) > 0)
    outside = np.ones(SHAPE, bool)
    outside[done.box] = False
    np.testing.assert_array_equal(corrections.labels[outside], prediction[outside])


def test_half_of_an_object_that_is_taken_from_the_truth_keeps_its_id():
    prediction, truth = np.zeros((2, SHAPE[0], SHAPE[1], SHAPE[2]), np.uint8)
    prediction[:, 2:5, 2:6] = 7
    truth[:, 2:5, 2:9] = 3  # the same object, of which the far end was missed
    truth[:, 7:9, 6:9] = 4  # another one, of which nothing was found
    corrections = Corrections(prediction, GroundTruth(truth), Task.INSTANCE, Geometry((1.0, 1.0, 1.0)))
    corrections.accept(region(0, 2, 6, (9, 8, 3)), CorrectionSource.TRUTH, PLACE, 0.2)
    np.testing.assert_array_equal(corrections.labels == 7, truth == 3)
    assert set(np.unique(corrections.labels[truth == 4])) == {8}


def test_a_split_object_becomes_one_and_merged_ones_two():
    one, parts = np.zeros((2, SHAPE[0], SHAPE[1], SHAPE[2]), np.uint8)
    one[2:7, 2:8, 2:10] = 5
    parts[2:7, 2:8, 2:6], parts[2:7, 2:8, 6:10] = 1, 2
    whole = region(2, 2, 2, (5, 6, 8))
    for prediction, truth, n in ((parts, one, 1), (one, parts, 2)):
        corrections = Corrections(prediction, GroundTruth(truth), Task.INSTANCE, Geometry((1.0, 1.0, 1.0)))
        corrections.accept(whole, CorrectionSource.TRUTH, PLACE, 0.2)
        assert len(np.unique(corrections.labels[whole.box])) == n


def test_far_from_the_rest_only_the_place_is_cut_out_but_no_less_than_a_patch():
    big = np.zeros((40, 50, 60), np.uint8)
    corrections = Corrections(big, GroundTruth(big), Task.BINARY, Geometry(VOXEL_SIZE))
    corrections.accept(region(30, 20, 55), CorrectionSource.TRUTH, PLACE, 1.0)
    sample = make_corrected_volume(corrections, big, HERE, UneditedRegions.IGNORE, None, (16, 16, 16))
    assert sample.shape == (16, 16, 16)
    assert sample.provenance.start_zyx == (23, 13, 44)  # about the place, and inside of the volume
    whole = make_corrected_volume(corrections, big, HERE, UneditedRegions.IGNORE, None, (40, 50, 50))
    assert whole.shape == (40, 50, 60)  # as a smaller one would hardly save anything
    accepted = make_corrected_volume(corrections, big, HERE, UneditedRegions.ACCEPT, None, (16, 16, 16))
    assert accepted.shape == (40, 50, 60)
    assert accepted.label_mask.all()


def test_a_corrected_volume_comes_back_from_the_dataset_with_its_story(tmp_path):
    _, _, corrections = two()
    corrections.accept(region(4, 4, 5), CorrectionSource.TRUTH, PLACE, 1.0)
    corrections.accept(region(1, 1, 1), CorrectionSource.PREDICTION, PLACE, 1.0)
    sample = make_corrected_volume(corrections, IMAGE, HERE, UneditedRegions.IGNORE, None, SMALLEST)
    add_sample(tmp_path, with_unique_name(sample, ["Scan corrected"]), Subset.TRAIN)
    (read,) = read_samples(tmp_path)
    assert read.name == "scan corrected 2"
    np.testing.assert_array_equal(read.label_mask, sample.label_mask)
    assert [place.source for place in read.provenance.corrections] == ["truth", "prediction"]
    assert (read.provenance.volume, read.provenance.unedited_regions) == ("scan", "ignore")


@pytest.mark.parametrize("task", [Task.BINARY, Task.INSTANCE])
def test_no_object_of_a_corrected_volume_gets_the_ignore_label(task):
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:5, 2:5, 2:5], labels[2:5, 6:8, 2:5] = 1, 1 + (task is Task.INSTANCE)
    corrections = Corrections(labels, GroundTruth(labels), task, Geometry(VOXEL_SIZE))
    corrections.accept(region(3, 3, 3), CorrectionSource.TRUTH, PLACE, 1000.0)
    sample = make_corrected_volume(corrections, IMAGE, HERE, UneditedRegions.ACCEPT, 1, SMALLEST)
    truth = decode_labels(sample.labels, task, 1, sample.label_mask)
    assert not (sample.labels == 1).any()
    np.testing.assert_array_equal(truth.labels > 0, labels > 0)
    assert len(np.unique(truth.labels)) == len(np.unique(labels))


def test_words_and_names():
    _, _, corrections = two()
    assert describe_count(corrections.done) == ""
    corrections.accept(region(4, 4, 5), CorrectionSource.TRUTH, PLACE, 1.0)
    assert describe_count(corrections.done) == "1 correction: 1 truth"
    corrections.accept(region(1, 1, 1), CorrectionSource.PREDICTION, PLACE, 1.0)
    assert describe_count(corrections.done) == "2 corrections: 1 truth, 1 prediction"
    assert unique_name("a", ["A", "a 2", "b"]) == "a 3"
    assert auto_margin(VOXEL_SIZE) == 12.0
