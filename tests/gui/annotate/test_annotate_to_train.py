"""From an image without labels to a falling curve, with the mouse; and what the dock Train makes of an annotation."""

from __future__ import annotations

import csv
import json

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import read_samples
from napari_unet3d.widgets.viewer.annotation_layers import class_colours
from napari_unet3d.widgets.viewer.label_colours import colour_of

SHAPE = (16, 40, 36)


def click(widget):
    QTest.mouseClick(getattr(widget, "native", widget), Qt.MouseButton.LeftButton)


def dock_of(viewer, name):
    return viewer.window.dock_widgets[f"{name} (napari-unet3d)"]


def paint(layer, z, value, rows, columns):
    mask = np.zeros(SHAPE, bool)
    mask[z, rows[0] : rows[1], columns[0] : columns[1]] = True
    layer.data_setitem(np.nonzero(mask), value)


def paint_enough(layer):
    for z in (3, 12):
        paint(layer, z, 2, (14, 26), (12, 24))
        paint(layer, z, 1, (2, 9), (2, 34))


def test_from_an_image_without_labels_to_a_falling_curve_with_the_mouse(
    viewer, image, volume, open_dock, stroke, settle, qtbot, wait_for_end, tmp_path
):
    dock = open_dock("Annotate")
    click(dock.annotate_button)
    layer = dock.link.layer
    layer.brush_size = 6
    for z in (3, 12):
        viewer.dims.set_current_step(0, z)
        click(dock.brushes.buttons[2])
        stroke((17, 14), (17, 22), (23, 22), (23, 14))
        click(dock.brushes.buttons[1])
        stroke((5, 4), (5, 31), (35, 31), (35, 4))
    viewer.dims.set_current_step(0, 7)
    click(dock.fill_button)
    qtbot.waitUntil(lambda: "are filled" in dock.message.text())
    settle(dock)
    assert dock.brushes.progress.value == "10 slices along z painted. Enough to start training."
    rod = volume[1]
    assert np.argwhere((layer.data == 2) & ~rod).tolist() == []
    assert not (layer.data[rod] == 1).any()

    click(dock.train_button)
    train = dock_of(viewer, "Train")
    assert train.image_layer.value is image
    assert train.labels_layer.value is layer
    assert "Voxels that are not annotated are left out" in train.setup.annotation_note.text.value
    train.settings.value = TrainingConfig(epochs=4, steps_per_epoch=4, patch=(16, 16, 16), augmentation="none")
    train.run_folder.value = tmp_path / "run"
    job = wait_for_end(train, lambda: click(train.job_bar.start_button), 120_000)
    assert job.message is None, job.message
    history = (tmp_path / "run/history.csv").read_text().splitlines()
    losses = [float(row["train_loss"]) for row in csv.DictReader(history)]
    assert len(losses) == 4
    assert losses[-1] < 0.9 * losses[0], losses
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["ignore_label"] is None

    predict = open_dock("Predict")
    predict.model.value = tmp_path / "run"
    predict.image_layer.value = image
    wait_for_end(predict, predict.predict, 60_000)
    predicted = viewer.layers["bone prediction"]
    assert colour_of(predicted, 1) == colour_of(layer, 2)
    assert layer in viewer.layers


def test_the_annotation_is_understood_in_train_whoever_chooses_it(dock, viewer, open_dock, tmp_path):
    layer = dock.link.layer
    paint_enough(layer)
    viewer.add_labels(np.ones(SHAPE, np.uint8), name="other", scale=layer.scale, translate=layer.translate)
    train = open_dock("Train")
    train.source.use_layers()
    train.run_folder.value = tmp_path / "run"
    train.settings.ignore_label.value = 255  # of other labels
    train.labels_layer.value = layer
    request = train.setup.request()
    assert request.config.ignore_label is None
    (sample,) = request.data
    np.testing.assert_array_equal(sample.labels, layer.data == 2)
    np.testing.assert_array_equal(sample.label_mask, layer.data > 0)
    assert not train.settings.ignore_label.enabled
    assert train.setup.annotation_note.native.isVisibleTo(train.native)
    train.labels_layer.value = viewer.layers["other"]
    assert train.setup.request().config.ignore_label == 255
    assert train.settings.ignore_label.enabled
    assert not train.setup.annotation_note.native.isVisibleTo(train.native)
    train.labels_layer.value = layer
    train.source.use_folder(tmp_path)
    assert train.settings.ignore_label.enabled


