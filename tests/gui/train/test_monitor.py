"""A run is watched in a real viewer: what is shown is what the epoch predicted, and nothing else moves."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QSlider

from napari_unet3d.configs import PredictionConfig, Task, TrainingConfig
from napari_unet3d.configs.preferences import RunOn
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Sample
from napari_unet3d.inference.predict import predict
from napari_unet3d.runs.snapshot_files import (
    SnapshotData,
    SnapshotManifest,
    SnapshotPrediction,
    SnapshotVolume,
    saved_epochs,
    write_manifest,
    write_predictions,
    write_volume,
)
from napari_unet3d.session.recent_runs import recent_runs
from napari_unet3d.session.training_run import describe_throughput
from napari_unet3d.training.events import Throughput
from napari_unet3d.widgets.train.dock import TrainDock
from napari_unet3d.widgets.viewer.layers import show_labels

SHAPE, SIZE = (16, 18, 20), (2.0, 1.0, 1.5)
N_EPOCHS = 5


def blob(epoch: int) -> np.ndarray:
    """A prediction that grows by a slice per epoch, from too little to too much."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[4 : 4 + 2 * epoch, 5:13, 6:14] = 1
    return labels


TRUTH = blob(3)


def write_epoch(run: Path, epoch: int) -> None:
    rows = [["epoch", "train_loss", "val_loss", "val_dice", "learning_rate", "seconds"]]
    rows += [[n, 1 / n, 1.2 / n, n / 10, 0.01, 1.0] for n in range(1, epoch + 1)]
    write_predictions(run / "snapshots", epoch, [SnapshotPrediction(blob(epoch))] * 2, Task.BINARY)
    (run / "snapshots" / f"epoch-{epoch:04d}.safetensors").write_bytes(b"model of epoch %d" % epoch)
    with (run / "history.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run of five epochs, with a whole volume and a block that begins in slice 3 of another."""
    folder = tmp_path / "some run"
    cards = (
        SnapshotVolume(name="one", volume="one", volume_shape_zyx=SHAPE, geometry=Geometry(SIZE), shape_zyx=SHAPE),
        SnapshotVolume(
            name="two [validation]",
            volume="two",
            volume_shape_zyx=(19, 18, 20),
            geometry=Geometry(SIZE),
            shape_zyx=SHAPE,
            first_zyx=(3.0, 0.0, 0.0),
        ),
    )
    for number, card in enumerate(cards):
        write_volume(folder / "snapshots", number, SnapshotData(card, image_of(number), GroundTruth(TRUTH)))
    write_manifest(folder / "snapshots", SnapshotManifest(task=Task.BINARY, volumes=cards))
    for epoch in range(1, N_EPOCHS + 1):
        write_epoch(folder, epoch)
    return folder


def image_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 60, SHAPE).astype(np.uint8)


@pytest.fixture
def dock(open_dock) -> TrainDock:
    return open_dock("Train")


@pytest.fixture
def shown(dock, run, qtbot, viewer):
    """The run, opened, with its newest epoch in view."""
    dock.open_run(run)
    qtbot.waitUntil(lambda: "one live difference" in viewer.layers, timeout=10_000)
    return dock.monitor


def epoch_in_view(viewer, name: str = "one") -> int:
    labels = viewer.layers[f"{name} live prediction"].data
    return next(epoch for epoch in range(9) if np.array_equal(labels, blob(epoch)))


def wait_for_epoch(qtbot, viewer, epoch: int, name: str = "one") -> None:
    qtbot.waitUntil(lambda: epoch_in_view(viewer, name) == epoch, timeout=10_000)


def test_an_opened_run_shows_its_curves_and_its_newest_epoch(shown, dock, viewer, qtbot):
    wait_for_epoch(qtbot, viewer, 5)
    assert [type(layer) for layer in viewer.layers] == [Image, Labels, Labels]
    assert [layer.visible for layer in viewer.layers] == [True, False, True]
    for layer in viewer.layers:
        assert tuple(layer.scale) == SIZE
    difference = viewer.layers["one live difference"].data
    np.testing.assert_array_equal(difference, (blob(5) > 0) & (TRUTH == 0))
    assert shown.epoch_text.value == "Epoch 5 · Dice 0.500 · best"
    assert len(shown.curves.history.records) == 5
    assert "'some run' · Epoch 5: training loss 0.200" in dock.status.value
    assert shown.native.isVisibleTo(dock.native)


