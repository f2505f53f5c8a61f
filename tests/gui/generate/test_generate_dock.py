from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_unet3d.configs import SyntheticConfig
from napari_unet3d.data.dataset import Subset, list_pairs, read_pair
from napari_unet3d.widgets.generate.dock import GenerateDock

SMALL = {
    "objects": 3,
    "shape": (20, 24, 28),
    "object_shape_min": (6, 6, 6),
    "object_shape_max": (8, 8, 8),
    "voxel_size_um": (2.0, 1.0, 0.5),
}


@pytest.fixture
def dock(open_dock):
    widget = open_dock("Generate data")
    assert isinstance(widget, GenerateDock)
    widget.settings.value = SyntheticConfig(**SMALL)
    return widget


def click(qtbot, button):
    return lambda: qtbot.mouseClick(button.native, Qt.MouseButton.LeftButton)


def answer(button):
    """Press a button of the next question that blocks the test."""

    def _press():
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            QTimer.singleShot(10, _press)
            return
        asked.append(box.text())
        box.button(button).click()

    asked: list[str] = []
    QTimer.singleShot(0, _press)
    return asked


def test_preview_shows_image_and_labels_and_updates_them(viewer, dock, qtbot, wait_for_end):
    job = wait_for_end(dock, click(qtbot, dock.preview_button))
    assert job.message is None
    image, labels = viewer.layers
    assert image.data.shape == (20, 24, 28)
    assert tuple(labels.scale) == (2, 1, 0.5)
    assert set(np.unique(labels.data)) == {0, 1, 2, 3}
    assert "3 objects" in dock.message.text()
    first, seed = labels.data.copy(), dock.settings.value.seed
    click(qtbot, dock.seed_button)()
    assert dock.settings.value.seed != seed
    wait_for_end(dock, click(qtbot, dock.preview_button))
    assert list(viewer.layers) == [image, labels]
    assert not np.array_equal(labels.data, first)


def test_too_many_objects_are_said_with_both_numbers(dock, qtbot, wait_for_end):
    dock.settings.objects.value = 500
    wait_for_end(dock, click(qtbot, dock.preview_button))
    assert "of 500 objects" in dock.message.text()
    assert dock.message.kind == "warning"


def test_settings_that_do_not_go_together_are_said_and_nothing_starts(dock, qtbot):
    dock.settings.editors["object_shape_min"].value = (9, 9, 9)
    click(qtbot, dock.preview_button)()
    assert dock.jobs.latest("generate") is None
    assert dock.message.kind == "error"
    assert "larger than the maximum" in dock.message.text()


def test_preview_can_be_stopped(viewer, dock, qtbot):
    dock.settings.value = SyntheticConfig(objects=100_000, shape=(256, 256, 256), minimum_gap=1)
    click(qtbot, dock.preview_button)()
    job = dock.jobs.running("generate")
    qtbot.wait_until(lambda: job.progress is not None, timeout=20_000)
    assert not dock.preview_button.enabled
    assert dock.job_bar.progress.native.isVisibleTo(dock.native)
    qtbot.wait_until(lambda: "left" in dock.job_bar.progress.native.format(), timeout=20_000)
    with qtbot.wait_signal(job.ended, timeout=20_000):
        click(qtbot, dock.job_bar.stop_button)()
    assert len(viewer.layers) == 0
    assert "Stopped" in dock.message.text()
    assert dock.preview_button.enabled


def test_dataset_is_written_and_the_next_step_offered(viewer, dock, qtbot, wait_for_end, tmp_path):
    dock.folder.value = tmp_path / "data"
    dock.n_train.value, dock.n_test.value = 2, 1
    assert not dock.train_button.native.isVisibleTo(dock.native)
    job = wait_for_end(dock, click(qtbot, dock.job_bar.start_button))
    assert job.message is None
    pairs = list_pairs(tmp_path / "data")
    assert [(pair.subset, pair.name) for pair in pairs] == [
        (Subset.TRAIN, "1"),
        (Subset.TRAIN, "2"),
        (Subset.TEST, "3"),
    ]
    sample = read_pair(pairs[0])
    assert sample.shape == (20, 24, 28)
    assert sample.voxel_size_um == pytest.approx((2, 1, 0.5))
    assert str(tmp_path / "data") in dock.message.text()
    assert dock.train_button.native.isVisibleTo(dock.native)


