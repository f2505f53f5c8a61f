from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.evaluation.metrics.uncertainty import uncertain_locations
from napari_unet3d.inference.events import Prediction
from napari_unet3d.model.plan import Plan
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.widgets.predict.dock import PredictDock
from napari_unet3d.widgets.viewer.navigation import jump_to

VOXEL_SIZE = (2.0, 1.0, 0.5)
PLACE = {"scale": VOXEL_SIZE, "translate": (5.0, -3.0, 7.0), "units": ("um", "um", "um")}
SHAPE = (12, 20, 30)
PEAKS = [((9, 4, 6), 0.9), ((2, 15, 22), 0.7), ((6, 10, 26), 0.5)]  # the least sure first


@pytest.fixture
def dock(open_dock):
    return open_dock("Predict")


@pytest.fixture
def image(viewer):
    return viewer.add_image(np.zeros(SHAPE, np.uint8), name="mine", **PLACE)


def unsure(ignore_label=0):
    uncertainty = np.zeros(SHAPE, np.float32)
    for (z, y, x), height in PEAKS:
        uncertainty[z, y - 1 : y + 2, x - 1 : x + 2] = height / 2
        uncertainty[z, y, x] = height
    labels = np.zeros(SHAPE, np.uint8)
    plan = Plan(strides=((2, 2, 2),), ignore_label=ignore_label)
    return Prediction("mine", labels, labels.astype(np.float32), Geometry(VOXEL_SIZE), plan, uncertainty=uncertainty)


def camera(viewer):
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def go_on(dock, qtbot):
    """Press the button and wait until the place is named."""
    dock.message.clear()
    dock.suggest_button.native.click()
    qtbot.waitUntil(lambda: dock.message.text() != "" and dock.jobs.running("places") is None)


def world(image, position):
    return image.data_to_world(position)


def test_without_uncertainty_there_is_nowhere_to_go(dock, image):
    button = dock.suggest_button
    prediction = unsure()
    dock.results.show_layer(
        Comparison(Prediction("mine", prediction.labels, prediction.probability, Geometry(VOXEL_SIZE))), image, None
    )
    assert button.native.isVisibleTo(dock.native)
    assert not button.enabled
    assert "Check 'Uncertainty'" in button.tooltip
    dock.results.show_layer(Comparison(prediction), image, None)
    assert button.enabled
    assert "Key: N" in button.tooltip
    dock.results.begin(None)
    assert not button.enabled


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_the_least_sure_place_comes_first_and_again_after_the_last(dock, viewer, image, qtbot, ndisplay):
    viewer.dims.ndisplay = ndisplay
    dock.results.show_layer(Comparison(unsure()), image, None)
    active = viewer.layers.selection.active
    zoom = camera(viewer).zoom
    for number in (0, 1, 2, 0, 1):
        go_on(dock, qtbot)
        (z, y, x), _ = PEAKS[number]
        place = world(image, (z, y, x))
        assert viewer.dims.current_step == (z, y, x)
        np.testing.assert_allclose(camera(viewer).center[-ndisplay:], place[-ndisplay:])
        assert dock.message.text().startswith(f"Place {number + 1} of 3")
        assert f"voxel z {z}, y {y}, x {x}" in dock.message.text().replace("\u00a0", " ")
        marks = viewer.layers["mine to annotate"]
        assert marks.data.tolist() == [list(peak) for peak, _ in PEAKS]
        np.testing.assert_allclose(marks.data_to_world((z, y, x)), place)
        colours = marks.border_color
        others = [index for index in range(3) if index != number]
        assert (colours[others] == colours[others[0]]).all()
        assert (colours[number] != colours[others[0]]).any()
    assert [layer.name for layer in viewer.layers].count("mine to annotate") == 1
    assert viewer.layers.selection.active is active
    assert camera(viewer).zoom == zoom


