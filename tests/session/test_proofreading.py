"""Proofreading without a viewer: edits, reviews that survive undo and renumbering, and corrections for a dataset."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.configs import UneditedRegions
from napari_unet3d.data.dataset import Subset, create_dataset, list_pairs, read_pair
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.errors import UserError
from napari_unet3d.session.add_to_dataset import DatasetAddition, add_corrections
from napari_unet3d.session.object_labels import Intensities, ObjectLabels
from napari_unet3d.session.proofread_corrections import proofread_corrections
from napari_unet3d.session.proofreading import ProofreadingSession

VOXEL = Geometry((2.0, 1.0, 0.5))


@pytest.fixture
def array():
    """Objects 2 and 3 side by side, 7 elsewhere, and 9 in a corner."""
    labels = np.zeros((16, 40, 80), np.uint16)
    labels[2:8, 4:12, 4:14] = 2
    labels[2:8, 4:12, 14:24] = 3
    labels[3:9, 20:28, 40:60] = 7
    labels[14:, 38:, 76:] = 9
    return labels


@pytest.fixture
def session(array):
    session = ProofreadingSession()
    session.open(ObjectLabels("cells", array, VOXEL))
    return session


def undo(session, array, edit):
    """Undo an edit, as the layer does, and say so."""
    for change in edit.changes:
        array[change.box] = change.before
    session.notice_change()


def test_each_change_is_announced_with_what_is_true_by_then(session, array):
    heard = []
    for name in ("selection", "edited", "reviewed", "is_stale"):
        getattr(session.events, name).connect(lambda value, name=name: heard.append((name, value)))
    session.measure()
    session.select([3, 2, 3, 0])
    edit = session.merge()
    assert session.selection == (3,)
    assert (array == 3).sum() == 6 * 8 * 20
    assert heard == [
        ("is_stale", False),
        ("selection", (3, 2)),
        ("is_stale", True),
        ("selection", (3,)),
        ("edited", edit),
        ("reviewed", {3}),
    ]
    assert session.measure().numbers.tolist() == [3, 7, 9]


def test_reviews_follow_the_objects_through_undo_and_renumbering(session, array):
    session.mark_reviewed([9])
    session.select([2, 3])
    merged = session.merge()
    assert session.reviewed == {2, 9}
    renumbered = session.renumber()
    assert np.unique(array).tolist() == [0, 1, 2, 3]
    assert session.reviewed == {1, 3}
    assert session.selection == (1,)
    undo(session, array, renumbered)
    undo(session, array, merged)
    assert session.reviewed == {9}
    session.mark_reviewed([9], False)
    assert session.reviewed == set()


def test_objects_are_merged_also_where_their_boxes_hold_no_other(session, array):
    """The merged one has another number only; that it is one with the other now counts."""
    session.select([7, 9])
    session.merge()
    assert session.reviewed == {7}
    assert len(session.done.edits_in_effect(array)) == 1


def test_boxes_that_overlap_do_not_bring_objects_back(session, array):
    array[12, :, :] = np.arange(3200).reshape(40, 80) % 2 + 20  # two combs in one box
    session.select([20, 21])
    session.delete()
    assert not array[12].any()


def test_points_belong_to_one_object(session):
    session.add_point((4, 6, 6))
    assert session.selection == (2,)
    with pytest.raises(UserError, match="That is object 3; the points before are in object 2"):
        session.add_point((4, 6, 20))
    with pytest.raises(UserError, match="background"):
        session.add_point((0, 0, 0))
    with pytest.raises(UserError, match="at least two points"):
        session.split()
    session.add_point((4, 6, 12))
    assert session.split().objects == (2, 10)
    assert session.points == ()
    assert session.selection == (2, 10)


def test_what_cannot_be_edited_says_why(session, array):
    with pytest.raises(UserError, match="No object is selected"):
        session.delete()
    session.open(ObjectLabels("cells", array, VOXEL, read_only="It is read-only. Load it into memory."))
    session.select([2])
    before = array.copy()
    for act in (session.delete, session.renumber, session.split, lambda: session.smooth(1)):
        with pytest.raises(UserError, match="Load it into memory"):
            act()
    np.testing.assert_array_equal(array, before)
    session.open(None)
    with pytest.raises(UserError, match="No layer"):
        session.merge()


def test_a_filter_needs_a_table_and_knows_what_is_reviewed(session):
    with pytest.raises(UserError, match="Measure"):
        session.rows_matching("volume > 3")
    session.measure()
    session.mark_reviewed([7])
    assert session.rows_matching("reviewed or border").tolist() == [False, False, True, True]


def test_another_image_is_measured_anew(session, array):
    one, two = array * 2, array * 3
    session.measure(Intensities((one,), ("",)))
    assert session.measure(Intensities((two,), ("",))).column("mean").tolist() == [6, 9, 21, 27]


@pytest.fixture
def dataset(tmp_path):
    return create_dataset(tmp_path / "dataset")


def test_edited_and_reviewed_places_become_a_training_volume(session, array, dataset):
    image = np.random.default_rng(0).integers(0, 999, array.shape).astype(np.uint16)
    with pytest.raises(UserError, match="edited or reviewed"):
        proofread_corrections(session.labels, session.done, image)
    session.select([2, 3])
    session.merge()
    session.select([7])
    deleted = session.delete()
    session.mark_reviewed([9])
    corrections = proofread_corrections(session.labels, session.done, image, margin=0.1)
    (added,) = add_corrections(DatasetAddition.of(corrections, dataset, UneditedRegions.IGNORE))
    sample = read_pair(added.pair)
    assert [record.kind for record in sample.provenance.corrections] == ["merged", "deleted", "reviewed"]
    assert [record.source for record in sample.provenance.corrections] == ["painted", "painted", "prediction"]
    start = sample.provenance.start_zyx
    part = tuple(slice(at, at + side) for at, side in zip(start, sample.shape, strict=True))
    np.testing.assert_array_equal(sample.image, image[part])
    expected = np.zeros(array.shape, bool)
    expected[2:8, 4:12, 4:24] = expected[3:9, 20:28, 40:60] = expected[14:, 38:, 76:] = True
    np.testing.assert_array_equal(sample.label_mask, expected[part])
    np.testing.assert_array_equal(sample.labels, np.where(expected, array, 0)[part])
    assert sample.voxel_size_um == (2.0, 1.0, 0.5)
    undo(session, array, deleted)
    again = proofread_corrections(session.labels, session.done, image, margin=0.1)
    assert [each.record.kind for each in again.done] == ["merged", "reviewed"]
    assert len(list_pairs(dataset, Subset.TRAIN)) == 1


def test_objects_that_are_far_apart_have_boxes_of_their_own(session, array):
    session.select([2, 9])
    session.merge()
    corrections = proofread_corrections(session.labels, session.done, array, margin=0.1)
    starts = [tuple(side.start for side in each.box) for each in corrections.done]
    assert starts == [(2, 4, 4), (14, 38, 76)]
    assert {each.record.kind for each in corrections.done} == {"merged"}