def test_a_dataset_keeps_what_is_not_annotated(dock, viewer, open_dock, wait_for_end, tmp_path):
    layer = dock.link.layer
    paint_enough(layer)
    dataset = open_dock("Dataset")
    dataset.folder.value = tmp_path / "data"
    dataset.labels_layer.value = layer
    assert wait_for_end(dataset, lambda: dataset.add("train")).message is None
    (sample,) = read_samples(tmp_path / "data")
    np.testing.assert_array_equal(sample.labels, layer.data == 2)
    np.testing.assert_array_equal(sample.label_mask, layer.data > 0)


def test_as_ground_truth_it_is_compared_where_it_is_annotated(dock, viewer, image, open_dock, wait_for_end):
    layer = dock.link.layer
    paint_enough(layer)
    right = np.where(layer.data == 2, 1, 0).astype(np.uint8)
    right[6:9] = 1  # where nothing is annotated
    place = {"scale": layer.scale, "translate": layer.translate, "units": layer.units}
    prediction = viewer.add_labels(right, name="bone prediction", **place)
    inspect = open_dock("Inspect")
    inspect.prediction_layer.value, inspect.truth_layer.value = prediction, layer
    assert wait_for_end(inspect, inspect.inspect).message is None
    assert not inspect.session.comparison.difference.any()
    assert inspect.session.comparison.scores.dice == 1
    prediction.data = np.zeros(SHAPE, np.uint8)
    wait_for_end(inspect, inspect.inspect)
    np.testing.assert_array_equal(inspect.session.comparison.difference, np.where(layer.data == 2, 2, 0))


def test_several_classes_are_trained_with_their_names(dock, viewer, tmp_path):
    layer = dock.link.layer
    dock.brushes.add_class()
    dock.link.session.classes = dock.link.session.classes.rename(2, "Wall").rename(3, "Lumen")
    paint_enough(layer)
    dock.train()
    train = dock_of(viewer, "Train")
    config = train.setup.request().config
    assert (config.task, config.class_names) == ("semantic", ("Wall",)), "nothing of Lumen is painted yet"
    paint(layer, 3, 3, (30, 36), (10, 20))
    assert train.setup.request().config.class_names == ("Wall", "Lumen")
    assert not train.settings.task.enabled
    assert "'Wall', 'Lumen'. The task is 'Classes'." in train.setup.annotation_note.text.value
    assert list(class_colours(dock.link.session.classes)) == [1, 2, 3]


def test_annotations_are_not_trained_on_with_labels_that_have_an_ignore_label(dock, viewer, open_dock, tmp_path):
    layer = dock.link.layer
    paint_enough(layer)
    other = viewer.add_labels(np.ones(SHAPE, np.uint8), name="other", scale=layer.scale, translate=layer.translate)
    train = open_dock("Train")
    train.source.use_layers()
    train.run_folder.value = tmp_path / "run"
    for labels in (layer, other):
        train.labels_layer.value = labels
        train.source.layers.add_pair()
    assert [sample.label_mask is None for sample in train.setup.request().data] == [False, True]
    train.settings.ignore_label.value = 255
    train.train()
    assert "cannot be trained on together" in train.message.text()
    assert train.jobs.running("train") is None


def test_too_little_is_not_handed_over(dock, viewer):
    paint(dock.link.layer, 3, 2, (14, 26), (12, 24))
    click(dock.train_button)
    assert dock.message.text().endswith("Paint some background too.")
    assert "Train (napari-unet3d)" not in viewer.window.dock_widgets