def test_all_channels_of_a_volume_are_shown_in_colour(dock, tmp_path, viewer, qtbot):
    folder, names = tmp_path / "channels", ("dapi", "membrane")
    cards = tuple(
        SnapshotVolume(name=name, volume=name, volume_shape_zyx=SHAPE, shape_zyx=SHAPE, channel_names=channels)
        for name, channels in (("one", names), ("two", ()))
    )
    both = np.stack([image_of(0), image_of(1)])
    for number, (card, image) in enumerate(zip(cards, (both, image_of(2)), strict=True)):
        write_volume(folder / "snapshots", number, SnapshotData(card, image, GroundTruth(TRUTH)))
    write_manifest(folder / "snapshots", SnapshotManifest(task=Task.BINARY, volumes=cards))
    for epoch in (1, 2):
        write_epoch(folder, epoch)
    dock.open_run(folder)
    qtbot.waitUntil(lambda: "one live difference" in viewer.layers, timeout=10_000)
    layers = [viewer.layers[f"one {name} validation"] for name in names]
    for layer, channel in zip(layers, both, strict=True):
        np.testing.assert_array_equal(layer.data, channel)
        assert layer.visible
    looks = [(layer.colormap.name, layer.blending) for layer in layers]
    assert looks == [("magenta", "additive"), ("green", "additive")]
    viewer.layers.remove(layers[1])
    dock.monitor.epoch_slider.go_to(1)
    wait_for_epoch(qtbot, viewer, 1)
    assert f"one {names[1]} validation" not in viewer.layers
    dock.monitor.volume.value = 1
    qtbot.waitUntil(lambda: "two live difference" in viewer.layers, timeout=10_000)
    assert [layer.name for layer in viewer.layers if isinstance(layer, Image)] == ["two validation"]


def test_slider_and_curve_choose_the_epoch_and_nothing_else_moves(shown, viewer, qtbot):
    mine = viewer.add_points([(1, 2, 3)], name="mine", scale=SIZE)
    viewer.layers.selection = {mine}
    viewer.layers["one validation"].visible = False
    viewer.layers["one live difference"].visible = False
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    viewer.dims.ndisplay = 3
    camera.zoom, camera.center, camera.angles = 7.5, (1.0, 2.0, 3.0), (10.0, 20.0, 30.0)

    def state():
        names = [layer.name for layer in viewer.layers]
        return camera.zoom, camera.center, camera.angles, viewer.dims.point, names

    before = state()
    same = viewer.layers["one live prediction"]

    slider = shown.epoch_slider.slider.native.findChild(QSlider)
    slider.setFocus()
    QTest.keyClick(slider, Qt.Key.Key_Left)
    wait_for_epoch(qtbot, viewer, 4)
    assert shown.curves.cursor_line.value() == 4
    shown.curves.cursor_line.setValue(2.3)
    shown.curves.cursor_line.sigDragged.emit(shown.curves.cursor_line)
    wait_for_epoch(qtbot, viewer, 2)
    assert (shown.epoch_slider.epoch, shown.curves.cursor_line.value()) == (2, 2)
    np.testing.assert_array_equal(
        viewer.layers["one live difference"].data, 2 * ((blob(2) == 0) & (TRUTH > 0)).astype(np.uint8)
    )

    assert viewer.layers["one live prediction"] is same
    assert set(viewer.layers.selection) == {mine}
    assert not viewer.layers["one validation"].visible
    assert not viewer.layers["one live difference"].visible
    assert (
        camera.zoom,
        camera.center,
        camera.angles,
        viewer.dims.point,
        [layer.name for layer in viewer.layers],
    ) == before


def test_it_plays_like_a_film_and_stops_at_the_end(shown, viewer, qtbot):
    wait_for_epoch(qtbot, viewer, 5)
    seen = []
    viewer.layers["one live prediction"].events.data.connect(lambda: seen.append(epoch_in_view(viewer)))
    qtbot.mouseClick(shown.epoch_slider.play_button.native, Qt.MouseButton.LeftButton)
    assert shown.epoch_slider.is_playing
    qtbot.waitUntil(lambda: not shown.epoch_slider.is_playing and epoch_in_view(viewer) == 5, timeout=20_000)
    assert list(dict.fromkeys(seen)) == [1, 2, 3, 4, 5], "no picture is skipped"


