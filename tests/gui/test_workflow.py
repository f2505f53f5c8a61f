"""The whole way of a user: generate, write, train, stop, predict, see the difference, all by clicks."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_unet3d.data.dataset import Subset, list_pairs, read_samples
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Sample
from napari_unet3d.inference.events import Prediction
from napari_unet3d.session.comparison import compare
from napari_unet3d.training.events import EpochFinished
from napari_unet3d.widgets.predict.show import show_volume


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


def columns_of(screenshot, colour):
    """Return the x of every pixel in which one of red, green, blue is far above the two others."""
    channel = ["red", "green", "blue"].index(colour)
    rgb = screenshot[..., :3].astype(int)
    others = np.delete(rgb, channel, axis=-1).max(axis=-1)
    return np.nonzero(rgb[..., channel] - others > 100)[1]


def n_points(train_dock):
    """Count the drawn points of the training curve."""
    x, _ = train_dock.monitor.curves.getPlotItem().listDataItems()[1].getData()
    return 0 if x is None else len(x)


def test_from_nothing_to_the_difference(viewer, open_dock, wait_for_end, qtbot, tmp_path):
    generate = open_dock("Generate data")
    generate.settings.value = generate.settings.value.model_copy(
        update={"shape": (16, 20, 24), "objects": 3, "object_shape_min": (6, 6, 6), "object_shape_max": (9, 9, 9)}
    )
    generate.folder.value = tmp_path / "dataset"
    generate.n_train.value, generate.n_test.value = 2, 1
    wait_for_end(generate, generate.write_dataset)
    assert len(list_pairs(tmp_path / "dataset", Subset.TRAIN)) == 2

    train = open_dock("Train")
    assert train.source.folder == tmp_path / "dataset", "the docks meet in the dataset folder"
    train.settings.editors["epochs"].value = 1000
    train.settings.editors["val_fraction"].value = 0.5
    train.job_bar.start_button.native.click()
    job = train.jobs.running("train")
    with qtbot.waitSignal(job.reported, timeout=60_000, check_params_cb=lambda e: isinstance(e, EpochFinished)):
        pass
    qtbot.waitUntil(lambda: n_points(train) >= 1)
    with qtbot.waitSignal(job.ended, timeout=20_000):
        train.job_bar.stop_button.native.click()
    assert "Stopped after epoch" in train.message.text()
    assert train.run.has_model

    predict = open_dock("Predict")
    assert predict.model.value == train.run.run_folder
    volume = read_samples(tmp_path / "dataset", Subset.TEST)[0]
    image = viewer.add_image(volume.image, name="mine", scale=(2, 1, 1), units=("um",) * 3, translate=(5, 6, 7))
    viewer.add_labels(volume.labels, name="mine labels", scale=(2, 1, 1), units=("um",) * 3, translate=(5, 6, 7))
    predict.image_layer.value = image
    viewer.window._qt_window.resize(900, 620)
    wait_for_end(predict, predict.job_bar.start_button.native.click)
    table = predict.results.table
    qtbot.waitUntil(lambda: table.visibleRegion().boundingRect().height() == table.height())  # it comes into sight

    difference = viewer.layers["mine difference"]
    assert difference.visible
    assert not viewer.layers["mine labels"].visible
    np.testing.assert_allclose(difference.extent.world, image.extent.world)
    np.testing.assert_array_equal(
        np.asarray(difference.data) > 0,
        (np.asarray(viewer.layers["mine prediction"].data) > 0) != (volume.labels > 0),
    )
    assert predict.results.table.item(0, 0).text() == "mine"


def test_mistakes_are_red_and_blue_in_3d_and_in_2d(viewer):
    truth = np.zeros((16, 20, 24), np.uint16)
    truth[4:12, 4:14, 4:12] = 3
    predicted = np.zeros_like(truth)
    predicted[4:12, 4:14, 8:18] = 1
    grey = (truth > 0) * 150.0 + 20
    prediction = Prediction("cube", predicted.astype(np.uint8), predicted.astype(np.float32), Geometry((2.0, 1.0, 1.0)))
    show_volume(viewer, Sample("cube", grey, truth, (2.0, 1.0, 1.0)), compare(prediction, GroundTruth(truth)))
    viewer.dims.set_point(0, 16)
    for ndisplay in (2, 3):
        viewer.dims.ndisplay = ndisplay
        viewer.reset_view()
        screenshot = viewer.screenshot(canvas_only=True, flash=False)
        extra, missed = columns_of(screenshot, "red"), columns_of(screenshot, "blue")
        assert len(extra) > 100, ndisplay
        assert len(missed) > 100, ndisplay
        assert extra.mean() > missed.mean(), "the prediction lies to the right of the true object"
        assert len(columns_of(screenshot, "green")) == 0, ndisplay


def test_four_clicks_from_nothing_to_a_falling_curve(viewer, open_dock, qtbot, monkeypatch, tmp_path):
    """Plugins, the plugin, Train (`open_dock` triggers these three), and the one button."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("napari_unet3d.session.recent_runs.plugin_data_folder", lambda: tmp_path)
    monkeypatch.setattr("napari_unet3d.widgets.train.dock.plugin_data_folder", lambda: tmp_path)
    train = open_dock("Train")
    qtbot.waitUntil(train.setup.sample_prompt.start_button.native.isVisible)
    train.setup.sample_prompt.start_button.native.click()
    job = train.jobs.running("train")
    epochs = []
    job.reported.connect(lambda event: epochs.append(event) if isinstance(event, EpochFinished) else None)
    qtbot.waitUntil(lambda: len(epochs) >= 3 or not job.is_running, timeout=120_000)
    with qtbot.waitSignal(job.ended, timeout=20_000):
        job.stop()
    assert job.message is None
    assert epochs[2].train_loss < epochs[0].train_loss
    qtbot.waitUntil(lambda: n_points(train) >= 3)
    assert isinstance(viewer.layers["sample"], Image)
    assert isinstance(viewer.layers["sample labels"], Labels)
    assert not train.setup.sample_prompt.native.isVisible()

    predict = open_dock("Predict")
    assert predict.model.value == train.run.run_folder
    assert predict.image_layer.value is viewer.layers["sample"]
    assert predict.truth_layer.value is viewer.layers["sample labels"]
