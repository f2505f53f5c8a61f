"""Two people inspect one run at the same time: neither loses what the other has noted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.errors.find import list_errors
from napari_unet3d.evaluation.errors.types import ErrorSet
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.session.review_notes import ErrorNote, ReviewNotes

SEEN = ErrorNote(is_seen=True)


@pytest.fixture
def errors() -> ErrorSet:
    """Three missed boxes of 12, 8 and 4 voxels."""
    truth = np.zeros((6, 10, 14), np.uint8)
    truth[1:3, 1:3, 1:4] = truth[1:3, 1:3, 6:8] = truth[4:5, 6:8, 10:12] = 1
    return list_errors(np.zeros_like(truth), GroundTruth(truth))


def test_what_two_viewers_note_is_kept_and_the_last_counts_on_one_error(errors: ErrorSet, tmp_path: Path) -> None:
    origin = VolumeOrigin("v", run=tmp_path)
    one, other = ReviewNotes(), ReviewNotes()
    assert one.read(errors, origin) == other.read(errors, origin) == {}
    one.write(errors, {1: SEEN})
    other.write(errors, {2: ErrorNote(note="of the other")})
    one.write(errors, {1: ErrorNote(note="of the one")})
    assert ReviewNotes().read(errors, origin) == {1: ErrorNote(note="of the one"), 2: ErrorNote(note="of the other")}

    other.write(errors, {2: ErrorNote(note="of the other"), 3: SEEN})
    one.write(errors, {1: ErrorNote(note="of the one"), 2: ErrorNote(note="mine")})
    expected = {1: ErrorNote(note="of the one"), 2: ErrorNote(note="mine"), 3: SEEN}
    assert ReviewNotes().read(errors, origin) == expected

    one.write(errors, {2: ErrorNote(note="mine")})  # the note on the first is taken back
    del expected[1]
    assert ReviewNotes().read(errors, origin) == expected