def test_a_block_lies_in_its_volume_and_the_other_volume_goes(shown, viewer, qtbot):
    shown.volume.value = 1
    qtbot.waitUntil(lambda: "two live difference" in viewer.layers, timeout=10_000)
    assert not [layer for layer in viewer.layers if layer.name.startswith("one")]
    assert tuple(viewer.layers["two live difference"].translate) == (6.0, 0.0, 0.0)
    shown.volume.value = -1
    assert len(viewer.layers) == 0


def test_the_image_layer_that_is_there_is_used(dock, run, viewer, qtbot):
    whole = np.concatenate([np.zeros((3, 18, 20), np.uint8), image_of(1)])
    viewer.add_image(whole, name="two", scale=SIZE, translate=(10, 0, 0), affine=np.diag([2.0, 1, 1, 1]))
    viewer.add_image(image_of(0) + 1, name="one")  # alike by name only
    viewer.layers.selection = {viewer.layers["two"]}
    point = viewer.dims.point
    dock.open_run(run)
    qtbot.waitUntil(lambda: "one live difference" in viewer.layers, timeout=10_000)
    assert "one validation" in viewer.layers
    assert set(viewer.layers.selection) == {viewer.layers["two"]}
    assert viewer.dims.point == point
    dock.monitor.volume.value = 1
    qtbot.waitUntil(lambda: "two live difference" in viewer.layers, timeout=10_000)
    assert "two validation" not in viewer.layers
    difference = viewer.layers["two live difference"]
    np.testing.assert_allclose(difference.data_to_world((0, 0, 0)), viewer.layers["two"].data_to_world((3, 0, 0)))
    np.testing.assert_allclose(difference.data_to_world((4, 5, 6)), viewer.layers["two"].data_to_world((7, 5, 6)))


def test_a_layer_that_the_person_removes_stays_away(shown, viewer, qtbot):
    viewer.layers.remove("one live difference")
    shown.epoch_slider.go_to(2)
    wait_for_epoch(qtbot, viewer, 2)
    assert "one live difference" not in viewer.layers


def test_an_epoch_is_kept_as_a_layer(shown, viewer, qtbot):
    shown.epoch_slider.go_to(2)
    wait_for_epoch(qtbot, viewer, 2)
    shown.actions.layer_button.native.click()
    shown.epoch_slider.go_to(4)
    wait_for_epoch(qtbot, viewer, 4)
    np.testing.assert_array_equal(viewer.layers["one epoch 2"].data, blob(2))
    assert tuple(viewer.layers["one epoch 2"].scale) == SIZE


def test_a_model_is_kept_and_offered(shown, dock, run, viewer, qtbot):
    shown.epoch_slider.go_to(2)
    shown.actions.model_button.native.click()
    kept = run / "kept" / "epoch-0002.safetensors"
    assert kept.read_bytes() == b"model of epoch 2"
    assert recent_runs()[0] == kept
    assert "epoch 2" in dock.message.text()
    (run / "snapshots" / "epoch-0002.safetensors").unlink()
    kept.unlink()
    shown.actions.model_button.native.click()
    assert dock.message.kind == "error"
    assert "no longer kept" in dock.message.text()


def test_a_model_is_kept_elsewhere_and_replaces_only_what_was_asked_about(
    shown, dock, run, tmp_path, monkeypatch, qtbot
):
    other = tmp_path / "mine.safetensors"
    other.write_bytes(b"another model")
    answers = iter([tmp_path / "mine", tmp_path / "mine.onnx", other])
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(next(answers)), ""))
    shown.epoch_slider.go_to(2)
    for words in ("exists already", "ends in .safetensors"):
        shown.actions.elsewhere_button.native.click()
        assert dock.message.kind == "error"
        assert words in dock.message.text()
    assert other.read_bytes() == b"another model"
    shown.actions.elsewhere_button.native.click()
    assert other.read_bytes() == b"model of epoch 2"
    assert recent_runs()[0] == other


