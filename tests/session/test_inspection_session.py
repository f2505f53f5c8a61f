"""A session announces each change once with the new value, and is worked without a viewer."""

from __future__ import annotations

import os
import subprocess
import sys
import weakref
from dataclasses import replace

import numpy as np
import pytest

from napari_unet3d.configs import CorrectionConfig, Task
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.errors.types import ErrorKind
from napari_unet3d.inference.events import Prediction
from napari_unet3d.session import recent_runs
from napari_unet3d.session.comparison import InspectionResult, compare, inspect_comparison
from napari_unet3d.session.correction import target_around
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.inspection_input import plan_for
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.session.progress import last_event
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
    return Prediction(name, predicted, predicted.astype(np.float32), Geometry(VOXEL)), Sample(name, image, truth, VOXEL)


@pytest.fixture
def session():
    return InspectionSession(*volume(), tolerance=0.25)


@pytest.fixture
def heard(session):
    """The signals that were emitted, each with what it carried."""
    signals = []
    for name, signal in session.events.signals.items():
        signal.connect(lambda value, name=name: signals.append((name, value)))
    return signals


def test_errors_are_those_counted_by_hand(session):
    assert [(error.kind, error.n_voxels, error.volume) for error in session.errors] == [
        (ErrorKind.MISSED, 4 * 6 * 10, 240.0),
        (ErrorKind.EXTRA, 6 * 8 * 3, 144.0),
        (ErrorKind.EXTRA, 8, 8.0),
    ]
    n_true, n_right, n_predicted = 240 + 6 * 8 * 8, 6 * 8 * 8, 6 * 8 * 8 + 144 + 8
    assert session.scores.dice == pytest.approx(2 * n_right / (n_true + n_predicted))
    assert [int((session.difference == value).sum()) for value in (1, 2, 3)] == [152, 240, 0]
    assert len(session.errors) == 3
    assert session.errors[:2] == session.errors.errors[:2]


def test_the_default_tolerance_is_the_smallest_side_of_a_voxel():
    assert InspectionSession(*volume()).tolerance == 0.5  # of 2 × 1 × 0.5 µm


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
    other = InspectionSession(*volume(), tolerance=2.0).errors[0]
    session.select(other)  # the same, by its value
    prediction, sample = volume()
    prediction.labels[2:4, 2:4, 20:24] = 1
    with pytest.raises(UserError, match="not one of this inspection"):
        session.select(InspectionSession(prediction, sample, tolerance=0.25).errors[2])


def test_another_tolerance_hides_noise_and_keeps_notes_and_corrections(session, heard):
    missed, wide, _ = session.errors
    session.set_note(missed, "dim")
    session.select(wide)
    session.accept_prediction()
    before = session.errors
    heard.clear()
    session.tolerance = 2.0
    session.tolerance = 2.0
    assert heard == [("tolerance", 2.0)]
    assert session.errors is before, "not found again yet"
    heard.clear()
    errors = session.find_errors()
    notes = {1: ErrorNote(note="dim")}
    assert heard == [("comparison", session.comparison), ("errors", errors), ("selection", None), ("notes", notes)]
    assert session.comparison.tolerance == 2.0
    assert [error.kind for error in errors] == [ErrorKind.MISSED]
    assert errors.n_hidden == 2
    assert session.note_on(errors[0]) == ErrorNote(note="dim")
    assert [correction.record.number for correction in session.corrections.done] == [wide.number]
    assert not session.difference[WIDE].any()
    assert session.comparison.difference[WIDE].all()


def test_corrections_are_made_undone_and_redone(session, heard):
    labels = session.prediction.labels.copy()
    session.settings = CorrectionConfig(margin=0.5)
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
    with pytest.raises(UserError, match="There are no corrections"):
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
    assert measured.scores == compare(comparison.prediction, comparison.truth, 0.25).scores
    session.measure()
    assert len(heard) == 1


