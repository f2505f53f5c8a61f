from __future__ import annotations

import numpy as np
import pytest

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
