from __future__ import annotations

import json

import numpy as np
import pytest

from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.errors.find import list_errors
from napari_unet3d.evaluation.errors.review import ReviewNote, match_notes, read_notes, updated_notes, write_notes
from napari_unet3d.evaluation.errors.types import ErrorKind, ErrorSet

SHAPE = (12, 16, 20)


def errors_of(*missed: tuple[slice, slice, slice]) -> ErrorSet:
    truth = np.zeros(SHAPE, np.uint8)
    for box in missed:
        truth[box] = 1
    return list_errors(np.zeros(SHAPE, np.uint8), GroundTruth(truth))


BEFORE = errors_of(np.s_[1:5, 1:6, 1:7], np.s_[8:11, 10:14, 12:18])
LARGE, SMALL = BEFORE.errors


def test_notes_come_back_from_the_file(tmp_path):
    path = tmp_path / "run" / "inspection" / "v.json"
    notes = updated_notes(BEFORE, {LARGE.number: (True, "cell in mitosis – ask Ana")}, ())
    write_notes(path, "v", SHAPE, notes)
    assert read_notes(path, SHAPE) == (ReviewNote.on(LARGE, is_seen=True, note="cell in mitosis – ask Ana"),)
    assert read_notes(path.with_name("other.json"), SHAPE) == ()


def test_an_error_is_known_again_in_another_prediction():
    notes = [ReviewNote.on(LARGE, note="large"), ReviewNote.on(SMALL, is_seen=True)]
    after = errors_of(np.s_[2:5, 1:6, 1:5], np.s_[8:11, 9:14, 12:19], np.s_[1:3, 10:13, 15:17])
    known, unmatched = match_notes(after, notes)
    assert unmatched == ()
    assert {after.errors[number - 1].box_zyx: remark for number, remark in known.items()} == {
        ((2, 5), (1, 6), (1, 5)): notes[0],
        ((8, 11), (9, 14), (12, 19)): notes[1],
    }


def test_what_lies_elsewhere_or_is_of_another_kind_is_not_known():
    notes = [ReviewNote.on(LARGE, is_seen=True), ReviewNote(ErrorKind.EXTRA, SMALL.position_zyx, SMALL.box_zyx, True)]
    after = errors_of(np.s_[6:8, 1:6, 1:7], np.s_[8:11, 10:14, 12:18])
    assert match_notes(after, notes) == ({}, tuple(notes))


def test_one_note_matches_one_error():
    known, _ = match_notes(errors_of(np.s_[1:5, 1:6, 1:3], np.s_[1:5, 1:6, 4:7]), [ReviewNote.on(LARGE, is_seen=True)])
    assert len(known) == 1


def test_notes_on_errors_that_are_gone_stay():
    reviewed = {SMALL.number: (True, ""), LARGE.number: (False, "")}
    gone = ReviewNote.on(LARGE, note="was here")
    assert updated_notes(BEFORE, reviewed, [gone]) == (ReviewNote.on(SMALL, is_seen=True), gone)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"shape_zyx": [12, 16, 20]}',
        '{"shape_zyx": [12, 16, 20], "errors": [{"kind": "missed"}]}',
        '{"shape_zyx": [12, 16, 20], "errors": [{"kind": "odd", "position_zyx": [1, 1, 1], '
        '"box_zyx": [[0, 1], [0, 1], [0, 1]], "seen": true, "note": ""}]}',
    ],
)
def test_a_damaged_file_is_distinguished_from_an_empty_one(tmp_path, content):
    path = tmp_path / "v.json"
    path.write_text(content)
    with pytest.raises(UserError, match="damaged"):
        read_notes(path, SHAPE)


def test_a_volume_of_another_shape_has_other_errors(tmp_path):
    write_notes(tmp_path / "v.json", "v", (9, 9, 9), ())
    with pytest.raises(UserError, match=r"\[9, 9, 9\].*\[12, 16, 20\]"):
        read_notes(tmp_path / "v.json", SHAPE)
    assert json.loads((tmp_path / "v.json").read_text())["volume"] == "v"