def test_corrections_of_an_earlier_prediction_come_back(session, heard):
    session.select(session.errors[0])
    session.accept_truth()
    first, again = session.corrections, InspectionSession(*volume()).comparison
    other = InspectionSession(*volume("w"))
    heard.clear()
    session.show(_result(other))
    names = ["comparison", "errors", "corrections", "tolerance", "selection", "notes"]
    assert [name for name, _ in heard] == names
    assert dict(heard)["notes"] == {}
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
    session = InspectionSession(*volume(), origin=VolumeOrigin("v", run=run), tolerance=0.25)
    session.load_notes()
    assert not session.notes
    session.set_note(session.errors[1], "ask Ana")
    session.save_notes()
    again = InspectionSession(*volume(), origin=VolumeOrigin("v", run=run), tolerance=0.25)
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
    prediction = Prediction("v", labels, labels.astype(np.float32), Geometry(VOXEL), plan_for(Task.INSTANCE, None))
    session = InspectionSession(prediction, GroundTruth(truth), tolerance=0.25)
    session.select(next(error for error in session.errors if error.kind is ErrorKind.MISSED))
    targets = []
    session.events.painting.connect(targets.append)
    session.begin_painting()
    assert session.corrections.label_to_paint(targets[0]) == label


def test_sessions_need_no_viewer():
    modules = [
        f"napari_unet3d.session.{name}"
        for name in (
            *("inspection", "correction", "fine_tuning", "add_to_dataset", "dataset_volumes", "comparison"),
            "epoch_view",
        )
    ]
    unwanted = ("qtpy", "PyQt6", "PySide6", "napari", "magicgui", "superqt", "pyqtgraph", "vispy")
    code = f"import sys, importlib\nfor m in {modules!r}: importlib.import_module(m)\n"
    code += f"print(*[m for m in sys.modules if m.split('.')[0] in {unwanted!r}])"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_errors_found_before_the_slow_scores_keep_scores_notes_and_corrections(session, heard):
    """A search in the background begins with the comparison of that time."""
    events = inspect_comparison(session.comparison, 0.25)
    session.set_note(session.errors[0], "dim")
    session.select(session.errors[1])
    session.accept_truth()
    session.measure()
    measured, corrections, origin = session.comparison, session.corrections, session.origin
    heard.clear()
    session.show(last_event(events, InspectionResult), VolumeOrigin("another"))
    assert session.comparison is measured
    assert session.scores.nsd is not None
    assert session.corrections is corrections
    assert session.corrected == {2: "truth"}
    assert session.note_on(session.errors[0]) == ErrorNote(note="dim")
    assert session.origin is origin
    assert [name for name, _ in heard] == ["errors", "selection"]


def test_a_prediction_shown_with_more_scores_has_them(session, heard):
    measured = session.comparison.measured()
    session.show(InspectionResult(measured, session.errors, session.difference))
    assert heard == [("comparison", measured)]
    heard.clear()
    stricter = compare(session.prediction, session.truth, 0.1, fast=True)
    session.show(InspectionResult(stricter, session.errors, session.difference))
    assert heard == [("comparison", stricter)]


def test_the_tolerance_is_that_of_the_errors_shown():
    prediction, sample = volume()
    session = InspectionSession(tolerance=0.25)
    assert session.tolerance == 0.25
    session.open(prediction)
    assert session.tolerance == 0.25, "it was chosen"
    changes = []
    session.events.tolerance.connect(changes.append)
    session.show(_result(InspectionSession(prediction, sample, tolerance=2.0)))
    assert (session.tolerance, changes) == (2.0, [2.0])
    assert session.find_errors().tolerance == 2.0


def test_the_default_tolerance_follows_the_voxels_of_what_is_opened():
    session = InspectionSession()
    assert session.tolerance == 0
    session.open(volume()[0])
    assert session.tolerance == 0.5
    session.open(replace(volume()[0], geometry=Geometry((1.0, 1.0, 1.0))))
    assert session.tolerance == 1.0


@pytest.mark.parametrize("given", [{"truth": volume()[1]}, {"origin": VolumeOrigin("v")}])
def test_ground_truth_and_origin_need_a_prediction(given):
    with pytest.raises(UserError, match="without a prediction"):
        InspectionSession(**given)


def test_listeners_learn_that_errors_and_notes_are_gone(session, heard):
    session.set_note(session.errors[0], "dim")
    heard.clear()
    session.open(volume("w")[0])
    assert [name for name, _ in heard] == ["comparison", "errors", "corrections", "notes"]
    assert (dict(heard)["errors"], dict(heard)["notes"]) == (None, {})
    heard.clear()
    session.open(volume("x")[0])
    assert [name for name, _ in heard] == ["comparison", "corrections"]


