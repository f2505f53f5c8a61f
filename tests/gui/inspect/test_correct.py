"""Errors are corrected with buttons, keys and the brush, shown in the viewer and the table, and taken back exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_unet3d.configs import CorrectionConfig, UneditedRegions
from napari_unet3d.data.dataset import Subset, add_sample, list_pairs, read_samples
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.trash import list_trash
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.inspect.error_model import ErrorList
from napari_unet3d.widgets.viewer.layer_metadata import mark_origin

VOXEL = (2.0, 1.0, 0.5)
SHAPE = (20, 24, 30)
MISSED, WIDE, EXTRA = (
    (slice(5, 9), slice(6, 12), slice(7, 17)),
    (slice(12, 18), slice(12, 20), slice(26, 29)),
    (slice(1, 3), slice(1, 3), slice(1, 3)),
)


@pytest.fixture
def shown(make_napari_viewer):
    """A viewer that is really drawn, for keys and the mouse."""
    return make_napari_viewer(show=True)


@pytest.fixture
def viewer(shown):
    return shown


@pytest.fixture
def volume(viewer):
    """Of two true boxes one is missed; the other is found too wide; something is extra."""
    truth = np.zeros(SHAPE, np.uint8)
    truth[MISSED] = 1
    truth[12:18, 12:20, 18:26] = 1
    found = truth.copy()
    found[MISSED] = 0
    found[WIDE] = found[EXTRA] = 1
    place = {"scale": VOXEL, "units": ("um",) * 3}
    viewer.add_image((truth * 100).astype(np.uint16), name="v", **place)
    viewer.add_labels(truth, name="v labels", **place)
    viewer.add_labels(found, name="v prediction", **place)
    return found, truth


@pytest.fixture
def dock(open_dock, volume, wait_for_end):
    """The Inspect dock with the three errors in its table: the missed box, the wide side, the extra cube."""
    dock = open_dock("Inspect")
    dock.tolerance.value = 0
    wait_for_end(dock, dock.inspect)
    assert len(dock.session.errors.errors) == 3
    return dock


def press(viewer, key, modifier=Qt.KeyboardModifier.NoModifier) -> None:
    canvas = viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    QTest.keyClick(canvas, key, modifier)
    QApplication.processEvents()


def notes(dock) -> list[str]:
    return [dock.errors.table.rows.text(error, ErrorList.NOTE) for error in dock.session.errors.errors]


def corrected(viewer) -> np.ndarray:
    return viewer.layers["v corrected"].data


def test_keys_take_the_truth_and_the_prediction_and_go_back(dock, viewer, volume):
    found, truth = volume
    dock.correction.settings.value = dock.correction.settings.value.model_copy(update={"margin": 2.0})
    press(viewer, Qt.Key.Key_J)
    assert dock.session.selection.kind == "missed"
    press(viewer, Qt.Key.Key_W)
    expected = found.copy()
    expected[MISSED] = 1
    np.testing.assert_array_equal(corrected(viewer), expected)
    left = viewer.layers["v difference"].data
    assert not left[MISSED].any()  # the error vanishes from the view …
    assert (left[WIDE] == 1).all()
    assert (dock.session.comparison.difference[MISSED] == 2).all()  # … but not from what was measured
    assert viewer.layers.index("v corrected") < viewer.layers.index("v difference")
    press(viewer, Qt.Key.Key_J)
    press(viewer, Qt.Key.Key_K)  # the wide side is right, so the ground truth is wrong there
    np.testing.assert_array_equal(corrected(viewer), expected)
    assert notes(dock) == ["corrected: truth", "corrected: prediction", ""]
    assert dock.correction.counts.value == "2 corrections: 1 truth, 1 prediction"
    press(viewer, Qt.Key.Key_U)
    press(viewer, Qt.Key.Key_U)
    np.testing.assert_array_equal(corrected(viewer), found)
    np.testing.assert_array_equal(left, dock.session.comparison.difference)
    assert notes(dock) == ["", "", ""]
    assert not dock.correction.undo_button.enabled
    press(viewer, Qt.Key.Key_U, Qt.KeyboardModifier.ShiftModifier)
    np.testing.assert_array_equal(corrected(viewer), expected)
    np.testing.assert_array_equal(viewer.layers["v prediction"].data, found)
    np.testing.assert_array_equal(viewer.layers["v labels"].data, truth)


def test_a_corrected_error_is_seen_and_a_note_stays(dock, viewer):
    rows = dock.errors.table.rows
    error = dock.session.errors.errors[2]
    dock.select(error)
    index = rows.index(2, ErrorList.NOTE)
    rows.setData(index, "dust")
    dock.correction.accept_truth()
    assert notes(dock)[2] == "corrected: truth; dust"
    assert rows.data(index, Qt.ItemDataRole.EditRole) == "dust"
    assert rows.note_on(error).is_seen


def test_painting_with_the_mouse_corrects_what_was_painted(dock, viewer, volume, qtbot):
    found, _ = volume
    press(viewer, Qt.Key.Key_J)
    press(viewer, Qt.Key.Key_Q)
    layer = viewer.layers["v corrected"]
    assert (viewer.dims.ndisplay, viewer.layers.selection.active, layer.mode) == (2, layer, "paint")
    assert layer.selected_label == 1
    assert viewer.dims.current_step[0] == dock.session.selection.position_zyx[0]
    canvas = viewer.window._qt_viewer.canvas.native
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    QTest.mouseMove(canvas, middle)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    QApplication.processEvents()
    painted = layer.data != found
    assert painted.any()
    assert set(np.nonzero(painted)[0]) == {dock.session.selection.position_zyx[0]}  # in the slice alone
    press(viewer, Qt.Key.Key_Q)
    assert layer.mode == "pan_zoom"
    assert notes(dock)[0] == "corrected: painted"
    assert dock.correction.counts.value == "1 correction: 1 painted"
    dock.correction.undo()
    np.testing.assert_array_equal(layer.data, found)


def test_going_on_ends_the_painting_and_the_eraser_is_taken_for_what_is_extra(dock, viewer, volume):
    found, _ = volume
    dock.select(dock.session.errors.errors[2])
    dock.correction.paint()
    assert dock.correction.paint_button.text == "Done painting"
    assert not dock.correction.truth_button.enabled
    layer = viewer.layers["v corrected"]
    assert layer.mode == "erase"
    layer.data_setitem(np.nonzero(found * 0 + (np.indices(SHAPE) < 3).all(0)), 0)
    dock.next_error()
    assert dock.correction.paint_button.text == "Paint"
    assert notes(dock)[2] == "corrected: painted"
    assert not corrected(viewer)[EXTRA].any()


def test_ending_without_a_stroke_says_so_and_undo_meanwhile_costs_no_correction(dock, viewer):
    dock.next_error()
    dock.correction.accept_truth()
    dock.correction.paint()
    dock.correction.undo()
    assert dock.correction.message.text() == "Nothing was painted, so nothing is corrected."
    assert notes(dock)[0] == "corrected: truth"


def test_without_a_truth_a_place_in_view_is_corrected(open_dock, volume, viewer):
    found, _ = volume
    viewer.layers.remove("v labels")
    dock = open_dock("Inspect")
    assert dock.session.errors is None
    viewer.dims.ndisplay = 2
    press(viewer, Qt.Key.Key_H)
    assert not dock.correction.truth_button.enabled
    dock.correction.side.value = 4.0
    viewer.dims.set_point(0, 14.0)
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    camera.center = (0, 9.0, 6.0)
    dock.correction.accept_prediction()
    (done,) = dock.session.corrections.corrections.done
    # 4 µm about the voxel 7, 9, 12: one voxel to each side along z, two along y, four along x
    region = np.zeros(SHAPE, bool)
    region[6:9, 7:12, 8:17] = True
    np.testing.assert_array_equal(done.edited, region[done.box])
    np.testing.assert_array_equal(corrected(viewer), found)
    assert not viewer.layers["v prediction"].visible  # it would be seen where something is erased


def test_corrected_labels_are_shown_instead_of_plain_ones_and_not_over_them(dock, viewer):
    """Ground truth below the corrected labels would be a mixture of both, called 'ground truth'."""
    press(viewer, Qt.Key.Key_J)
    dock.views.show_one("truth")
    dock.correction.accept_truth()
    assert visible(viewer) == {"corrected"}
    dock.views.show_one("truth")
    assert visible(viewer) == {"labels"}
    dock.views.show_one("difference")
    assert visible(viewer) == {"difference", "corrected"}
    dock.views.show_one("prediction")
    dock.next_error()
    dock.correction.paint()
    assert visible(viewer) == {"corrected"}
    dock.views.show_one("truth")
    assert visible(viewer) == {"labels", "corrected"}, "what is painted stays in view"


def visible(viewer):
    endings = ("labels", "prediction", "difference", "corrected")
    return {each for each in endings if f"v {each}" in viewer.layers and viewer.layers[f"v {each}"].visible}


def test_corrections_of_a_model_of_layers_are_offered_a_new_dataset(
    volume, viewer, open_dock, wait_for_end, wait_for_job, tmp_path
):
    (tmp_path / "run").mkdir()
    mark_origin([viewer.layers["v prediction"]], VolumeOrigin("v", None, tmp_path / "run"))
    dock = open_dock("Inspect")
    wait_for_end(dock, dock.inspect)
    panel = dock.fine_tuning
    assert panel.dataset.value == tmp_path / "run-corrections"
    assert panel.hint.native.isVisibleTo(panel.native)
    dock.next_error()
    dock.correction.accept_truth()
    wait_for_job(dock, "correct", panel.add_to_dataset)
    assert [pair.name for pair in list_pairs(tmp_path / "run-corrections", Subset.TRAIN)] == ["v corrected"]
    assert not panel.hint.native.isVisibleTo(panel.native), "it is a dataset now"


def test_nothing_can_be_pressed_without_a_prediction_and_a_key_says_why(open_dock, viewer):
    viewer.add_image(np.zeros(SHAPE), name="v", scale=VOXEL, units=("um",) * 3)
    correction = open_dock("Inspect").correction
    needing = ("truth_button", "prediction_button", "paint_button", "here_button", "proofread_button")
    assert [name for name in needing if getattr(correction, name).enabled] == []
    press(viewer, Qt.Key.Key_K)
    assert "No prediction is chosen" in correction.message.text()
    layer = viewer.add_labels(np.ones(SHAPE, np.uint8), name="v prediction", scale=VOXEL, units=("um",) * 3)
    open_dock("Inspect").prediction_layer.value = layer
    assert [name for name in needing if not getattr(correction, name).enabled] == ["truth_button"]
    viewer.layers.remove(layer)
    assert not correction.paint_button.enabled


def test_another_tolerance_keeps_the_corrections(dock, viewer, wait_for_end):
    dock.select(dock.session.errors.errors[2])
    dock.correction.accept_truth()
    dock.tolerance.value = 0.4
    wait_for_end(dock, dock.inspect)
    assert notes(dock)[2] == "corrected: truth"
    assert dock.correction.counts.value == "1 correction: 1 truth"
    assert (dock.session.comparison.difference[EXTRA] == 1).all()
    assert not viewer.layers["v difference"].data[EXTRA].any()
    dock.correction.undo()
    np.testing.assert_array_equal(viewer.layers["v difference"].data, dock.session.comparison.difference)


def test_corrections_become_a_training_volume_and_go_again_to_the_last_byte(dock, viewer, dataset, wait_for_job):
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    folders = {path for path in dataset.rglob("*") if path.is_dir()}
    dock.fine_tuning.dataset.value = dataset
    dock.next_error()
    dock.correction.accept_truth()
    wait_for_job(dock, "correct", dock.fine_tuning.add_to_dataset)
    pair = next(pair for pair in list_pairs(dataset, Subset.TRAIN) if pair.name == "v corrected")
    sample = next(sample for sample in read_samples(dataset) if sample.name == "v corrected")
    assert sample.voxel_size_um == VOXEL
    assert sample.image.dtype == np.uint16
    assert 0 < sample.label_mask.mean() < 1
    story = json.loads((dataset / "train/annotated/v corrected.json").read_text())
    assert (story["volume"], story["subset"], story["unedited_regions"]) == ("v", "", "ignore")
    assert [(place["kind"], place["source"]) for place in story["corrections"]] == [("missed", "truth")]
    assert not dock.fine_tuning.add_button.enabled

    dock.next_error()
    dock.correction.accept_prediction()
    wait_for_job(dock, "correct", dock.fine_tuning.add_to_dataset)  # again, with one more: in the place of the first
    assert sum("corrected" in pair.name for pair in list_pairs(dataset, Subset.TRAIN)) == 1

    wait_for_job(dock, "correct", dock.fine_tuning.remove_from_dataset)
    assert not pair.image.exists()
    assert {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()} == before
    assert {path for path in dataset.rglob("*") if path.is_dir()} == folders
    assert dock.fine_tuning.add_button.enabled


def test_after_another_inspection_the_addition_can_still_be_taken_out(
    dock, viewer, dataset, wait_for_job, wait_for_end, qtbot
):
    names = [pair.name for pair in list_pairs(dataset)]
    dock.fine_tuning.dataset.value = dataset
    dock.next_error()
    dock.correction.accept_truth()
    wait_for_job(dock, "correct", dock.fine_tuning.add_to_dataset)
    qtbot.mouseClick(dock.job_bar.start_button.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.jobs.running("inspect") is None)
    viewer.layers["v prediction"].data = 1 - viewer.layers["v prediction"].data  # another prediction
    wait_for_end(dock, dock.inspect)
    assert not dock.session.corrections.done
    button = dock.fine_tuning.remove_button
    assert button.enabled
    assert button.tooltip == "Take 'v corrected' out of the dataset again."
    wait_for_job(dock, "correct", lambda: qtbot.mouseClick(button.native, Qt.MouseButton.LeftButton))
    assert [pair.name for pair in list_pairs(dataset)] == names
    assert "'v corrected' was moved to 'trash/" in dock.fine_tuning.message.text()
    (trashed,) = list_trash(dataset)
    assert trashed.names == ("v corrected",), "it is not lost, though its corrections are in no dock any more"
    assert not button.enabled


@pytest.fixture
def answer(monkeypatch):
    """Answer every question with a button; gives what was asked, with the button of the Enter key."""

    def _answer(button):
        asked = []
        monkeypatch.setattr(QMessageBox, "question", lambda *args: (asked.append((args[2], args[4])), button)[1])
        return asked

    return _answer


def test_corrections_of_a_test_volume_are_added_only_when_the_person_wants_it(
    dock, viewer, dataset, answer, wait_for_job, qtbot
):
    """The test volume is larger, of another number type and has another name."""
    image = np.pad(viewer.layers["v"].data.astype(np.float32), ((3, 0), (2, 5), (0, 4)), mode="symmetric")
    add_sample(dataset, Sample("other", image, np.ones(image.shape, np.uint8)), Subset.TEST)
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    dock.fine_tuning.dataset.value = dataset
    dock.next_error()
    dock.correction.accept_truth()
    asked = answer(QMessageBox.StandardButton.Cancel)
    wait_for_job(dock, "correct", dock.fine_tuning.add_to_dataset)
    qtbot.waitUntil(lambda: bool(asked))  # once the job has ended
    ((question, by_enter),) = asked
    assert "The corrected places are part of the test volume 'other' of this dataset." in question
    assert by_enter == QMessageBox.StandardButton.Cancel
    assert {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()} == before
    assert dock.fine_tuning.add_button.enabled

    answer(QMessageBox.StandardButton.Ok)
    wait_for_job(dock, "correct", dock.fine_tuning.add_to_dataset)
    added = dataset / "train/annotated/v corrected.json"  # by a second job, after the question
    qtbot.waitUntil(lambda: added.exists() and dock.jobs.running("correct") is None, timeout=20_000)
    assert json.loads((dataset / "train/annotated/v corrected.json").read_text())["subset"] == "test"
    wait_for_job(dock, "correct", dock.fine_tuning.remove_from_dataset)
    assert {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()} == before


def test_another_volume_with_the_name_of_a_test_volume_is_added_without_a_question(
    dock, dataset, ball, answer, wait_for_job
):
    add_sample(dataset, ball("v"), Subset.TEST)
    dock.fine_tuning.dataset.value = dataset
    dock.next_error()
    dock.correction.accept_truth()
    asked = answer(QMessageBox.StandardButton.Cancel)
    wait_for_job(dock, "correct", dock.fine_tuning.add_to_dataset)
    assert not asked
    assert json.loads((dataset / "train/annotated/v corrected.json").read_text())["subset"] == ""


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_volume_that_is_known_to_come_from_the_test_part_is_asked_about(
    open_dock, volume, viewer, dataset, tmp_path, answer, wait_for_job, wait_for_end, qtbot, is_elsewhere
):
    """Though its intensities were changed, and only when it is of the dataset that it is to be added to."""
    folder = tmp_path / "unedited_regions" if is_elsewhere else dataset
    mark_origin([viewer.layers["v prediction"]], VolumeOrigin("v", dataset=folder, subset=Subset.TEST))
    dock = open_dock("Inspect")
    dock.tolerance.value = 0
    wait_for_end(dock, dock.inspect)
    dock.fine_tuning.dataset.value = dataset
    dock.next_error()
    dock.correction.accept_truth()
    asked = answer(QMessageBox.StandardButton.Cancel)
    wait_for_job(dock, "correct", dock.fine_tuning.add_to_dataset)
    if not is_elsewhere:
        qtbot.waitUntil(lambda: bool(asked))
    assert len(asked) == (not is_elsewhere)
    assert (dataset / "train/annotated/v corrected.json").exists() == is_elsewhere


def test_what_is_missing_is_said(dock, viewer, dataset):
    dock.fine_tuning.dataset.value = dataset
    dock.fine_tuning.add_to_dataset()
    assert dock.fine_tuning.message.text() == "There are no corrections yet. Correct an error first."
    dock.next_error()
    dock.correction.accept_truth()
    dock.fine_tuning.fine_tune()
    assert "It is not known which model made this prediction" in dock.fine_tuning.message.text()


def test_accepting_the_rest_annotates_the_whole_volume(dock, dataset, wait_for_job):
    dock.fine_tuning.dataset.value = dataset
    dock.correction.settings.value = CorrectionConfig(unedited_regions=UneditedRegions.ACCEPT)
    dock.next_error()
    dock.correction.accept_truth()
    wait_for_job(dock, "correct", dock.fine_tuning.add_to_dataset)
    (sample,) = [each for each in read_samples(dataset) if each.name == "v corrected"]
    assert sample.shape == SHAPE
    assert sample.label_mask.all()
    np.testing.assert_array_equal(sample.labels, dock.session.corrections.corrections.labels)


def test_what_another_volume_had_corrected_comes_back_with_it(dock, viewer, wait_for_end):
    dock.next_error()
    dock.correction.accept_truth()
    first = dock.prediction_layer.value
    place = {"scale": VOXEL, "units": ("um",) * 3}
    dock.prediction_layer.value = viewer.add_labels(np.zeros(SHAPE, np.uint8), name="w prediction", **place)
    wait_for_end(dock, dock.inspect)
    assert dock.correction.counts.value == "There are no corrections yet."
    dock.prediction_layer.value = first
    wait_for_end(dock, dock.inspect)
    assert dock.correction.counts.value == "1 correction: 1 truth"


def test_another_correction_in_the_place_of_one_that_was_added_can_be_added(dock, dataset, wait_for_job):
    dock.fine_tuning.dataset.value = dataset
    dock.next_error()
    dock.correction.accept_truth()
    wait_for_job(dock, "correct", dock.fine_tuning.add_to_dataset)
    dock.correction.undo()
    dock.correction.accept_prediction()
    assert dock.fine_tuning.add_button.enabled