def test_a_run_that_another_process_writes_is_followed(shown, dock, run, viewer, qtbot):
    wait_for_epoch(qtbot, viewer, 5)
    write_epoch(run, 6)
    wait_for_epoch(qtbot, viewer, 6)
    assert len(shown.curves.history.records) == 6
    assert "Epoch 6" in dock.status.value
    shown.epoch_slider.go_to(2)
    wait_for_epoch(qtbot, viewer, 2)
    write_epoch(run, 7)
    qtbot.waitUntil(lambda: shown.epoch_slider.epochs[-1] == 7, timeout=10_000)
    assert shown.epoch_slider.epoch == 2, "who looks at an earlier epoch is not pulled away"


def test_an_epoch_that_was_left_out_meanwhile_is_passed_over(shown, dock, run, viewer, qtbot):
    wait_for_epoch(qtbot, viewer, 5)
    (run / "snapshots" / "epoch-0002.npz").unlink()
    shown.epoch_slider.go_to(2)
    qtbot.waitUntil(lambda: shown.epoch_slider.epochs == (1, 3, 4, 5), timeout=10_000)
    wait_for_epoch(qtbot, viewer, shown.epoch_slider.epoch)
    assert dock.message.kind != "error"


def test_another_run_of_the_same_volumes_goes_on_in_the_same_layers(shown, dock, run, viewer, qtbot):
    wait_for_epoch(qtbot, viewer, 5)
    viewer.layers["one live difference"].visible = False
    before = list(viewer.layers)
    other = run.with_name("other run")
    shutil.copytree(run, other)
    write_epoch(other, 6)
    dock.open_run(other)
    wait_for_epoch(qtbot, viewer, 6)
    assert list(viewer.layers) == before
    assert not viewer.layers["one live difference"].visible
    assert shown.epoch_slider.epochs == (1, 2, 3, 4, 5, 6)


def test_what_is_wrong_is_said_in_plain_words(dock, run):
    dock.open_run(run)
    assert not dock.monitor.hint.native.isVisibleTo(dock.native)
    rows = ["epoch,train_loss,val_loss,val_dice,learning_rate,seconds"]
    rows += [f"{n},{1 / n},{1 / n if n <= 18 else n / 300},0.8,0.01,1" for n in range(1, 31)]
    (run / "history.csv").write_text("\n".join(rows))
    dock.open_run(run)
    assert dock.monitor.hint.native.isVisibleTo(dock.native)
    assert "starts to overfit" in dock.monitor.hint.value
    assert "model of epoch 18" in dock.monitor.hint.value


def test_how_the_steps_go_is_told(dock, long_run, qtbot):
    qtbot.waitUntil(lambda: "steps/s" in dock.monitor.throughput.value, timeout=20_000)
    assert "waits for data" in dock.monitor.throughput.value
    assert (
        describe_throughput(Throughput(1, 2.345, 0.031, 3 * 2**30))
        == "2.35 steps/s · waits for data 3% of the time · GPU 3.0 GiB"
    )


@pytest.mark.parametrize("wrong", ["nothing", "damaged"])
def test_a_folder_without_a_run_is_explained(dock, run, wrong):
    if wrong == "nothing":
        shutil.rmtree(run)
        run.mkdir()
    else:
        (run / "history.csv").write_text("a,b\n1,2\n")
    dock.open_run(run)
    assert dock.message.kind == "error"
    assert "run" in dock.message.text()


def test_mistakes_are_seen_in_red_and_blue(make_napari_viewer, run, qtbot):
    viewer = make_napari_viewer(show=True)
    dock = TrainDock(viewer)
    viewer.window.add_dock_widget(dock, name="Train")
    viewer.window._qt_window.resize(900, 600)
    dock.open_run(run)
    qtbot.waitUntil(lambda: "one live difference" in viewer.layers, timeout=10_000)
    viewer.dims.ndisplay = 3

    def pixels(red: bool) -> int:
        picture = viewer.screenshot(flash=False)[..., :3].astype(int)
        strong, weak = (0, 2) if red else (2, 0)
        return int(((picture[..., strong] > 120) & (picture[..., weak] < 100) & (picture[..., 1] < 120)).sum())

    wait_for_epoch(qtbot, viewer, 5)
    assert pixels(red=True) > 100 > pixels(red=False), "the newest epoch finds too much"
    dock.monitor.epoch_slider.go_to(1)
    wait_for_epoch(qtbot, viewer, 1)
    assert pixels(red=False) > 100 > pixels(red=True), "the first one misses most"


