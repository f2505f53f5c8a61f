"""Suggestions where to annotate: before there is a model, and by the uncertainty of one."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.sample import Sample
from napari_unet3d.inference.events import Prediction
from napari_unet3d.model.plan import Plan
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.training.loop import train
from napari_unet3d.widgets.viewer.layers import find_layer

SHAPE = (16, 40, 36)


def suggest(dock, qtbot):
    dock.message.clear()
    QTest.mouseClick(dock.suggestions.job_bar.start_button.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.jobs.running("annotate") is None and dock.message.text() != "", timeout=60_000)
    assert dock.message.kind != "error", dock.message.text()


def place_in_view(viewer, layer):
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    z, y, x = viewer.dims.point[0], *camera.center[-2:]
    return tuple(round(float(at)) for at in layer.world_to_data((z, y, x)))


def test_the_view_goes_to_places_away_from_border_and_annotation_ready_to_paint(dock, viewer, qtbot):
    layer = dock.link.layer
    viewer.dims.ndisplay = 3
    layer.mode = "pan_zoom"
    seen = []
    for number in (1, 2, 3):
        suggest(dock, qtbot)
        assert dock.message.text().startswith(f"Place {number} of ")
        place = place_in_view(viewer, layer)
        assert all(side // 8 <= at < side - side // 8 for at, side in zip(place, SHAPE, strict=True))
        seen.append(place)
        assert viewer.dims.ndisplay == 2
        assert viewer.layers.selection.active is layer
        assert (layer.mode, layer.selected_label) == ("paint", 2)
    assert len(set(seen)) == 3
    assert "much structure" in dock.message.text() or "than the places" in dock.message.text()
    marks = viewer.layers["bone to annotate"]
    assert tuple(marks.data[2].astype(int)) == seen[2]


def test_places_that_were_annotated_meanwhile_are_left_out(dock, viewer, qtbot):
    layer = dock.link.layer
    suggest(dock, qtbot)
    places = [place.position_zyx for place in dock.suggestions._places]
    layer.data[places[1]] = 1
    suggest(dock, qtbot)
    assert place_in_view(viewer, layer) == places[2]
    layer.data[:] = 1
    for _ in places[3:]:
        dock.message.clear()
    suggest(dock, qtbot)
    assert dock.message.text() == "There is no place left that is not annotated or close to it."


def test_the_key_leads_on(dock, viewer, qtbot):
    canvas = viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    QTest.keyClick(canvas, Qt.Key.Key_X, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: dock.message.text().startswith("Place 1") and dock.jobs.running("annotate") is None)
    QTest.keyClick(canvas, Qt.Key.Key_X, Qt.KeyboardModifier.ShiftModifier)
    assert dock.message.text().startswith("Place 2")


@pytest.fixture
def model(volume, tmp_path):
    """A network that was trained for a moment on the rod."""
    sample = Sample("v", volume[0], volume[1].astype(np.uint8), (2.0, 1.0, 1.0))
    config = TrainingConfig(epochs=1, steps_per_epoch=2, val_fraction=0, patch=(16, 16, 16), device="cpu")
    list(train([sample], tmp_path / "run", config))
    return tmp_path / "run"


def test_a_model_leads_to_where_it_is_unsure_away_from_border_and_annotation(dock, viewer, model, qtbot):
    layer = dock.link.layer
    layer.data[6:10, 10:20, 10:20] = 2
    dock.suggestions.model.value = model
    suggest(dock, qtbot)
    assert "the model is unsure here" in dock.message.text()
    uncertainty = dock.suggestions._uncertainty[1]
    assert uncertainty.shape == SHAPE
    for place in dock.suggestions._places:
        z, y, x = place.position_zyx
        assert not layer.data[z, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].any()
        assert all(
            round(0.05 * side) <= at < side - round(0.05 * side)
            for at, side in zip(place.position_zyx, SHAPE, strict=True)
        )
    assert place_in_view(viewer, layer) == dock.suggestions._places[0].position_zyx
    first = dock.suggestions._places
    dock.suggestions._forget()
    suggest(dock, qtbot)
    assert dock.suggestions._uncertainty[1] is uncertainty, "the same model is not asked twice"
    assert dock.suggestions._places == first
    assert find_layer(viewer, "bone to annotate", object) is not None


def test_a_model_that_is_none_is_explained(dock, tmp_path, qtbot):
    dock.suggestions.model.value = tmp_path / "nothing"
    dock.suggestions.go_to_next()
    qtbot.waitUntil(lambda: dock.message.kind == "error" and dock.jobs.running("annotate") is None)
    assert "nothing" in dock.message.text()
    assert dock.suggestions.job_bar.start_button.native.isVisibleTo(dock.native)


def test_the_dock_predict_leaves_out_what_is_annotated(dock, viewer, image, open_dock, qtbot):
    """Its key N, without an ignore label in the plan of the model."""
    layer = dock.link.layer
    uncertainty = np.zeros(SHAPE, np.float32)
    uncertainty[4, 10, 10], uncertainty[12, 30, 25] = 0.9, 0.5
    layer.data[3:6, 8:13, 8:13] = 1
    labels, plan = np.zeros(SHAPE, np.uint8), Plan(strides=((2, 2, 2),))
    prediction = Prediction("bone", labels, labels.astype(np.float32), Geometry(), plan, uncertainty=uncertainty)
    predict = open_dock("Predict")
    predict.results.show_layer(Comparison(prediction), image, None)
    predict.suggest_annotation()
    qtbot.waitUntil(lambda: predict.message.text().startswith("Place 1"))
    assert viewer.dims.current_step == (12, 30, 25)
    assert viewer.layers.selection.active is layer
