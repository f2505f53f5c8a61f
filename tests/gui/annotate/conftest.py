"""A window with an image, the dock Annotate, and strokes of the mouse on the canvas."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

SHAPE = (16, 40, 36)
PLACE = {"scale": (2.0, 1.0, 1.0), "translate": (5.0, -3.0, 7.0), "units": ("um",) * 3, "axis_labels": ("z", "y", "x")}
MIDDLE, RADIUS = (20, 18), 9


@pytest.fixture
def viewer(make_napari_viewer, qtbot, request):
    """A viewer with a window in which something is drawn; hidden, which is faster, in tests that do not look at it."""
    if request.module.__name__.endswith("test_annotation_autosave"):
        return make_napari_viewer()
    viewer = make_napari_viewer(show=True)
    qtbot.waitExposed(viewer.window._qt_window)
    return viewer


@pytest.fixture
def volume():
    """A bright rod along z in noise; its voxels as a mask, too."""
    rows, columns = np.indices(SHAPE[1:])
    rod = np.broadcast_to(np.hypot(rows - MIDDLE[0], columns - MIDDLE[1]) < RADIUS, SHAPE)
    noise = np.random.default_rng(0).normal(40, 8, SHAPE)
    return np.clip(noise + 120 * rod, 0, 255).astype(np.uint8), rod


@pytest.fixture
def image(viewer, volume):
    return viewer.add_image(volume[0], name="bone", **PLACE)


@pytest.fixture
def dock(image, open_dock, qtbot):
    """The dock Annotate, with an annotation begun by a click."""
    dock = open_dock("Annotate")
    dock.annotate_button.native.click()
    qtbot.waitUntil(lambda: dock.link.layer is not None)
    return dock


@pytest.fixture
def settle(qtbot):
    """Wait until everything that was painted is counted."""

    def _settle(dock):
        qtbot.waitUntil(lambda: not dock.link.is_counting)

    return _settle


@pytest.fixture
def stroke(viewer, qtbot):
    """Draw a line with the left mouse button through voxels (row, column) of the slice in view."""

    def _stroke(*places):
        layer = viewer.layers.selection.active
        canvas = viewer.window._qt_viewer.canvas.native
        left, no = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton

        def move(place, buttons):
            """Move until napari has followed, a few milliseconds later, and no dock changes the size of the canvas."""

            def is_there():
                point = _pixel(viewer, layer, canvas, place)
                _send(canvas, QEvent.Type.MouseMove, point, no, buttons)
                at = layer.world_to_data(viewer.cursor.position)[list(viewer.dims.displayed)]
                return np.allclose(at, place, atol=0.6) and point == _pixel(viewer, layer, canvas, place)

            qtbot.waitUntil(is_there)

        _wait_for_layout(viewer, canvas, qtbot)
        move(places[0], no)
        _send(canvas, QEvent.Type.MouseButtonPress, _pixel(viewer, layer, canvas, places[0]), left, left)
        for place in places[1:]:
            move(place, left)
        _send(canvas, QEvent.Type.MouseButtonRelease, _pixel(viewer, layer, canvas, places[-1]), left, no)
        QApplication.processEvents()

    return _stroke


def _wait_for_layout(viewer, canvas, qtbot):
    """Wait until the canvas has kept its size for some time, as a new dock changes it more than once."""
    seen = []

    def is_settled():
        seen.append((canvas.width(), canvas.height(), _camera(viewer).zoom, tuple(_camera(viewer).center)))
        return len(seen) > 10 and len(set(seen[-10:])) == 1

    qtbot.waitUntil(is_settled)


def _camera(viewer):
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def _pixel(viewer, layer, canvas, place):
    """Return where a voxel of the slice in view is drawn on the canvas."""
    camera = _camera(viewer)
    shown = list(viewer.dims.displayed)
    data = np.zeros(3)
    data[shown] = place
    world = np.asarray(layer.data_to_world(data))[shown]
    y, x = (world - np.asarray(camera.center)[-2:]) * camera.zoom / canvas.devicePixelRatioF()
    return QPointF(canvas.width() / 2 + x, canvas.height() / 2 + y)


def _send(canvas, kind, point, button, buttons):
    canvas._last_time = 0.0  # vispy leaves out movements that follow each other within 10 ms
    where = QPointF(canvas.mapToGlobal(point.toPoint()))
    QApplication.sendEvent(canvas, QMouseEvent(kind, point, where, button, buttons, Qt.KeyboardModifier.NoModifier))