def test_a_run_is_watched_while_it_goes_on(dock, dataset, viewer, qtbot):
    dock.source.use_folder(dataset)
    dock.settings.value = TrainingConfig(epochs=4, val_fraction=0.34, steps_per_epoch=3, learning_rate=0.03)
    run_folder = dock.run_folder.value
    dock.job_bar.start_button.native.click()
    assert not dock.setup.section.is_open
    job = dock.jobs.running("train")
    with qtbot.waitSignal(job.ended, timeout=60_000):
        pass
    assert job.message is None
    assert dock.setup.section.is_open
    name = dock.run.started.val_names[0]
    qtbot.waitUntil(lambda: f"{name} live difference" in viewer.layers, timeout=10_000)
    assert dock.monitor.epoch_slider.epochs == saved_epochs(run_folder / "snapshots") == (1, 2, 3, 4)
    assert len(dock.monitor.curves.history.dice) == 4

    dock.monitor.epoch_slider.go_to(3)
    qtbot.waitUntil(dock.monitor.actions.layer_button.native.isEnabled, timeout=10_000)
    dock.monitor.actions.model_button.native.click()
    kept = run_folder / "kept" / "epoch-0003.safetensors"
    image = viewer.layers[f"{name} validation"]
    sample = Sample(name, image.data, None, (2.0, 1.0, 1.0))
    *_, answer = predict(kept, sample, PredictionConfig(device="cpu"))
    np.testing.assert_array_equal(viewer.layers[f"{name} live prediction"].data, answer.labels)

    again = TrainDock(viewer)
    viewer.window.add_dock_widget(again, name="again")
    assert again.monitor.epoch_slider.epochs == (1, 2, 3, 4), "a dock that is opened later shows the run again"
    n_layers = len(viewer.layers)
    again.monitor.volume.value = 0  # its layers are shown when asked for
    again.monitor.epoch_slider.go_to(2)
    qtbot.waitUntil(again.monitor.actions.layer_button.native.isEnabled, timeout=10_000)
    assert len(viewer.layers) == n_layers


def test_a_run_in_a_process_of_its_own_is_watched(dock, dataset, viewer, wait_for_end, qtbot):
    dock.source.use_folder(dataset)
    dock.settings.value = TrainingConfig(epochs=2, val_fraction=0.34, steps_per_epoch=1, device="cpu")
    dock.run_on.value = RunOn.PROCESS
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 90_000)
    assert job.message is None
    name = dock.run.started.val_names[0]
    qtbot.waitUntil(lambda: f"{name} live difference" in viewer.layers, timeout=10_000)
    assert dock.monitor.epoch_slider.epochs == (1, 2)


def test_layers_that_train_are_watched_in_their_place(dock, ball, viewer, qtbot, wait_for_end):
    for name in ("first", "second"):
        volume = ball(name)
        viewer.add_image(volume.image, name=name, scale=(2, 1, 1), units=("um",) * 3)
        viewer.add_labels(volume.labels, name=f"{name} labels", scale=(2, 1, 1), units=("um",) * 3)
    dock.source.use_layers()
    for name in ("first", "second"):
        dock.image_layer.value = viewer.layers[name]
        dock.labels_layer.value = viewer.layers[f"{name} labels"]
        dock.source.layers.add_button.native.click()
    dock.settings.value = TrainingConfig(epochs=2, val_fraction=0.5, steps_per_epoch=1)
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    name = dock.run.started.val_names[0]
    other = "second" if name == "first" else "first"
    qtbot.waitUntil(lambda: f"{name} live difference" in viewer.layers, timeout=10_000)
    assert f"{name} validation" not in viewer.layers, "the image is there already"
    assert not viewer.layers[f"{name} labels"].visible, "they would cover the errors"
    assert viewer.layers[f"{other} labels"].visible
    viewer.layers[f"{name} labels"].visible = True
    dock.monitor.epoch_slider.go_to(1)
    qtbot.waitUntil(dock.monitor.actions.layer_button.native.isEnabled, timeout=10_000)
    assert viewer.layers[f"{name} labels"].visible, "what the person shows stays"


