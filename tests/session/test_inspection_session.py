"""A session announces each change once with the new value, and is worked without a viewer."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from napari_unet3d.configs import CorrectionConfig, Task
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.errors.types import ErrorKind
from napari_unet3d.inference.events import Prediction
from napari_unet3d.session import recent_runs
from napari_unet3d.session.comparison import InspectionResult, compare, default_tolerance_um, plan_for
from napari_unet3d.session.correction import target_around
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.session.review_notes import ErrorNote

VOXEL, SHAPE = (2.0, 1.0, 0.5), (20, 24, 30)
MISSED, EXTRA = (slice(5, 9), slice(6, 12), slice(7, 17)), (slice(1, 3), slice(1, 3), slice(1, 3))
WIDE = (slice(12, 18), slice(12, 20), slice(26, 29))  # beside a true box, 1.5 µm deep


def volume(name: str = "v") -> tuple[Prediction, Sample]:
    """Of two true boxes one is missed, and the other predicted too wide; something small is extra."""
    truth = np.zeros(SHAPE, np.uint8)
    truth[MISSED] = truth[12:18, 12:20, 18:26] = 1
    predicted = truth.copy()
    predicted[MISSED] = 0
    predicted[WIDE] = predicted[EXTRA] = 1
    image = truth * np.uint8(100)
    return Prediction(name, predicted, predicted.astype(np.float32), VOXEL), Sample(name, image, truth, VOXEL)


@pytest.fixture
def session():
    return InspectionSession(*volume(), tolerance_um=0.25)


@pytest.fixture
def heard(session):
    """The signals that were emitted, each with what it carried."""
    signals = []
    for name, signal in session.events.signals.items():
        signal.connect(lambda value, name=name: signals.append((name, value)))
    return signals


def test_errors_are_those_counted_by_hand(session):
    assert [(error.kind, error.n_voxels, error.volume_um3) for error in session.errors] == [
        (ErrorKind.MISSED, 4 * 6 * 10, 240.0),
        (ErrorKind.EXTRA, 6 * 8 * 3, 144.0),
        (ErrorKind.EXTRA, 8, 8.0),
    ]
    n_true, n_right, n_predicted = 240 + 6 * 8 * 8, 6 * 8 * 8, 6 * 8 * 8 + 144 + 8
    assert session.scores.dice == pytest.approx(2 * n_right / (n_true + n_predicted))
    assert [int((session.difference == value).sum()) for value in (1, 2, 3)] == [152, 240, 0]
    assert len(session.errors) == 3
    assert session.errors[:2] == session.errors.errors[:2]


def test_the_default_tolerance_is_the_diagonal_of_a_voxel_rounded_up():
    assert default_tolerance_um((2.0, 1.0, 0.5)) == 2.3  # of the square root of 5.25, which is 2.2913
    assert InspectionSession(*volume()).tolerance_um == 2.3


def test_selecting_emits_the_error_and_its_note_once(session, heard):
    first = session.errors[0]
    session.select(first)
    session.select(first)
    assert heard == [("selection", first), ("notes", {1: ErrorNote(is_seen=True)})]
    assert (session.selection, session.note_on(first).is_seen) == (first, True)
    heard.clear()
    session.select(None)
    session.set_note(first, "dust")
    session.set_note(first, "dust")
    assert heard == [("selection", None), ("notes", {1: ErrorNote(is_seen=True, note="dust")})]


def test_an_error_of_another_inspection_cannot_be_selected(session):
    other = InspectionSession(*volume(), tolerance_um=2.0).errors[0]
    session.select(other)  # the same, by its value
    prediction, sample = volume()
    prediction.labels[2:4, 2:4, 20:24] = 1
    with pytest.raises(UserError, match="not one of this inspection"):
        session.select(InspectionSession(prediction, sample, tolerance_um=0.25).errors[2])


def test_another_tolerance_hides_noise_and_keeps_notes_and_corrections(session, heard):
    missed, wide, _ = session.errors
    session.set_note(missed, "dim")
    session.select(wide)
    session.accept_prediction()
    before = session.errors
    heard.clear()
    session.tolerance_um = 2.0
    session.tolerance_um = 2.0
    assert heard == [("tolerance_um", 2.0)]
    assert session.errors is before, "not found again yet"
    heard.clear()
    errors = session.find_errors()
    assert heard == [("errors", errors), ("selection", None)]
    assert [error.kind for error in errors] == [ErrorKind.MISSED]
    assert errors.n_hidden == 2
    assert session.note_on(errors[0]) == ErrorNote(note="dim")
    assert [correction.record.number for correction in session.corrections.done] == [wide.number]
    assert not session.difference[WIDE].any()
    assert session.comparison.difference[WIDE].all()


def test_corrections_are_made_undone_and_redone(session, heard):
    labels = session.prediction.labels.copy()
    session.settings = CorrectionConfig(margin_um=0.5)
    with pytest.raises(UserError, match="No error is selected"):
        session.accept_truth()
    session.select(session.errors[0])
    heard.clear()
    correction = session.accept_truth()
    assert heard == [("corrected", correction)]
    assert session.corrected == {1: "truth"}
    expected = labels.copy()
    expected[MISSED] = 1
    np.testing.assert_array_equal(session.corrections.corrections.labels, expected)
    np.testing.assert_array_equal(session.prediction.labels, labels)
    heard.clear()
    assert session.undo() is correction
    assert session.undo() is None
    assert heard == [("corrected", correction)]
    assert session.corrected == {}
    np.testing.assert_array_equal(session.corrections.corrections.labels, labels)
    assert session.redo() is correction
    assert session.redo() is None
    np.testing.assert_array_equal(session.corrections.corrections.labels, expected)
    assert heard == [("corrected", correction)] * 2


def test_a_place_that_holds_other_errors_marks_them_as_seen(session, heard):
    corrections = session.corrections
    session.accept_truth(target_around((2, 2, 2), 6.0, VOXEL, corrections.shape))
    assert session.corrected == {3: "truth"}
    assert session.note_on(session.errors[2]).is_seen
    assert [name for name, _ in heard] == ["corrected", "notes"]


def test_painting_is_a_correction_of_what_was_painted(session, heard):
    session.select(session.errors[2])
    heard.clear()
    session.begin_painting()
    assert [name for name, _ in heard] == ["painting"]
    assert session.corrections.label_to_paint(heard[0][1]) == 0, "something is extra there"
    assert session.finish_painting() is None
    assert heard[1:] == [("painting", None)]
    session.begin_painting()
    session.corrections.corrections.labels[EXTRA] = 0
    heard.clear()
    session.select(None)  # ends the painting
    (name, correction), *others = heard
    assert (name, correction.record.source) == ("corrected", "painted")
    assert others == [("painting", None), ("selection", None)]
    assert session.corrected == {3: "painted"}


def test_without_ground_truth_there_are_no_errors_and_corrections_are_painted_only():
    session = InspectionSession(volume()[0])
    assert (session.errors, session.scores, session.truth) == (None, None, None)
    with pytest.raises(UserError, match="no ground truth"):
        session.find_errors()
    with pytest.raises(UserError, match="no ground truth"):
        session.accept_truth(target_around((2, 2, 2), 4.0, VOXEL, SHAPE))
    with pytest.raises(UserError, match="Nothing is corrected"):
        session.fine_tune("run", "dataset")


def test_slow_scores_are_computed_once_and_announced(session, heard):
    comparison = session.comparison
    assert session.scores.nsd is None
    measured = comparison.measured()
    assert session.measure() is measured.scores
    assert heard == [("comparison", measured)]
    assert comparison.measured() is measured
    assert measured.measured() is measured
    assert measured.difference is comparison.difference
    assert measured.scores == compare(comparison.prediction, comparison.truth).scores
    session.measure()
    assert len(heard) == 1


def test_corrections_of_an_earlier_prediction_come_back(session, heard):
    session.select(session.errors[0])
    session.accept_truth()
    first, again = session.corrections, InspectionSession(*volume()).comparison
    other = InspectionSession(*volume("w"))
    heard.clear()
    session.show(_result(other))
    assert [name for name, _ in heard] == ["comparison", "errors", "corrections", "selection"]
    assert session.origin.name == "w"
    assert session.corrections is not first
    assert session.corrected == {}
    session.show(_result(InspectionSession(again.prediction, again.truth)))
    assert session.corrections is first
    assert session.corrected == {1: "truth"}


def _result(session):
    return InspectionResult(session.comparison, session.errors, session.difference)


def test_notes_are_kept_beside_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(recent_runs, "plugin_data_folder", lambda: tmp_path / "data")
    run = tmp_path / "run"
    run.mkdir()
    session = InspectionSession(*volume(), origin=VolumeOrigin("v", run=run), tolerance_um=0.25)
    session.load_notes()
    assert not session.notes
    session.set_note(session.errors[1], "ask Ana")
    session.save_notes()
    again = InspectionSession(*volume(), origin=VolumeOrigin("v", run=run), tolerance_um=0.25)
    heard = []
    again.events.notes.connect(heard.append)
    again.load_notes()
    assert heard == [{2: ErrorNote(note="ask Ana")}]
    (run / "inspection" / "v.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="damaged"):
        again.load_notes()
    again.set_note(again.errors[0], "lost")
    again.save_notes()
    assert (run / "inspection" / "v.json").read_text(encoding="utf-8") == "{"


@pytest.mark.parametrize(("found", "label"), [((slice(6, 8), slice(6, 9), slice(10, 12)), 7), (EXTRA, 8)])
def test_the_label_to_paint_is_that_of_the_object(found, label):
    """That of an object which was found in part, or else a new id."""
    truth, labels = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    truth[MISSED], labels[found] = 1, 7
    prediction = Prediction("v", labels, labels.astype(np.float32), VOXEL, plan_for(Task.INSTANCE, None))
    session = InspectionSession(prediction, GroundTruth(truth), tolerance_um=0.25)
    session.select(next(error for error in session.errors if error.kind is ErrorKind.MISSED))
    targets = []
    session.events.painting.connect(targets.append)
    session.begin_painting()
    assert session.corrections.label_to_paint(targets[0]) == label


def test_sessions_need_no_viewer():
    modules = [
        f"napari_unet3d.session.{name}"
        for name in ("inspection", "correction", "fine_tuning", "add_to_dataset", "comparison", "epoch_view")
    ]
    unwanted = ("qtpy", "PyQt6", "PySide6", "napari", "magicgui", "superqt", "pyqtgraph", "vispy")
    code = f"import sys, importlib\nfor m in {modules!r}: importlib.import_module(m)\n"
    code += f"print(*[m for m in sys.modules if m.split('.')[0] in {unwanted!r}])"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
