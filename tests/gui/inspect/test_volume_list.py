"""The Inspect dock on what a model predicts: a layer from the Predict dock, and the volumes of a dataset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet3d import train
from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.widgets.inspect.source import SourceKind


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


@pytest.fixture
def run(dataset, ball, tmp_path):
    """A hardly trained model of a dataset, of whose test volumes one has a truth that no model could guess."""
    add_sample(dataset, ball("a good one", (7, 8, 11)), Subset.TEST)
    elsewhere = np.zeros((16, 18, 20), np.uint8)
    elsewhere[:2, :2, :2] = 1
    add_sample(dataset, replace(ball("wrong truth"), labels=elsewhere), Subset.TEST)
    config = TrainingConfig(epochs=4, steps_per_epoch=4, device="cpu", patch=(16, 16, 16), val_fraction=0.34)
    list(train(dataset, tmp_path / "run", config))
    return tmp_path / "run"


@pytest.fixture
def set_dock(open_dock, run, dataset, qtbot):
    dock = open_dock("Inspect")
    dock.source.kind.button(SourceKind.DATASET).click()
    dock.source.volumes.model.value = run
    dock.source.volumes.dataset.value = dataset
    return dock


@pytest.fixture
def until_inspected(qtbot):
    """Do something after which a volume is predicted or opened; waits until its errors are in view."""

    def _do(dock, action, name):
        def is_there():
            assert dock.message.kind != "error", dock.message.text()
            return (
                dock.session.errors is not None
                and dock.session.origin.name == name
                and dock.jobs.running("inspect") is None
            )

        action()
        qtbot.waitUntil(is_there, timeout=30_000)

    return _do


def click_score(qtbot, dock, name):
    table = dock.scores
    place = table.visualItemRect(table.item(table.names.index(name), 0)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_the_worst_volume_of_a_set_is_opened_and_others_by_a_click(
    set_dock, run, dataset, qtbot, until_inspected, viewer
):
    dock = set_dock
    start = dock.job_bar.start_button.native
    until_inspected(dock, lambda: qtbot.mouseClick(start, Qt.MouseButton.LeftButton), "wrong truth")
    assert dock.scores.names == ["wrong truth", "a good one", "mean"]
    assert dock.scores.currentRow() == 0
    origin = dock.session.origin
    assert (origin.run, origin.dataset, origin.subset) == (run, dataset, Subset.TEST)
    assert dock.export.report.native.isVisibleTo(dock.native)
    assert viewer.layers["wrong truth difference"].visible
    dock.next_error()
    assert dock.session.selection is not None

    until_inspected(dock, lambda: click_score(qtbot, dock, "a good one"), "a good one")
    assert dock.session.selection is None
    assert dock.layers.prediction is viewer.layers["a good one prediction"]
    assert dock.layers.truth is viewer.layers["a good one labels"]
    assert viewer.layers["a good one difference"].visible
    assert "wrong truth error" not in viewer.layers
    assert not viewer.layers["wrong truth difference"].visible
    assert dock.scores.names == ["wrong truth", "a good one", "mean"]
    assert dock.scores.currentRow() == 1
    click_score(qtbot, dock, "mean")
    assert dock.jobs.running("inspect") is None


def test_one_volume_can_be_chosen(set_dock, until_inspected):
    volumes = set_dock.source.volumes
    assert [pair and pair.name for pair in volumes.volume.choices] == [None, "a good one", "wrong truth"]
    volumes.volume.value = volumes.volume.choices[1]
    until_inspected(set_dock, set_dock.inspect, "a good one")
    assert set_dock.scores.names == ["a good one"]


def test_a_prediction_of_a_set_can_be_cancelled(set_dock, qtbot):
    dock = set_dock
    dock.inspect()
    job = dock.jobs.running("inspect")
    with qtbot.waitSignal(job.ended, timeout=30_000):
        qtbot.mouseClick(dock.job_bar.stop_button.native, Qt.MouseButton.LeftButton)
    assert dock.message.text() == "Cancelled."
    assert dock.session.errors is None
    assert dock.job_bar.start_button.native.isVisibleTo(dock.native)


def test_a_set_without_dataset_or_volumes_is_said(set_dock, tmp_path, run):
    dock = set_dock
    (tmp_path / "empty").mkdir()
    dock.source.volumes.dataset.value = tmp_path / "empty"
    dock.inspect()
    assert dock.message.kind == "error"
    assert str(tmp_path / "empty") in dock.message.text()
    assert dock.jobs.latest("inspect") is None


def test_what_was_predicted_is_inspected_with_one_click(
    open_dock, run, ball, viewer, qtbot, wait_for_end, until_inspected
):
    inspect = open_dock("Inspect")  # it lies behind the dock Predict, which is opened after it
    predict = open_dock("Predict")
    sample = ball("mine", (7, 10, 9))
    viewer.add_image(sample.image, name="mine", scale=sample.voxel_size_um, units=("um",) * 3)
    viewer.add_labels(sample.labels, name="mine labels", scale=sample.voxel_size_um, units=("um",) * 3)
    predict.model.value = run
    wait_for_end(predict, predict.job_bar.start_button.native.click)
    button = predict.results.inspect_button.native
    until_inspected(inspect, lambda: qtbot.mouseClick(button, Qt.MouseButton.LeftButton), "mine")
    assert viewer.window.dock_widgets["Inspect (napari-unet3d)"] is inspect
    assert inspect.session.origin.run == run
    assert inspect.session.comparison.has_probability
    assert inspect.truth_layer.value is viewer.layers["mine labels"]
    assert inspect.export.report.native.isVisibleTo(inspect.native)
    assert inspect.fine_tuning.dataset.value is not None
    assert not inspect.scroll_area.viewport().visibleRegion().isEmpty(), "it came before the dock Predict"