def test_a_listener_that_selects_an_error_is_not_overruled(session, heard):
    """Signals report what is true: a selection that is made meanwhile stays, and is announced once."""
    session.select(session.errors[1])
    session.events.errors.connect(lambda errors: session.select(errors[0]))
    heard.clear()
    errors = session.find_errors()
    assert session.selection is errors[0]
    assert [value for name, value in heard if name == "selection"] == [errors[0]]


def test_everything_has_changed_before_the_first_signal(session):
    other, seen = InspectionSession(*volume("w"), tolerance=2.0), []
    session.set_note(session.errors[0], "dim")
    session.select(session.errors[1])

    def listen(_comparison):
        seen.append((session.errors, session.selection, dict(session.notes), session.tolerance, session.origin.name))

    session.events.comparison.connect(listen)
    session.show(_result(other))
    assert seen == [(other.errors, None, {}, 2.0, "w")]


def test_an_error_is_marked_as_seen_before_its_selection_is_announced(session):
    seen = []
    session.events.selection.connect(lambda error: seen.append(session.note_on(error).is_seen))
    session.select(session.errors[0])
    assert seen == [True]


def test_notes_that_were_read_are_announced_once_with_those_of_corrections(tmp_path, monkeypatch):
    monkeypatch.setattr(recent_runs, "plugin_data_folder", lambda: tmp_path)
    session = InspectionSession(*volume(), tolerance=0.25)
    session.load_notes()
    session.set_note(session.errors[0], "dim")
    session.save_notes()
    again = InspectionSession(*volume(), tolerance=0.25)
    again.select(again.errors[0])
    again.accept_truth()
    heard = []
    again.events.notes.connect(heard.append)
    again.load_notes()
    assert heard == [{1: ErrorNote(is_seen=True, note="dim")}]


def test_notes_are_written_only_when_they_have_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(recent_runs, "plugin_data_folder", lambda: tmp_path)
    session = InspectionSession(*volume(), tolerance=0.25)
    session.load_notes()
    session.save_notes()
    assert not list(tmp_path.rglob("*.json"))
    session.set_note(session.errors[0], "dim")
    session.save_notes()
    [file] = tmp_path.rglob("*.json")
    session.set_note(session.errors[0], "")
    session.save_notes()
    assert "dim" not in file.read_text(encoding="utf-8")


def test_a_run_that_cannot_be_fine_tuned_does_not_become_the_origin(session, tmp_path):
    session.select(session.errors[0])
    session.accept_truth()
    origin = session.origin
    with pytest.raises(UserError):
        session.fine_tune(tmp_path / "no run", tmp_path / "no dataset")
    assert session.origin is origin
    assert session.corrections.origin is origin


def test_the_last_event_is_kept_alone_and_the_generator_closed():
    alive, closed = [], []

    class Event:
        pass

    def events():
        try:
            for _ in range(3):
                event = Event()
                alive.append(weakref.ref(event))
                yield event
                del event
        finally:
            closed.append(True)

    last = last_event(events(), Event)
    assert [each() for each in alive] == [None, None, last]
    with pytest.raises(TypeError, match="not of the type int"):
        last_event(events(), int)

    def fails():
        yield from events()
        raise UserError("It failed.")

    with pytest.raises(UserError, match="It failed"):
        last_event(fails(), Event)
    assert len(closed) == 3


def test_objects_at_the_border_are_left_out_on_request_and_announced_once():
    truth = np.zeros(SHAPE, np.uint8)
    truth[MISSED], truth[12:20, 12:20, 18:26] = 1, 2
    plan = plan_for(Task.INSTANCE, None)
    prediction = Prediction("v", truth * 0, truth * np.float32(0), Geometry(VOXEL), plan)
    session = InspectionSession(prediction, GroundTruth(truth))
    assert [error.target for error in session.errors] == [(2,), (1,)]
    assert session.measure().instances.n_true == 2
    session.set_note(session.errors[1], "seen on both sides")
    heard = []
    for name, signal in session.events.signals.items():
        signal.connect(lambda value, name=name: heard.append(name))

    session.ignore_border = True
    session.ignore_border = True
    assert heard == ["ignore_border"]
    assert [error.target for error in session.find_errors()] == [(1,)]
    assert session.measure().instances.n_true == 1
    assert session.notes[1].note == "seen on both sides"
    assert heard.count("errors") == 1

    session.ignore_border = False
    session.find_errors()
    assert len(session.errors) == 2
    assert session.measure().instances.n_true == 2
