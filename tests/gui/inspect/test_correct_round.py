"""A whole round without leaving the viewer: inspect, correct, train on with one click, and read what it gained."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtWidgets import QMessageBox

from napari_unet3d import predict, train
from napari_unet3d.configs import PredictionConfig, TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample, list_pairs
from napari_unet3d.data.sample import Sample
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.viewer.layer_metadata import is_live, mark_origin


@pytest.fixture
def predicted(viewer, dataset, ball, tmp_path):
    """A hardly trained model of the dataset, which has a test volume, and its prediction of another volume."""
    add_sample(dataset, ball("t", (7, 8, 11)), Subset.TEST)
    run = tmp_path / "run"
    config = TrainingConfig(epochs=4, steps_per_epoch=2, device="cpu", patch=(16, 16, 16), val_fraction=0.34)
    list(train(dataset, run, config))
    extra = ball("extra", (7, 10, 9))
    *_, prediction = predict(run, replace(extra, labels=None), PredictionConfig(device="cpu"))
    place = {"scale": extra.voxel_size_um, "units": ("um",) * 3}
    viewer.add_image(extra.image, name="extra", **place)
    viewer.add_labels(extra.labels, name="extra labels", **place)
    layer = viewer.add_labels(prediction.labels, name="extra prediction", **place)
    mark_origin([layer], VolumeOrigin("extra", prediction.plan, run))
    return run, config


def test_a_whole_round(predicted, open_dock, viewer, dataset, wait_for_end, wait_for_job, qtbot):
    run, config = predicted
    dock = open_dock("Inspect")
    dock.tolerance.value = 0
    wait_for_end(dock, dock.inspect)
    assert dock.fine_tuning.dataset.value == dataset  # that of the run
    for _ in range(min(5, len(dock.session.errors.errors))):
        dock.next_error()
        dock.correction.accept_truth()
    assert dock.session.corrections.corrections.done

    wait_for_job(dock, "correct", dock.fine_tuning.fine_tune)  # adds them
    training = dock.jobs.running("train")
    assert training is not None, dock.fine_tuning.message.text()
    curves = viewer.window.dock_widgets["Train (napari-unet3d)"]
    with qtbot.waitSignal(training.ended, timeout=60_000):
        pass
    assert training.message is None, training.message
    assert curves.run.finished is not None
    assert curves.run.started.n_epochs == 2  # half of them
    assert "extra corrected" in curves.run.started.train_names
    model = load_checkpoint(curves.run.run_folder)
    assert model.config.learning_rate == pytest.approx(0.3 * config.learning_rate)
    about = json.loads((curves.run.run_folder / "environment.json").read_text())
    assert about["start_from"] == str(run)
    assert f"started from {run.name}" in curves.run.setup_text
    assert (model.config.seed, model.config.normalisation) == (config.seed, config.normalisation)
    assert "extra corrected" in [pair.name for pair in list_pairs(dataset, Subset.TRAIN)]

    comparing = dock.jobs.latest("correct")
    if comparing.is_running:
        with qtbot.waitSignal(comparing.ended, timeout=60_000):
            pass
    assert comparing.message is None, comparing.message
    words = dock.fine_tuning.message.text()
    assert words.startswith("'extra', against the ground truth with the corrections: ")
    assert " before, " in words
    assert words.endswith("Press Inspect to see the errors that are left.")
    assert "On the 1 test volume, which it never saw: Dice " in words
    new = dock.prediction_layer.value
    assert new.name == "extra new prediction"
    assert dock.source.layers.origin.run == curves.run.run_folder  # so that the next round goes on from the new model
    np.testing.assert_array_equal(new.scale, viewer.layers["extra"].scale)
    assert viewer.layers["extra"].visible
    assert new.visible
    assert viewer.layers.index(new) == len(viewer.layers) - 1
    live = [layer for layer in viewer.layers if is_live(layer)]
    assert len(live) == 3
    assert not any(layer.visible for layer in live)  # of the validation volume, while it trained


def test_without_ground_truth_the_gain_is_that_of_the_corrected_places(
    predicted, open_dock, viewer, wait_for_job, qtbot
):
    viewer.layers.remove("extra labels")
    dock = open_dock("Inspect")
    dock.correction.here_button.native.click()
    dock.correction.accept_prediction()
    wait_for_job(dock, "correct", dock.fine_tuning.fine_tune)
    with qtbot.waitSignal(dock.session.events.models_compared):
        pass
    words = dock.fine_tuning.message.text()
    assert words.startswith("'extra', at the corrected places alone: 0 errors before, ")
    assert "Press Inspect" not in words  # which would find none


def test_the_gain_on_a_test_volume_that_was_corrected_is_said_to_be_optimistic(
    predicted, open_dock, dataset, viewer, wait_for_end, wait_for_job, qtbot, monkeypatch
):
    """It has another name in the viewer, and a piece of it trains."""
    larger = Sample("t2", *(np.pad(viewer.layers[name].data, 3, mode="reflect") for name in ("extra", "extra labels")))
    add_sample(dataset, larger, Subset.TEST)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Ok)
    dock = open_dock("Inspect")
    dock.tolerance.value = 0
    wait_for_end(dock, dock.inspect)
    dock.next_error()
    dock.correction.accept_truth()
    dock.fine_tuning.fine_tune()
    for kind in ("correct", "train", "correct"):  # asks and adds, trains, compares
        qtbot.waitUntil(lambda kind=kind: dock.jobs.running(kind) is not None, timeout=20_000)
        if kind == "train":
            with qtbot.waitSignal(dock.jobs.running(kind).ended, timeout=60_000):
                pass
    qtbot.waitUntil(lambda: dock.jobs.running("correct") is None, timeout=60_000)
    words = dock.fine_tuning.message.text()
    assert "On the 2 test volumes, of which it saw some: Dice " in words
    assert "This gain is optimistic: 't2' is among the volumes scored, and the new model learned from it" in words
    assert "never saw" not in words
