"""Classes, progress and hints of an annotation, without a viewer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import decode_labels
from napari_unet3d.errors import UserError
from napari_unet3d.session.annotation import AnnotationSession
from napari_unet3d.session.annotation_classes import BACKGROUND, IGNORE_LABEL, AnnotationClasses
from napari_unet3d.session.annotation_progress import AnnotationCounter, describe_missing, describe_progress, hint


def progress_of(labels):
    counter = AnnotationCounter(labels)
    counter.count(labels.size)
    return counter.progress


@pytest.mark.parametrize("classes", [AnnotationClasses(), AnnotationClasses(("wall", "lumen"))])
def test_values_mean_to_the_training_what_they_mean_here(classes):
    labels = np.array([[[0, *classes.values]]], np.uint8)
    truth = decode_labels(labels, classes.task, IGNORE_LABEL)
    assert truth.label_mask.tolist() == [[[False, *[True] * len(classes.values)]]]
    expected = [0, *(0 if value == BACKGROUND else classes.predicted_value(value) for value in classes.values)]
    assert truth.labels.tolist() == [[expected]]


def test_classes_are_added_and_renamed():
    classes = AnnotationClasses().add("lumen").rename(2, " wall ")
    assert classes.values == {1: "Background", 2: "wall", 3: "lumen"}
    assert classes.task is Task.SEMANTIC
    assert classes.rename(2, "wall") == classes
    assert AnnotationClasses(("a", "Object 3")).unused_name() == "Object 4"


@pytest.mark.parametrize("name", ["", "  ", "WALL", "background", "Eraser", "a, b", "[x"])
def test_names_that_cannot_be_used_are_refused(name):
    with pytest.raises(UserError, match="name"):
        AnnotationClasses(("wall",)).add(name)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 500))
def test_counting_in_parts_is_counting_at_once(seed, at_once):
    rng = np.random.default_rng(seed)
    labels = (rng.integers(0, 4, (7, 6, 5)) * (rng.random((7, 6, 5)) < 0.4)).astype(np.uint8)
    counter = AnnotationCounter(labels)
    while not counter.count(at_once):
        pass
    values, counts = np.unique(labels[labels > 0], return_counts=True)
    assert counter.progress.voxels == dict(zip(values.tolist(), counts.tolist(), strict=True))

    def has_area(plane):
        there = plane > 0
        return (there[1:, 1:] & there[1:, :-1] & there[:-1, 1:] & there[:-1, :-1]).any()

    expected = [sum(has_area(np.take(labels, at, axis)) for at in range(labels.shape[axis])) for axis in range(3)]
    assert list(counter.progress.n_slices) == expected
    labels[:] = 0
    counter.invalidate()
    counter.count(labels.size)
    assert counter.progress.voxels == {}
    assert counter.progress.n_slices == (0, 0, 0)


def test_the_hint_leads_to_an_annotation_that_is_enough():
    classes, labels = AnnotationClasses(("wall", "lumen")), np.zeros((20, 30, 30), np.uint8)
    assert hint(progress_of(labels), classes) == "Paint some 'wall' in one slice, then some background around it."
    labels[4, :12, :12] = 2
    assert hint(progress_of(labels), classes) == "Paint some background too."
    assert "background" in describe_missing(progress_of(labels), classes)
    labels[4, 12:24, :12] = 1
    assert hint(progress_of(labels), classes) == "Paint some 'lumen' too."
    assert describe_missing(progress_of(labels), classes) == ""
    labels[4, 12:17, 12:17] = 3
    assert hint(progress_of(labels), classes) == "Paint a little more 'lumen': 100 voxels or more."
    labels[4, 12:24, 12:24] = 3
    assert hint(progress_of(labels), classes).startswith("Enough to start. A second slice")
    labels[15, :4, :4] = 1
    assert describe_progress(progress_of(labels), classes, 0) == "2 slices along z painted. Enough to start training."
    labels[0, 0, 0] = 9
    assert hint(progress_of(labels), classes).startswith("Label 9 has no class")
    assert describe_missing(progress_of(labels), classes)


def test_voxels_and_shares_are_written_for_people():
    labels = np.zeros((10, 100, 100), np.uint8)
    labels[0, :50] = 1
    progress = progress_of(labels)
    assert progress.describe(1) == "5\u202f000 voxels · 5 %"
    assert progress.describe(2) == "0 voxels · 0 %"


def test_gaps_are_filled_around_a_slice_and_else_the_reason_is_given(tmp_path):
    labels = np.zeros((9, 12, 12), np.uint8)
    session = AnnotationSession("v", labels, (1.0, 1.0, 1.0), AnnotationClasses(), Path(tmp_path / "a.npz"))
    with pytest.raises(UserError, match="no gap to fill at slice 3 along z"):
        list(session.fill_gaps(0, 3))
    labels[[1, 5], 3:9, 3:9] = 2
    (gap,) = session.fill_gaps(0, 3)
    assert (gap.first, gap.last) == (1, 5)
    assert (gap.labels == 2).sum() == 3 * 36


def test_changes_are_announced(tmp_path):
    labels = np.zeros((4, 6, 6), np.uint8)
    session = AnnotationSession("v", labels, (1.0, 1.0, 1.0), AnnotationClasses(), tmp_path / "a.npz")
    seen = []
    session.events.classes.connect(seen.append)
    session.events.progress.connect(seen.append)
    session.classes = session.classes
    assert seen == []
    session.classes = AnnotationClasses(("cell",))
    labels[1, 2:4, 2:4] = 2
    session.invalidate()
    assert not session.is_saved
    assert session.count_all().voxels == {2: 4}
    assert seen == [session.classes, session.progress]
