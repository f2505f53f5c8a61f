"""A volume that is predicted block by block fills in the viewer, first where one looks, and goes on after Cancel."""

from __future__ import annotations

import itertools
import threading

import dask.array
import numpy as np
import pytest
import zarr
from napari.layers import Image
from qtpy.QtWidgets import QMessageBox

from napari_unet3d.configs import PredictionConfig, TrainingConfig
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import BlockDone
from napari_unet3d.inference.predict import predict_files
from napari_unet3d.model.checkpoint import Checkpoint, save_checkpoint
from napari_unet3d.model.network import build_network
from napari_unet3d.session.recent_runs import remember_run
from napari_unet3d.widgets.viewer.layer_parts import open_layers
from napari_unet3d.widgets.viewer.navigation import jump_to
from napari_unet3d.widgets.viewer.view_state import camera_of

SHAPE = (12, 48, 64)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A network of initial weights, which predicts foreground in some places."""
    folder = tmp_path_factory.mktemp("models") / "untrained"
    config = TrainingConfig(preset="xxsmall", patch=(16, 16, 16))
    save_checkpoint(folder / "model.safetensors", Checkpoint(config, build_network(config).state_dict(), 1))
    return folder


class Disk:
    """A volume that other threads can only read as fast as they are let."""

    ndim = 3

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.size = array, array.shape, array.dtype, array.size
        self._permits, self._asked, self._let = threading.Semaphore(0), itertools.count(1), 0
        self._n_asked = 0

    def __getitem__(self, index):
        if threading.current_thread() is not threading.main_thread():
            self._n_asked = next(self._asked)
            self._permits.acquire()
        return self.array[index]

    def forbid(self):
        """Stop all readers from now on."""
        self._permits, self._let = threading.Semaphore(0), self._n_asked

    def let_one_read(self):
        """Release the next reader, if there is one."""
        if self._n_asked > self._let:
            self._let += 1
            self._permits.release()

    def let_all_read(self):
        self._let += 10_000
        self._permits.release(10_000)


@pytest.fixture
def disk():
    return Disk(np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.uint8))


@pytest.fixture
def image(viewer, disk):
    """A layer of two resolutions, of which the higher one is on disk."""
    place = {"scale": (2.0, 1.0, 1.0), "translate": (5, -3, 7), "units": "um"}
    return viewer.add_image([disk, disk.array[::2, ::2, ::2]], name="scan", multiscale=True, **place)


@pytest.fixture
def dock(run_folder, image, open_dock, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_unet3d.session.large_prediction._BLOCK", (16, 16, 16))
    remember_run(run_folder)
    dock = open_dock("Predict")
    dock.settings.device.value = "cpu"
    dock.out.value = tmp_path
    return dock


@pytest.fixture
def predict_until(dock, disk, qtbot):
    """Press Predict, and Cancel after some blocks; gives those that are predicted."""

    def predict(n_blocks):
        boxes = []
        disk.forbid()
        dock.job_bar.start_button.native.click()
        job = dock.jobs.running("predict")
        job.reported.connect(lambda event: boxes.append(event.box) if is_predicted(event) else None)
        qtbot.waitUntil(lambda: disk.let_one_read() or len(boxes) >= n_blocks or not job.is_running, timeout=60_000)
        if job.is_running:
            with qtbot.waitSignal(job.ended, timeout=60_000):
                dock.job_bar.stop_button.native.click()
                disk.let_all_read()
        assert job.message is None
        return boxes

    return predict


def is_predicted(event):
    return isinstance(event, BlockDone) and event.step == "predicted"


def contains(box, voxel):
    return all(side.start <= at < side.stop for side, at in zip(box, voxel, strict=True))


def labelled_part(viewer):
    """Return first and last row and column that have the colour of a label, as parts of the image, which is grey."""
    viewer.screenshot(canvas_only=False, flash=False)  # paints the window, upon which napari loads what is in view
    canvas = viewer.screenshot(flash=False)[..., :3].astype(int)
    image, labels = (np.nonzero(where) for where in (canvas.max(-1) > 20, np.ptp(canvas, axis=-1) > 20))
    if not len(labels[0]):
        return []
    first = [each.min() for each in image]
    places = list(zip(labels, first, [each.max() for each in image], strict=True))
    return [(end(each) - start) / (stop - start) for end in (np.min, np.max) for each, start, stop in places]


def test_the_layer_fills_from_what_is_in_view_and_goes_on_after_cancel(
    dock, viewer, image, predict_until, tmp_path, qtbot
):
    assert dock.target.large_notice.native.isVisibleTo(dock.native)
    assert not dock.target.write_results.native.isVisibleTo(dock.native)
    jump_to(viewer, image, (3, 40, 60))
    first = predict_until(2)
    assert contains(first[0], (3, 40, 60))
    assert "Cancelled. What is predicted is kept" in dock.message.text()
    labels = viewer.layers["scan prediction"]
    assert viewer.layers[-1] is labels
    np.testing.assert_allclose(labels.extent.world, image.extent.world)
    qtbot.waitUntil(lambda: labels.data[1][:, 16:, 24:].any())
    assert not np.asarray(labels.data[0][:, :16, :16]).any()

    jump_to(viewer, image, (3, 5, 5))
    second = predict_until(1)
    assert contains(second[0], (3, 5, 5))
    labels = viewer.layers["scan prediction"]
    assert [layer.name for layer in viewer.layers] == ["scan", "scan prediction"]
    halfway = np.array(labels.data[0][:])
    assert halfway.any()

    last = predict_until(1000)
    assert not [box for box in last if box in first + second]
    labels = viewer.layers["scan prediction"]
    written = zarr.open_group(tmp_path / "scan_labels.ome.zarr", mode="r")["0"][:]
    np.testing.assert_array_equal(np.asarray(labels.data), written)
    assert not any(halfway[box].any() for box in last)
    for box in first + second + last:
        assert np.asarray(labels.data[box]).any()
    assert f"The labels are in {tmp_path / 'scan_labels.ome.zarr'}" in dock.message.text()
    assert not list(tmp_path.glob("*.unfinished"))


def test_only_blocks_that_are_predicted_are_coloured(viewer, image, predict_until, qtbot):
    """In 2D, and in 3D, where the lower resolution is shown."""
    jump_to(viewer, image, (3, 40, 60))
    predict_until(1)
    z, y, x = np.nonzero(viewer.layers["scan prediction"].data[0][:])
    assert x.min() > 8, "it was cancelled too late"
    for ndisplay in (2, 3):
        viewer.dims.ndisplay = ndisplay
        viewer.reset_view()
        camera_of(viewer).zoom *= 0.3
        rows, columns = (y[z == 3], x[z == 3]) if ndisplay == 2 else (y, x)
        expected = [rows.min() / 48, columns.min() / 64, rows.max() / 48, columns.max() / 64]
        qtbot.waitUntil(lambda: bool(labelled_part(viewer)))  # napari loads what is in view after it has drawn
        np.testing.assert_allclose(labelled_part(viewer), expected, atol=0.07)


def test_results_need_a_folder_and_are_replaced_after_a_question(dock, predict_until, tmp_path, monkeypatch):
    dock.out.value = None
    dock.job_bar.start_button.native.click()
    assert "a folder for the results" in dock.message.text()
    dock.out.value = tmp_path
    predict_until(1000)
    asked = []
    monkeypatch.setattr(
        QMessageBox, "question", lambda *args: (asked.append(args[2]), QMessageBox.StandardButton.Cancel)[1]
    )
    dock.job_bar.start_button.native.click()
    assert "scan_labels.ome.zarr exists already" in asked[0]


def test_a_file_larger_than_memory_is_opened_and_predicted_without_being_read(
    viewer, dock, tmp_path, monkeypatch, wait_for_end
):
    """Opened with File ▸ Open, in resolutions; the result lies beside it, and is that of the command."""
    array = np.random.default_rng(1).integers(0, 200, SHAPE).astype(np.uint8)
    file = tmp_path / "scans" / "big.h5"
    write_volume(file, array, (2.0, 1.0, 1.0))
    monkeypatch.setattr("napari_unet3d.data.volume_parts._FRACTION_OF_MEMORY", 1e-12)
    monkeypatch.setattr("napari_unet3d.data.lazy_volumes._SMALL_SIDE", 16)
    dock.out.value = None
    (layer,) = viewer.open(str(file), plugin="napari-unet3d")
    assert [each.shape for each in layer.data] == [tuple(side // step for side in SHAPE) for step in (1, 2, 4)]
    dock.image_layer.value = layer
    assert dock.out.value == file.parent / "predictions"
    assert wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000).message is None
    labels = viewer.layers["big prediction"]
    written = zarr.open_group(file.parent / "predictions" / "big_labels.ome.zarr", mode="r")["0"][:]
    np.testing.assert_array_equal(np.asarray(labels.data), written)
    *_, by_command = predict_files(dock.model.value, [file], tmp_path / "a.ome.zarr", PredictionConfig(device="cpu"))
    np.testing.assert_array_equal(written, zarr.open_group(by_command.files[0], mode="r")["0"][:])


def test_channels_of_a_lazy_layer_are_read_in_parts():
    array = np.random.default_rng(0).integers(0, 99, (2, 6, 7, 8)).astype(np.uint8)
    levels = [dask.array.from_array(each, chunks=4) for each in (array, array[..., ::2, ::2])]
    volume = open_layers(Image(levels, multiscale=True, name="two", axis_labels=("c", "z", "y", "x")))
    assert volume.roles.axes == "czyx"
    np.testing.assert_array_equal(volume.stored.load((1, slice(2, 5), slice(3), slice(8))), array[1, 2:5, :3])
    with pytest.raises(UserError, match="choose a 3D volume"):
        open_layers(Image(levels, multiscale=True, name="two", axis_labels=("t", "z", "y", "x")))