def test_what_is_painted_meanwhile_is_left_out(dock, viewer, image, qtbot):
    prediction = unsure()
    painted = viewer.add_labels(np.zeros(SHAPE, np.uint8), name="mine labels", **PLACE)
    dock.results.show_layer(Comparison(prediction), image, painted)
    painted.visible = False
    go_on(dock, qtbot)
    assert viewer.dims.current_step == PEAKS[0][0]
    assert painted.visible
    assert viewer.layers.selection.active is painted, "ready for the brush"
    painted.data[PEAKS[1][0]] = 2
    go_on(dock, qtbot)
    assert viewer.dims.current_step == PEAKS[2][0]
    painted.data[9, 3:6, 5:8] = 1
    go_on(dock, qtbot)
    (first, *_) = uncertain_locations(prediction.uncertainty, VOXEL_SIZE, annotated=painted.data > 0)
    assert viewer.dims.current_step == first.position_zyx != PEAKS[0][0]
    painted.data[:] = 1
    go_on(dock, qtbot)
    assert dock.message.text() == "There is no uncertain place that is not annotated."
    assert dock.suggest_button.enabled


def test_labels_that_were_added_after_the_prediction_count_too(dock, viewer, image, qtbot):
    dock.results.show_layer(Comparison(unsure()), image, None)
    painted = viewer.add_labels(np.zeros(SHAPE, np.uint8), name="mine labels", **PLACE)
    painted.data[PEAKS[0][0]] = painted.data[9, 3:6, 5:8] = 1
    go_on(dock, qtbot)
    assert viewer.dims.current_step != PEAKS[0][0]


def test_labels_with_background_zero_leave_nothing_out(dock, viewer, image, qtbot):
    painted = viewer.add_labels(np.ones(SHAPE, np.uint8), name="mine labels", **PLACE)
    dock.results.show_layer(Comparison(unsure(None)), image, painted)
    go_on(dock, qtbot)
    assert viewer.dims.current_step == PEAKS[0][0]


def test_the_key_leads_on_for_as_long_as_a_dock_is_there(dock, viewer, image, qtbot, close_dock):
    def press():
        viewer.keymap[next(key for key in viewer.keymap if str(key) == "N")](viewer)

    dock.results.show_layer(Comparison(unsure()), image, None)
    press()
    qtbot.waitUntil(lambda: dock.message.text().startswith("Place 1"))
    press()
    assert dock.message.text().startswith("Place 2")
    again = PredictDock(viewer)
    viewer.window.add_dock_widget(again, name="again")
    close_dock(dock)
    again.results.show_layer(Comparison(unsure()), image, None)
    press()
    qtbot.waitUntil(lambda: again.message.text().startswith("Place 1"))
    close_dock(again)
    assert "N" not in map(str, viewer.keymap)


def test_new_labels_of_the_same_prediction_do_not_start_again(dock, viewer, image, qtbot):
    dock.results.show_layer(Comparison(unsure()), image, None)
    go_on(dock, qtbot)
    with qtbot.wait_signal(dock.live.relabelled):
        dock.label_settings.editors["threshold"].native.setValue(0)
    assert viewer.layers["mine prediction"].data.all()
    go_on(dock, qtbot)
    assert dock.message.text().startswith("Place 2")


def test_a_prediction_without_uncertainty_leaves_no_marks_of_the_one_before(dock, viewer, image, qtbot):
    prediction = unsure()
    dock.results.show_layer(Comparison(prediction), image, None)
    go_on(dock, qtbot)
    assert {"mine to annotate", "mine uncertainty"} <= {layer.name for layer in viewer.layers}
    dock.results.show_layer(
        Comparison(Prediction("mine", prediction.labels, prediction.probability, Geometry(VOXEL_SIZE))), image, None
    )
    assert {layer.name for layer in viewer.layers} == {"mine", "mine prediction", "mine probability"}


def test_jumping_in_turned_axes_and_below_a_fourth(viewer, image):
    viewer.add_image(np.zeros((3, *SHAPE), np.uint8), name="film")
    viewer.dims.set_point(0, 2)
    viewer.dims.order = (0, 3, 1, 2)  # slices along x
    jump_to(viewer, image, (9, 4, 6))
    place = world(image, (9, 4, 6))
    np.testing.assert_allclose(viewer.dims.point, (2, *place))
    np.testing.assert_allclose(camera(viewer).center[-2:], place[:2])
