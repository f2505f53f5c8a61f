from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.session.preferences import load_preference

VOXEL = (2.0, 1.0, 0.5)
WIDE = (slice(12, 18), slice(12, 20), slice(26, 29))  # extra, 1.5 µm deep
MISSED = (slice(5, 9), slice(6, 12), slice(7, 17))


@pytest.fixture
def dock(open_dock, viewer, wait_for_end):
    """An inspection of two true boxes, of which one is missed and the other predicted too wide."""
    truth = np.zeros((20, 24, 30), np.uint8)
    truth[MISSED] = 1
    truth[12:18, 12:20, 18:26] = 1
    found = truth.copy()
    found[MISSED] = 0
    found[WIDE] = 1
    for name, labels in (("v labels", truth), ("v prediction", found)):
        viewer.add_labels(labels, name=name, scale=VOXEL, units=("um",) * 3)
    dock = open_dock("Inspect")
    dock.tolerance.value = 0.5
    wait_for_end(dock, dock.inspect)
    return dock


def set_tolerance(dock, value, qtbot):
    dock.tolerance.value = value
    qtbot.waitUntil(lambda: dock.session.errors.tolerance == value, timeout=20_000)


def test_boundary_noise_is_hidden_in_the_view_too(dock, qtbot):
    shown = dock.layers.difference
    assert (shown.data[WIDE] == 1).all()
    set_tolerance(dock, 2.0, qtbot)
    assert dock.layers.difference is shown
    assert not shown.data[WIDE].any()
    assert (shown.data[MISSED] == 2).all()
    assert (dock.session.comparison.difference[WIDE] == 1).all(), "the scores still know it"
    set_tolerance(dock, 0.5, qtbot)
    assert (shown.data[WIDE] == 1).all()


def test_a_tolerance_that_is_set_during_an_inspection_is_kept(dock, wait_for_end, qtbot):
    def inspect_and_change():
        dock.inspect()
        dock.tolerance.value = 2.0

    wait_for_end(dock, inspect_and_change)
    qtbot.waitUntil(lambda: dock.session.errors.tolerance == 2.0, timeout=20_000)
    assert dock.tolerance.value == 2.0
    assert not dock.layers.difference.data[WIDE].any()


def test_what_was_hidden_by_the_user_stays_hidden(dock, qtbot):
    dock.layers.difference.visible = False
    set_tolerance(dock, 2.0, qtbot)
    assert not dock.layers.difference.visible


def test_a_corrected_error_stays_away_until_it_is_undone(dock, qtbot):
    dock.next_error()
    dock.correction.accept_truth()
    shown = dock.layers.difference
    assert not shown.data[MISSED].any()
    set_tolerance(dock, 2.0, qtbot)
    assert not shown.data[MISSED].any()
    dock.correction.undo()
    assert (shown.data[MISSED] == 2).all()


def press(dock, text):
    button = next(each for each in dock.native.findChildren(QPushButton) if each.text() == text)
    assert button.isVisibleTo(dock.native)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def wait_for_tolerance(dock, value, qtbot):
    qtbot.waitUntil(lambda: dock.session.errors.tolerance == value, timeout=20_000)


def test_the_hidden_errors_are_one_click_away_and_the_choice_is_not_remembered(dock, qtbot, viewer):
    set_tolerance(dock, 2.0, qtbot)
    assert "1 hidden" in dock.errors.table.counts.value
    assert not dock.layers.difference.data[WIDE].any()
    press(dock, "Show the one hidden")
    wait_for_tolerance(dock, 0.0, qtbot)
    assert (dock.layers.difference.data[WIDE] == 1).all()
    assert "hidden" not in dock.errors.table.counts.value
    assert load_preference("inspect-tolerance") == {"2 1 0.5": 2.0}
    press(dock, "Hide what is not deeper than 2 µm")
    wait_for_tolerance(dock, 2.0, qtbot)
    assert not dock.layers.difference.data[WIDE].any()
    set_tolerance(dock, 0.5, qtbot)
    assert not dock.errors.hidden_button.visible


def test_the_scores_have_the_tolerance_of_the_errors(dock, qtbot):
    for tolerance in (0.5, 3.0):
        set_tolerance(dock, tolerance, qtbot)
        qtbot.waitUntil(lambda: dock.session.comparison.is_measured, timeout=20_000)
        comparison = dock.session.comparison
        labels, truth = comparison.prediction.labels, comparison.truth
        expected = score(labels, truth, "v", Geometry(VOXEL), MetricOptions(tolerance=tolerance))
        assert comparison.scores.nsd == expected.nsd


def test_a_key_without_an_error_says_what_to_do_until_that_has_changed(dock, viewer, qtbot):
    canvas = viewer.window._qt_viewer.canvas.native
    press_key = lambda: QTest.keyClick(canvas, Qt.Key.Key_J)  # noqa: E731
    set_tolerance(dock, 12.0, qtbot)
    assert len(dock.session.errors) == 0
    press_key()
    assert "'Show the 2 hidden'" in dock.message.text()
    assert "12 µm" in dock.message.text()
    set_tolerance(dock, 0.5, qtbot)
    assert not dock.message.text(), "it no longer holds"
    QTest.keyClicks(dock.errors.table.text.native, "no such word")
    press_key()
    assert "clear the search" in dock.message.text()
    dock.errors.table.text.native.selectAll()
    QTest.keyClick(dock.errors.table.text.native, Qt.Key.Key_Delete)
    assert not dock.message.text()
    press_key()
    assert dock.session.selection is not None


def test_a_key_before_any_inspection_says_what_to_do(open_dock, viewer):
    dock = open_dock("Inspect")
    viewer.add_image(np.zeros((4, 5, 6)))
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_J)
    assert "press Inspect" in dock.message.text()


def test_a_refusal_goes_when_what_was_missing_is_chosen(open_dock, viewer):
    viewer.add_labels(np.ones((4, 5, 6), np.uint8), name="p")
    dock = open_dock("Inspect")
    QTest.mouseClick(dock.job_bar.start_button.native, Qt.MouseButton.LeftButton)
    assert dock.message.kind == "error"
    assert dock.message.text()
    viewer.add_labels(np.ones((4, 5, 6), np.uint8), name="t")
    dock.truth_layer.value = viewer.layers["t"]
    assert not dock.message.text()