def test_the_next_step_comes_forward_when_its_dock_is_open_behind_this_one(viewer, dock, open_dock, qtbot):
    viewer.window._qt_window.show()
    train = open_dock("Train")
    qtbot.waitUntil(lambda: not train.scroll_area.viewport().visibleRegion().isEmpty())
    dock.raise_tab()
    qtbot.waitUntil(lambda: train.scroll_area.viewport().visibleRegion().isEmpty())
    dock.train_button.native.click()
    qtbot.waitUntil(lambda: not train.scroll_area.viewport().visibleRegion().isEmpty())


def test_writing_over_a_dataset_asks_first(dock, qtbot, wait_for_end, tmp_path):
    dock.folder.value = tmp_path
    dock.n_train.value, dock.n_test.value = 1, 0
    wait_for_end(dock, click(qtbot, dock.job_bar.start_button))
    written = tmp_path / "train" / "images" / "1.tif"
    before = written.read_bytes()
    dock.settings.seed.value = 99

    asked = answer(QMessageBox.StandardButton.Cancel)
    click(qtbot, dock.job_bar.start_button)()
    assert str(tmp_path) in asked[0]
    assert dock.jobs.running("generate") is None
    assert written.read_bytes() == before

    answer(QMessageBox.StandardButton.Ok)
    wait_for_end(dock, click(qtbot, dock.job_bar.start_button))
    assert written.read_bytes() != before


def test_missing_folder_and_no_volumes_are_explained(dock, qtbot, wait_for_end, tmp_path):
    click(qtbot, dock.job_bar.start_button)()
    assert "choose a folder" in dock.message.text()
    dock.folder.value = tmp_path
    dock.n_train.value, dock.n_test.value = 0, 0
    wait_for_end(dock, click(qtbot, dock.job_bar.start_button))
    assert "at least one" in dock.message.text()


def test_objects_and_positions_come_from_layers(viewer, dock, qtbot, wait_for_end):
    brick = np.zeros((8, 8, 8), np.uint8)
    brick[2:6, 2:6, 2:6] = 1
    viewer.add_labels(brick, name="brick")
    viewer.add_points([[20, 12, 7]], name="place", scale=(1, 1, 1), units=("um",) * 3)  # voxel (10, 12, 14)
    dock.settings.rotation_degrees.value = (0.0, 0.0)
    for box, name in ((dock.objects_layer, "brick"), (dock.positions_layer, "place")):
        box.value = viewer.layers[name]
    job = wait_for_end(dock, click(qtbot, dock.preview_button))
    assert job.message is None
    labels = viewer.layers["Synthetic labels"].data
    assert labels.max() == 1
    assert labels[10, 12, 14] == 1
    assert np.count_nonzero(labels) == 64


def test_reopened_dock_shows_the_running_job(viewer, dock, qtbot, close_dock):
    dock.settings.value = SyntheticConfig(objects=100_000, shape=(256, 256, 256))
    click(qtbot, dock.preview_button)()
    job = dock.jobs.running("generate")
    close_dock(dock)
    _, again = viewer.window.add_plugin_dock_widget("napari-unet3d", "Generate data")
    assert again is not dock
    assert again.job_bar.stop_button.native.isVisibleTo(again.native)
    with qtbot.wait_signal(job.ended, timeout=20_000):
        click(qtbot, again.job_bar.stop_button)()
    assert again.job_bar.start_button.native.isVisibleTo(again.native)


def test_settings_come_back_with_the_dock(viewer, dock, close_dock):
    dock.settings.objects.value = 17
    close_dock(dock)
    _, again = viewer.window.add_plugin_dock_widget("napari-unet3d", "Generate data")
    assert again.settings.value == SyntheticConfig(**{**SMALL, "objects": 17})


@pytest.mark.parametrize("sample", ["synthetic_blobs", "synthetic_noisy_blobs"])
def test_samples_open_with_scale_and_labels(viewer, sample):
    viewer.open_sample("napari-unet3d", sample)
    image, labels = viewer.layers
    assert image.data.shape == labels.data.shape == (64, 64, 64)
    assert tuple(labels.scale) == tuple(image.scale) == (0.5, 0.5, 0.5)
    assert {str(unit) for unit in image.units} == {"micrometer"}
    assert labels.data.max() >= 8
