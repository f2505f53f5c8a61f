"""What is closed is gone: docks with their keys, callbacks and timers, and viewers with all of it."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.widgets.components.keys import bound_keys

DOCKS = ("Start here", "Generate data", "Dataset", "Annotate", "Train", "Predict", "Inspect", "Objects")
GUARD = "napari_unet3d.widgets.viewer.canvas_context"  # which stays for as long as the viewer
SHAPE = (6, 10, 14)
PLACE = {"scale": (3.0, 1.0, 0.5), "units": ("um",) * 3}


@pytest.fixture
def layers(viewer):
    """A volume whose prediction misses some of one block."""
    truth = np.zeros(SHAPE, np.uint8)
    truth[2:4, 2:8, 3:12] = 1
    found = truth.copy()
    found[:, :5] = 0
    return (
        viewer.add_image(truth * 60, name="v", **PLACE),
        viewer.add_labels(truth, name="v labels", **PLACE),
        viewer.add_labels(found, name="v prediction", **PLACE),
    )


def owner(callback):
    """Return the module of what is called; of a method, of which napari keeps a weak reference, that of its object."""
    if isinstance(callback, tuple):
        return type(callback[0]()).__module__
    return getattr(callback, "__module__", "")


def callbacks(viewer):
    """List the events of the viewer and its layers, and the keys, that call something of the plugin."""
    groups = {
        "viewer": viewer.events,
        "layers": viewer.layers.events,
        "selection": viewer.layers.selection.events,
        "dims": viewer.dims.events,
        **{layer.name: layer.events for layer in viewer.layers},
    }
    called = {
        f"{name} {event}": [each for each in emitter.callbacks if owner(each) != GUARD]
        for name, group in groups.items()
        for event, emitter in group.emitters.items()
    }
    called |= {name: getattr(viewer, name) for name in ("mouse_move_callbacks", "mouse_double_click_callbacks")}
    called |= {f"key {key}": [action] for key, action in viewer.keymap.items()}
    return [words for words, them in called.items() if any(owner(each).startswith("napari_unet3d") for each in them)]


@pytest.fixture
def click_its_cross(viewer):
    """Close a dock as a person does; give its frame. Qt deletes both a little later."""

    def _click(dock):
        frame = next(frame for frame in viewer.window._wrapped_dock_widgets.values() if frame.inner_widget() is dock)
        frame.title.close_button.click()
        return frame

    return _click


@pytest.fixture
def close_by_its_cross(click_its_cross, qtbot):
    """Close a dock as a person does, and wait until it is gone."""

    def _close(dock):
        gone = []
        widget = getattr(dock, "native", dock)
        widget.destroyed.connect(lambda: gone.append(True))
        click_its_cross(dock).destroyed.connect(lambda: gone.append(True))
        qtbot.waitUntil(lambda: len(gone) == 2)

    return _close


@pytest.fixture
def wait_until_collected(qtbot):
    """Wait until objects are gone; Qt deletes some of what knows them a little later."""

    def _wait(references):
        def are_gone():
            gc.collect()
            assert [each for each in references if each() is not None] == []

        qtbot.waitUntil(are_gone)

    return _wait


@pytest.mark.parametrize("name", DOCKS)
def test_a_dock_that_is_closed_leaves_nothing_behind(
    name, viewer, layers, open_dock, close_by_its_cross, wait_until_collected
):
    docks = []
    for _ in range(5):
        dock = open_dock(name)
        assert callbacks(viewer)
        docks.append(weakref.ref(dock))
        close_by_its_cross(dock)
        del dock
    wait_until_collected(docks)
    assert callbacks(viewer) == []
    assert bound_keys(viewer) == []


def test_what_arrives_for_a_dock_that_was_just_closed_shows_nothing(viewer, layers, open_dock, click_its_cross, qtbot):
    dock = open_dock("Inspect")
    dock.inspect()
    job = dock.jobs.running("inspect")
    QThreadPool.globalInstance().waitForDone()  # no event was handled: what was found is still on its way
    click_its_cross(dock)
    with qtbot.waitSignal(job.ended):
        pass
    assert list(viewer.layers) == list(layers)


def test_an_inspection_goes_with_its_dock_also_while_all_is_side_by_side(
    viewer, layers, open_dock, close_by_its_cross, wait_for_end, wait_until_collected
):
    dock = open_dock("Inspect")
    wait_for_end(dock, dock.inspect)
    dock.next_error()
    dock.views.side_button.native.click()
    errors = weakref.ref(dock.session.errors.regions)
    close_by_its_cross(dock)
    del dock
    wait_until_collected([errors])
    for layer in [layer for layer in viewer.layers if layer not in layers]:
        viewer.layers.remove(layer)
    assert callbacks(viewer) == []


def test_a_closed_predict_dock_is_left_alone_at_the_end_of_a_training(dataset, open_dock, close_by_its_cross, qtbot):
    """It was open when the training began."""
    predict, dock = open_dock("Predict"), open_dock("Train")
    dock.source.use_folder(dataset)
    dock.settings.value = TrainingConfig(epochs=100_000, steps_per_epoch=1, val_fraction=0.34)
    dock.job_bar.start_button.native.click()
    job = dock.jobs.running("train")
    close_by_its_cross(predict)
    with qtbot.waitSignal(job.ended, timeout=60_000), qtbot.captureExceptions() as exceptions:
        job.stop()
    QApplication.sendPostedEvents()  # the slot is queued
    assert exceptions == []


def test_a_closed_dock_is_left_alone_while_python_still_knows_it(viewer, layers, open_dock, close_by_its_cross):
    """Napari calls it whenever layers change, until Python collects it."""
    docks = [open_dock(name) for name in DOCKS]
    for dock in docks:
        close_by_its_cross(dock)
    layers[0].name = "renamed"
    viewer.layers.remove(layers[1])
    viewer.theme = "light"
    viewer.dims.ndisplay = 3


@pytest.mark.parametrize("name", DOCKS)
def test_a_viewer_that_is_closed_takes_its_docks_along(name, make_napari_viewer, qtbot, wait_until_collected):
    docks, gone = [], []
    for _ in range(2):
        viewer = make_napari_viewer()
        dock = viewer.window.add_plugin_dock_widget("napari-unet3d", name)[1]
        docks.append(weakref.ref(dock))
        getattr(dock, "native", dock).destroyed.connect(lambda *_: gone.append(True))
        viewer.close()
        del dock, viewer
    qtbot.waitUntil(lambda: len(gone) == 2)
    wait_until_collected(docks)
