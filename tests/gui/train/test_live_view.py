"""When the first epoch of a run is evaluated, the view goes to the validation block, once; colours are explained."""

from __future__ import annotations

import re

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet3d.configs import Task, TrainingConfig
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.split import Block, Role
from napari_unet3d.evaluation.colours import EXTRA_COLOUR, MISSED_COLOUR
from napari_unet3d.model.plan import Plan
from napari_unet3d.runs.snapshot_files import (
    SnapshotData,
    SnapshotManifest,
    SnapshotPrediction,
    SnapshotVolume,
    write_manifest,
    write_predictions,
    write_volume,
)
from napari_unet3d.session.training_run import TrainingRun
from napari_unet3d.training.events import EpochFinished, RunStarted, SnapshotSaved
from napari_unet3d.widgets.train.dock import TrainDock

SHAPE, FIRST = (60, 18, 20), 40
BLOCK = (16, 18, 20)
BOX = (slice(4, 9), slice(5, 13), slice(6, 12))  # of the true object in the block


@pytest.fixture
def run(tmp_path):
    """A run that validates on the last slices of a volume, where its first prediction is off by three voxels."""
    folder = tmp_path / "run"
    info = SnapshotVolume(
        name="stack [validation]",
        volume="stack",
        volume_shape_zyx=SHAPE,
        geometry=Geometry((1.0, 1.0, 1.0)),
        shape_zyx=BLOCK,
        first_zyx=(float(FIRST), 0.0, 0.0),
    )
    truth = np.zeros(BLOCK, np.uint8)
    truth[BOX] = 1
    write_volume(folder / "snapshots", 0, SnapshotData(info, np.zeros(BLOCK, np.uint8), GroundTruth(truth)))
    write_manifest(folder / "snapshots", SnapshotManifest(task=Task.BINARY, volumes=(info,)))
    for epoch in (1, 2):
        prediction = SnapshotPrediction(np.roll(truth, 3, axis=2))
        write_predictions(folder / "snapshots", epoch, [prediction], Task.BINARY)
    return TrainingRun(folder)


@pytest.fixture
def dock(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.zeros(SHAPE, np.uint8), name="stack", scale=(1.0, 1.0, 1.0))
    viewer.dims.set_point(0, 2)
    dock = TrainDock(viewer)
    viewer.window.add_dock_widget(dock, name="Train")
    viewer.window._qt_window.resize(1000, 700)
    return dock


def start(dock, run, qtbot):
    """Emit to the dock the beginning of a run, as a job does."""
    dock.monitor.show_run(run)  # in the viewer, as for a job that is running
    dock.on_event(run)
    blocks = (
        Block("stack", Role.TRAINING, (0, 0, 0), (30, 18, 20)),
        Block("stack", Role.VALIDATION, (FIRST, 0, 0), (FIRST + BLOCK[0], 18, 20)),
    )
    begun = RunStarted(
        run_folder=run.run_folder,
        device="CPU",
        train_names=("a",),
        val_names=("b",),
        n_epochs=5,
        n_steps_per_epoch=2,
        n_parameters=9,
        plan=Plan(strides=((2, 2, 2),)),
        config=TrainingConfig(),
        volume_shape_zyx=SHAPE,
        blocks=blocks,
    )
    run.add(begun)
    dock.on_event(begun)
    qtbot.waitUntil(lambda: dock.monitor._first_visit.is_expected)


def finish_epoch(dock, run, epoch, qtbot):
    run.add(EpochFinished(epoch, 1.0, 1.0, 0.5, True, 10.0))
    run.add(SnapshotSaved(run.run_folder, epoch, 1))
    qtbot.waitUntil(lambda: dock.monitor._view is not None and dock.monitor._view.epoch == epoch, timeout=10_000)


def n_pixels(viewer, colour):
    wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    picture = viewer.screenshot(flash=False)[..., :3].astype(int)
    return int((abs(picture - wanted).max(axis=-1) < 40).sum())  # layers are a little transparent


def test_the_first_epoch_leads_to_the_errors_and_later_ones_do_not(dock, run, qtbot):
    viewer = dock.viewer
    start(dock, run, qtbot)
    assert n_pixels(viewer, EXTRA_COLOUR) == n_pixels(viewer, MISSED_COLOUR) == 0
    finish_epoch(dock, run, 1, qtbot)
    assert FIRST + 4 <= viewer.dims.point[0] < FIRST + 9, "a slice with errors"
    red, blue = n_pixels(viewer, EXTRA_COLOUR), n_pixels(viewer, MISSED_COLOUR)
    assert min(red, blue) > 500, "they fill a good part of the view"
    viewer.dims.set_point(0, 2)
    finish_epoch(dock, run, 2, qtbot)
    assert viewer.dims.point[0] == 2


def test_who_has_moved_the_view_is_not_pulled_away_and_gets_there_by_a_button(dock, run, qtbot):
    viewer = dock.viewer
    start(dock, run, qtbot)
    viewer.dims.set_point(0, 7)
    finish_epoch(dock, run, 1, qtbot)
    assert viewer.dims.point[0] == 7
    assert n_pixels(viewer, EXTRA_COLOUR) == 0
    button = dock.monitor.there_button.native
    dock.scroll_area.ensureWidgetVisible(button)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert min(n_pixels(viewer, EXTRA_COLOUR), n_pixels(viewer, MISSED_COLOUR)) > 500


def test_in_3d_the_camera_goes_to_the_middle_of_the_block(dock, run, qtbot):
    viewer = dock.viewer
    viewer.dims.ndisplay = 3
    start(dock, run, qtbot)
    finish_epoch(dock, run, 1, qtbot)
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    assert camera.center == pytest.approx((FIRST + BLOCK[0] // 2, 9, 10))


def test_a_legend_explains_the_colours_of_the_layer(dock, run, qtbot):
    start(dock, run, qtbot)
    assert not dock.monitor.legend.native.isVisibleTo(dock.native)
    finish_epoch(dock, run, 1, qtbot)
    label = dock.monitor.legend.native
    assert label.isVisibleTo(dock.native)
    assert re.sub("<[^>]*>|&nbsp;", "", label.text()).split() == ["■", "extra", "voxels", "■", "missed", "voxels"]
    dock.scroll_area.ensureWidgetVisible(label)
    image = label.grab().toImage()
    colours = {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}
    assert {EXTRA_COLOUR, MISSED_COLOUR} <= colours
