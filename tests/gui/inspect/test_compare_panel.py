from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.configs import Task
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.inference.events import Prediction
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.predict.request import PredictionRequest
from napari_unet3d.widgets.viewer.layer_metadata import mark_origin, origin_of
from napari_unet3d.widgets.viewer.view_state import grid_of

SHAPE = (4, 12, 20)
PLACE = {"scale": (3.0, 1.0, 0.5), "translate": (5.0, -4.0, 20.0), "units": ("um",) * 3}
GREEN, MAGENTA = (0, 200, 150), (240, 96, 208)


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(900, 500)
    return viewer


@pytest.fixture
def dock(open_dock, viewer):
    """Both epochs have a block of 4 × 8 × 8; the later one has half of it elsewhere, where the ground truth is."""
    truth, early, late = (np.zeros(SHAPE, np.uint8) for _ in range(3))
    early[:, 2:10, 2:10], late[:, 2:10, 6:14], truth[:, 2:10, 6:14] = 1, 1, 1
    viewer.add_image(np.full(SHAPE, 60, np.uint8), name="v", contrast_limits=(0, 255), **PLACE)
    viewer.add_labels(truth, name="v labels", **PLACE)
    viewer.add_labels(early, name="v epoch 2", **PLACE)
    viewer.add_labels(late, name="v epoch 30", **PLACE)
    dock = open_dock("Inspect")
    part = dock.two_predictions
    part.first_layer.value, part.second_layer.value = viewer.layers["v epoch 2"], viewer.layers["v epoch 30"]
    dock.image_layer.value = viewer.layers["v"]
    return dock


def compare(dock, qtbot):
    part = dock.two_predictions
    part.compare()
    job = dock.jobs.latest("disagreement")
    assert job is not None, dock.message.text()
    if job.is_running:
        with qtbot.waitSignal(job.ended):
            pass
    return part.result.value


def colours_on(viewer):
    pixels = viewer.screenshot(flash=False)[..., :3].astype(int)
    known = {"green": GREEN, "magenta": MAGENTA}
    return {name for name, rgb in known.items() if (np.abs(pixels - rgb).max(axis=-1) < 45).sum() > 50}


def test_two_epochs_are_compared_in_numbers_and_colours(dock, viewer, qtbot):
    words = compare(dock, qtbot)
    assert "differ in 26.67% of the voxels" in words  # 2 × 4 × 8 × 4 of 960
    assert "Dice between them 0.500" in words
    assert "only epoch 2 has something: 13.33%" in words
    layer = viewer.layers["v epoch 2 ≠ epoch 30"]
    np.testing.assert_allclose(layer.extent.world, viewer.layers["v"].extent.world)
    assert colours_on(viewer) == {"green", "magenta"}
    dock.two_predictions.truth_layer.value = viewer.layers["v labels"]
    words = compare(dock, qtbot)
    assert "Dice with the ground truth: epoch 2 0.500, epoch 30 1.000" in words
    assert "only epoch 2 is right: 0.00%" in words
    assert "only epoch 30 is right: 26.67%" in words
    assert colours_on(viewer) == {"magenta"}
    assert [each.name for each in viewer.layers].count(layer.name) == 1, "in place"


def test_they_are_shown_side_by_side_with_the_truth(dock, viewer, qtbot):
    dock.two_predictions.truth_layer.value = viewer.layers["v labels"]
    compare(dock, qtbot)
    names = [layer.name for layer in viewer.layers]
    visible = [layer.visible for layer in viewer.layers]
    dock.two_predictions.side_button.native.click()
    titles = ["ground truth", "epoch 2", "epoch 30", "where they differ"]
    assert [layer.name for layer in viewer.layers][0:8:2] == titles
    dock.views.side_button.native.click()  # nothing is inspected, so it has nothing to show
    assert dock.two_predictions.side_button.value
    dock.two_predictions.side_button.native.click()
    assert not grid_of(viewer).enabled
    assert ([layer.name for layer in viewer.layers], [layer.visible for layer in viewer.layers]) == (names, visible)
    dock.two_predictions.side_button.native.click()
    viewer.layers.remove("v epoch 2")
    qtbot.waitUntil(lambda: not grid_of(viewer).enabled)
    assert not dock.two_predictions.side_button.enabled


def test_what_labels_mean_comes_with_the_layer(dock, viewer, qtbot):
    plan = Plan(task=Task.SEMANTIC, strides=(), classes=(LabelClass(value=1, name="core"),))
    mark_origin([viewer.layers["v epoch 30"]], VolumeOrigin("v", plan))
    viewer.layers["v epoch 30"].data[:, 2:10, 6:14] = 2
    assert "different classes: 13.33%" in compare(dock, qtbot)


def test_the_same_layer_twice_is_explained(dock, viewer):
    part = dock.two_predictions
    part.second_layer.value = part.first_layer.value
    part.compare()
    assert "'v epoch 2' is chosen twice" in dock.message.text()


def test_a_kept_prediction_survives_the_next_one(open_dock, viewer, tmp_path):
    image = viewer.add_image(np.zeros(SHAPE, np.uint8), name="v", **PLACE)
    dock = open_dock("Predict")
    assert dock.keep_button.native.isHidden()

    def predict(model, value):
        dock.on_event(PredictionRequest(tmp_path / model, dock.label_settings.value, image))
        labels = np.full(SHAPE, value, np.uint8)
        dock.on_event(Comparison(Prediction("v", labels, labels.astype(np.float32), Geometry((3.0, 1.0, 0.5)))))

    predict("small run", 1)
    dock.keep_button.native.click()
    dock.keep_button.native.click()
    predict("large run", 0)
    assert viewer.layers["v – small run"].data.all()
    assert not viewer.layers["v prediction"].data.any()
    assert origin_of(viewer.layers["v – small run"]).run == tmp_path / "small run"
    np.testing.assert_allclose(viewer.layers["v – small run"].extent.world, image.extent.world)
    assert "v – small run (2)" in viewer.layers
    dock.keep_button.native.click()
    assert "v – large run" in viewer.layers