def test_what_came_since_the_run_was_opened_stays_in_view(dock, run, qtbot, viewer):
    """The first epoch may arrive after somebody has predicted a volume of their own."""
    before = show_labels(viewer, "other prediction", TRUTH, Geometry(SIZE))
    dock.open_run(run)
    meanwhile = show_labels(viewer, "mine difference", TRUTH, Geometry(SIZE))
    qtbot.waitUntil(lambda: "one live difference" in viewer.layers, timeout=10_000)
    assert not before.visible, "it may lie in the same place"
    assert meanwhile.visible


def test_reopening_the_dock_shows_an_old_run_in_the_viewer_only_when_asked(
    open_dock, close_dock, dataset, viewer, wait_for_end, qtbot, ball
):
    dock = open_dock("Train")
    dock.source.use_folder(dataset)
    dock.settings.value = TrainingConfig(preset="xxsmall", epochs=1, steps_per_epoch=1, val_fraction=0.34, device="cpu")
    wait_for_end(dock, dock.train, 60_000)
    (name,) = dock.run.started.val_names
    qtbot.waitUntil(lambda: f"{name} live difference" in viewer.layers, timeout=10_000)
    close_dock(dock)
    viewer.layers.clear()
    other = ball("quite another")
    viewer.add_image(other.image, name="mine", scale=(2.0, 1.0, 1.0), units=("um",) * 3)
    again = viewer.window.add_plugin_dock_widget("napari-unet3d", "Train")[1]
    assert again.run is not None, "its curves are there"
    qtbot.waitUntil(lambda: again.monitor.epoch_slider.epoch == 1)
    qtbot.wait(50)
    qtbot.waitUntil(lambda: again.jobs.running("watch") is None)
    assert [layer.name for layer in viewer.layers] == ["mine"]
    assert viewer.layers["mine"].visible
    again.monitor.volume.value = 0
    qtbot.waitUntil(lambda: f"{name} live difference" in viewer.layers, timeout=10_000)


def canvas_has(viewer, colour) -> bool:
    canvas = viewer.screenshot(flash=False)[..., :3].astype(int)
    return bool((np.abs(canvas - colour).max(axis=-1) < 60).sum() > 50)


def test_an_image_that_the_person_deletes_does_not_come_back_above_the_difference(make_napari_viewer, run, qtbot):
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(image_of(0), name="one", scale=(4.0, 2.0, 3.0), translate=(1.0, 2.0, 3.0))
    dock = viewer.window.add_plugin_dock_widget("napari-unet3d", "Train")[1]
    dock.open_run(run)
    qtbot.waitUntil(lambda: "one live difference" in viewer.layers, timeout=10_000)
    difference = viewer.layers["one live difference"]
    viewer.dims.set_point(0, difference.data_to_world((11, 0, 0))[0])
    assert canvas_has(viewer, (255, 32, 32))
    viewer.layers.remove(image)
    dock.monitor.epoch_slider.go_to(4)
    wait_for_epoch(qtbot, viewer, 4)
    dock.monitor.epoch_slider.go_to(5)
    wait_for_epoch(qtbot, viewer, 5)
    assert [layer.name for layer in viewer.layers] == ["one live prediction", "one live difference"]
    assert not viewer.layers["one live prediction"].visible
    np.testing.assert_allclose(difference.translate, (1.0, 2.0, 3.0))
    np.testing.assert_allclose(difference.scale, (4.0, 2.0, 3.0))
    assert canvas_has(viewer, (255, 32, 32))


def test_a_volume_that_comes_after_its_difference_lies_below_it(shown, dock, run, viewer, qtbot, tmp_path):
    viewer.layers.remove("one validation")
    shutil.copytree(run, tmp_path / "other run")
    dock.open_run(tmp_path / "other run")
    qtbot.waitUntil(lambda: "one validation" in viewer.layers, timeout=10_000)
    names = [layer.name for layer in viewer.layers]
    assert names == ["one validation", "one live prediction", "one live difference"]
