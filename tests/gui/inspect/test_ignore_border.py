"""Objects at the border can be left out of the errors and the scores of an inspection."""

from __future__ import annotations

import numpy as np

from napari_unet3d.configs import Task

VOXEL = (2.0, 1.0, 0.5)
INSIDE, AT_BORDER = (slice(5, 9), slice(6, 12), slice(7, 17)), (slice(10, 20), slice(14, 20), slice(7, 17))


def inspect(open_dock, viewer, wait_for_end, task):
    """Inspect an empty prediction of two objects, one of which touches the border."""
    truth = np.zeros((20, 24, 30), np.uint8)
    truth[INSIDE], truth[AT_BORDER] = 1, 2
    for name, labels in (("v labels", truth), ("v prediction", np.zeros_like(truth))):
        viewer.add_labels(labels, name=name, scale=VOXEL, units=("um",) * 3)
    dock = open_dock("Inspect")
    dock.source.layers.task.value = task
    wait_for_end(dock, dock.inspect)
    return dock


def set_border(dock, is_on, qtbot):
    dock.errors.ignore_border.value = is_on
    qtbot.waitUntil(lambda: dock.session.errors.ignores_border is is_on, timeout=20_000)
    qtbot.waitUntil(lambda: dock.session.comparison.is_measured, timeout=20_000)


def test_errors_and_scores_leave_them_out_and_take_them_back(open_dock, viewer, wait_for_end, qtbot):
    dock = inspect(open_dock, viewer, wait_for_end, Task.INSTANCE)
    assert dock.errors.ignore_border.native.isVisibleTo(dock.native)
    assert not dock.errors.ignore_border.value
    qtbot.waitUntil(lambda: dock.session.comparison.is_measured, timeout=20_000)
    assert [error.target for error in dock.session.errors] == [(2,), (1,)]
    assert dock.session.scores.instances.n_true == 2
    set_border(dock, True, qtbot)
    assert [error.target for error in dock.session.errors] == [(1,)]
    assert dock.session.scores.instances.n_true == 1
    assert not dock.layers.difference.data[AT_BORDER].any()
    set_border(dock, False, qtbot)
    assert len(dock.session.errors) == 2
    assert dock.session.scores.instances.n_true == 2


def test_the_choice_is_remembered_and_shown_for_objects_only(open_dock, close_dock, viewer, wait_for_end, qtbot):
    dock = inspect(open_dock, viewer, wait_for_end, Task.INSTANCE)
    set_border(dock, True, qtbot)
    close_dock(dock)
    again = open_dock("Inspect")
    assert again.errors.ignore_border.value
    again.source.layers.task.value = Task.BINARY
    wait_for_end(again, again.inspect)
    assert not again.errors.ignore_border.native.isVisibleTo(again.native)
    assert len(again.session.errors) == 2
