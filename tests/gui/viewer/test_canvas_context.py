"""Deleting layers must not crash the viewer, whichever OpenGL context is current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtGui import QOpenGLContext

PROGRAM = Path(__file__).with_name("removed_layers.py")


@pytest.fixture
def visible(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    qtbot.waitExposed(viewer.window._qt_window)
    return viewer


@pytest.mark.parametrize("remove", ["one", "all", "selected"])
def test_the_context_of_the_canvas_is_current_when_a_layer_goes(remove, visible, qtbot):
    for name in ("v", "w"):
        visible.add_image(np.zeros((4, 5, 6), np.uint8), name=name)
    visible.window.add_plugin_dock_widget("napari-unet3d", "Predict")
    qtbot.wait(100)
    current, canvas = [], visible.window._qt_viewer.canvas.native
    visible.layers.events.removed.connect(lambda _: current.append(QOpenGLContext.currentContext()))
    canvas.doneCurrent()  # as after Qt has composed the window
    if remove == "one":
        visible.layers.remove("v")
    elif remove == "all":
        visible.layers.clear()
    else:
        visible.layers.selection = set(visible.layers)
        visible.layers.remove_selected()
    assert current
    assert all(each is not None and each == canvas.context() for each in current)


def test_what_draws_goes_on_after_layers_went_in_3d(tmp_path):
    """In another process, which ends with a segmentation fault otherwise."""
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1:] == ["drawn"]
