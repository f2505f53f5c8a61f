"""What is shown is not covered by what was shown before, and comes into view wherever it lies."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet3d import train
from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.session.comparison import Comparison, compare
from napari_unet3d.session.inspection_input import labels_as_prediction
from napari_unet3d.session.models_compared import ModelsCompared, ModelScore
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.predict.request import Target
from napari_unet3d.widgets.predict.show import show_comparison, show_volume
from napari_unet3d.widgets.viewer.label_colours import colour_of
from napari_unet3d.widgets.viewer.layers import show_sample
from napari_unet3d.widgets.viewer.view_state import grid_of, look_at


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(900, 600)
    return viewer


def share_of(viewer, channel: int) -> float:
    """Return the part of the canvas in which one of red, green and blue is bright and the others are not."""
    canvas = viewer.screenshot(flash=False)[..., :3].astype(int)
    others = [number for number in range(3) if number != channel]
    return float((canvas[..., channel] > 2 * canvas[..., others].max(axis=-1) + 40).mean())


@pytest.fixture
def inspected(boxes, open_dock, qtbot):
    dock = open_dock("Inspect")
    dock.tolerance.value = 0
    dock.inspect()
    qtbot.waitUntil(lambda: dock.session.errors is not None and dock.jobs.running("inspect") is None)
    return dock


def fine_tuned(dock, tmp_path):
    """Announce what a fine-tuned model predicts, as the job does that compares both models."""
    session = dock.session
    new = labels_as_prediction((session.truth.labels > 0).astype(np.uint8), session.origin, session.prediction.geometry)
    score = ModelScore(1, 0.5)
    session.announce_compared_models(
        ModelsCompared(score, score, new, tmp_path / "new run", 0, corrections=session.corrections)
    )


@pytest.mark.parametrize("was_side_by_side", [False, True])
def test_the_new_prediction_is_seen_alone_after_fine_tuning(
    inspected, boxes, viewer, qtbot, tmp_path, was_side_by_side
):
    dock = inspected
    dock.next_error()
    dock.correction.accept_truth()
    if was_side_by_side:
        qtbot.mouseClick(dock.views.side_button.native, Qt.MouseButton.LeftButton)
        assert grid_of(viewer).enabled
    fine_tuned(dock, tmp_path)
    assert not dock.views.side_button.is_on
    assert not dock.views.side_button.value
    assert not grid_of(viewer).enabled
    qtbot.wait(20)  # for what the side-by-side view does soon after
    visible = [layer.name for layer in viewer.layers if layer.visible and layer.name != "v labels"]
    assert visible == ["v", "v new prediction"]
    names = ("v prediction", "v corrected", "v new prediction")
    colours = {colour_of(viewer.layers[name], 1) for name in names}
    assert len(colours) == 3, "each in a colour of its own"

    viewer.layers["v labels"].visible = viewer.layers["v"].visible = False
    viewer.dims.set_point(0, 2.0 * 14)  # µm; through the larger box
    canvas = viewer.screenshot(flash=False)[..., :3].astype(int)
    is_bright = canvas.max(axis=-1) > 60
    assert is_bright.sum() > 500
    half = np.array([0x00, 0xC8, 0xFF]) // 2  # its opacity is 0.5
    assert (np.abs(canvas[is_bright] - half).max(axis=-1) < 30).mean() > 0.8, "no other colour is mixed in"


def test_ground_truth_of_another_name_is_not_covered_by_the_image(viewer):
    labels = np.zeros((8, 20, 20), np.uint8)
    labels[2:6, 4:16, 4:16] = 1
    image = viewer.add_image(np.full(labels.shape, 50, np.uint8), name="cells", contrast_limits=(0, 255))
    truth = viewer.add_labels(labels, name="my_labels", colormap={1: "blue", None: "transparent"}, opacity=1)
    prediction = labels_as_prediction(np.zeros_like(labels), VolumeOrigin("cells"), UNKNOWN)
    for _ in range(2):  # the second one finds the layers of the first
        show_comparison(viewer, compare(prediction, GroundTruth(labels), fast=True), image, truth)
        names = [layer.name for layer in viewer.layers]
        expected = ["cells", "my_labels", "cells probability", "cells prediction", "cells difference"]
        assert [name for name in names if name in expected] == expected
    for layer in viewer.layers:
        layer.visible = layer in (image, truth)
    assert share_of(viewer, 2) > 0.05


def test_inspecting_again_hides_what_earlier_predictions_have_left(inspected, viewer, qtbot, tmp_path):
    dock = inspected
    dock.next_error()
    dock.correction.accept_truth()
    fine_tuned(dock, tmp_path)
    for name in ("v prediction", "v corrected"):
        viewer.layers[name].visible = True
    assert dock.prediction_layer.value is viewer.layers["v new prediction"]
    before = dock.session.errors
    dock.tolerance.value = 0
    qtbot.mouseClick(dock.job_bar.start_button.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.session.errors is not before and dock.jobs.running("inspect") is None)
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert "v difference" in shown
    assert not {"v corrected", "v new prediction"} & set(shown)


@pytest.mark.parametrize("gone", ["truth", "prediction", "difference"])
def test_side_by_side_ends_when_one_of_its_layers_goes(inspected, boxes, viewer, qtbot, gone):
    dock = inspected
    qtbot.mouseClick(dock.views.side_button.native, Qt.MouseButton.LeftButton)
    assert dock.views.side_button.is_on
    layers = {"truth": boxes[1], "prediction": boxes[2], "difference": dock.layers.difference}
    viewer.layers.remove(layers[gone])
    qtbot.waitUntil(lambda: not dock.views.side_button.is_on)
    assert not grid_of(viewer).enabled
    assert not dock.views.side_button.value
    assert not [layer for layer in viewer.layers if layer.name in ("ground truth", "prediction", "difference")]
    assert viewer.layers[-1].visible or gone == "difference"


PLACES = [
    ({"scale": (100.0,) * 3, "units": ("nm",) * 3}, 0.1),
    ({"scale": (1.0,) * 3}, 0.1),
    ({"scale": (50.0,) * 3, "units": ("um",) * 3}, 0.1),
    ({"scale": (0.01,) * 3, "units": ("um",) * 3}, 20.0),
    ({"scale": (0.1,) * 3, "units": ("um",) * 3, "translate": (500.0, 500.0, 500.0)}, 0.1),
]


@pytest.mark.parametrize(("place", "size"), PLACES)
@pytest.mark.parametrize("ndisplay", [2, 3])
def test_a_volume_with_another_scale_or_unit_fills_the_view(viewer, place, size, ndisplay):
    rng = np.random.default_rng(0)
    viewer.add_image(rng.integers(0, 255, (16, 40, 40)).astype(np.uint8), name="mine", colormap="red", **place)
    viewer.dims.ndisplay = ndisplay
    image = np.full((16, 40, 40), 200, np.uint8)
    image[:, 20, 20] = 0  # some contrast
    sample = Sample("file", image, voxel_size_um=(size,) * 3)
    prediction = labels_as_prediction(np.zeros(image.shape, np.uint8), origin_of_file(), Geometry((size,) * 3))
    shown, _, _ = show_volume(viewer, sample, Comparison(prediction))
    viewer.layers["mine"].visible = False
    shown.colormap = "green"
    assert share_of(viewer, 1) > (0.3 if ndisplay == 2 else 0.1)


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_a_volume_fills_the_view_beside_a_time_series(viewer, ball, ndisplay):
    viewer.add_image(np.zeros((2, 20, 300, 300), np.uint8), name="film")
    viewer.dims.ndisplay = ndisplay
    image, _ = show_sample(viewer, ball("v"))
    viewer.layers["v labels"].visible = viewer.layers["film"].visible = False
    image.colormap, image.contrast_limits = "green", (0, 1)
    look_at(viewer, image)
    assert share_of(viewer, 1) > (0.3 if ndisplay == 2 else 0.1)


def origin_of_file():
    from napari_unet3d.session.origin import VolumeOrigin

    return VolumeOrigin("file")


def test_a_camera_in_place_is_left_alone(viewer, ball):
    image, _ = show_sample(viewer, ball("v"))
    angles = (10.0, 20.0, 30.0)
    viewer.dims.ndisplay = 3
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    camera.angles = angles
    look_at(viewer, image)
    assert camera.angles == pytest.approx(angles)
    viewer.dims.ndisplay = 2
    viewer.dims.set_point(0, 6.0)
    look_at(viewer, image)
    assert viewer.dims.point[0] == pytest.approx(6.0), "a slice of the volume stays"


def test_show_in_predict_brings_a_file_into_view(viewer, open_dock, dataset, tmp_path, qtbot, ball):
    config = TrainingConfig(preset="xxsmall", epochs=1, steps_per_epoch=1, val_fraction=0, device="cpu")
    list(train(dataset, tmp_path / "run", config))
    viewer.add_image(np.zeros((20, 300, 300), np.uint8), name="mine", scale=(1000.0,) * 3, units=("nm",) * 3)
    volume = ball("far away")
    write_volume(tmp_path / "far away.tif", np.maximum(volume.image, 180), geometry=Geometry((0.02, 0.01, 0.01)))
    dock = open_dock("Predict")
    dock.model.value = tmp_path / "run"
    qtbot.mouseClick(dock.target.kind.button(Target.FILES), Qt.MouseButton.LeftButton)
    dock.target.files.add([tmp_path / "far away.tif"])
    dock.out.value = tmp_path / "out"
    qtbot.mouseClick(dock.job_bar.start_button.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.jobs.running("predict") is None, timeout=60_000)
    qtbot.mouseClick(dock.results.show_button.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "far away" in viewer.layers, timeout=20_000)
    viewer.layers["mine"].visible = False
    viewer.layers["far away"].colormap = "green"
    viewer.layers["far away"].contrast_limits = (0, 200)
    viewer.layers["far away prediction"].visible = False
    assert share_of(viewer, 1) > 0.3
    dock.results.show_selected()  # again, which changes nothing
    assert share_of(viewer, 1) > 0.3
