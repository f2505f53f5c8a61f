from __future__ import annotations

import json
import sys
import threading

import numpy as np
import pytest
from napari.layers import Labels

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.session.recent_runs import new_run_folder, recent_runs, remember_run
from napari_unet3d.widgets.components.point_at import is_pointed_at
from napari_unet3d.widgets.train.dock import TrainDock
from napari_unet3d.widgets.train.pre_run_actions import SummaryWindow
from napari_unet3d.widgets.train.run_job import begin_training


@pytest.fixture
def dock(open_dock):
    return open_dock("Train")


def settings(dock, **values):
    dock.settings.value = TrainingConfig(epochs=2, **values)


def test_opening_the_dock_loads_no_torch(dock):
    # Other tests of the same process may have loaded it; the module's own imports are what counts.
    assert not {name for name in vars(sys.modules[TrainDock.__module__]) if name in ("torch", "monai")}
    assert dock.job_bar.start_button.native.isVisibleTo(dock.native)


def test_training_on_a_dataset_writes_the_run_beside_it(dock, dataset, wait_for_end):
    dock.source.use_folder(dataset)
    assert dock.source.found.value == "3 training, 0 test volumes"
    assert not dock.setup.sample_prompt.native.isVisibleTo(dock.native)
    run_folder = dock.run_folder.value
    assert run_folder.parent == dataset.parent / "runs"
    settings(dock, val_fraction=0.34)
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert job.message is None
    assert (run_folder / "model.safetensors").is_file()
    assert json.loads((run_folder / "config.json").read_text())["num_workers"] == 0
    assert "2 training, 1 validation volume" in dock.hardware.value
    assert "CPU" in dock.hardware.value or "fp" in dock.hardware.value
    assert dock.status.value.startswith("Epoch 2 of 2")
    assert "Training is finished." in dock.message.text()
    assert dock.run_actions.predict_button.native.isVisibleTo(dock.native)
    assert recent_runs() == [run_folder]
    assert dock.run_folder.value != run_folder, "a second run must not fall on the first"
    assert len(dock.monitor.curves.history.val) == 2


def test_the_end_of_a_run_is_no_longer_said_when_another_dock_trains(dock, tmp_path, qtbot):
    gate = threading.Event()

    def events():
        gate.wait(120)
        yield from ()

    dock.message.show_message("Training is finished.")
    run = begin_training(dock.jobs, events, tmp_path / "run")
    qtbot.waitUntil(lambda: dock.run is run)
    assert dock.message.text() == ""
    with qtbot.waitSignal(dock.jobs.running("train").ended):
        gate.set()


def test_training_on_two_pairs_of_layers(ball, dock, viewer, wait_for_end):
    for name in ("one", "second"):
        volume = ball(name)
        viewer.add_image(volume.image, name=name)
        viewer.add_labels(volume.labels, name=f"{name} labels")
    dock.source.use_layers()
    for name in ("one", "second"):
        dock.image_layer.value = viewer.layers[name]
        dock.labels_layer.value = viewer.layers[f"{name} labels"]
        dock.source.layers.add_button.native.click()
    assert len(dock.source.layers.pair_list.choices) == 2
    settings(dock, val_fraction=0.5)
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert job.message is None, job.message
    assert {*dock.run.started.train_names, *dock.run.started.val_names} == {"one", "second"}


def test_a_pair_goes_with_its_layer(ball, dock, viewer):
    volume = ball("one")
    image = viewer.add_image(volume.image, name="one")
    viewer.add_labels(volume.labels, name="labels")
    dock.source.use_layers()
    dock.source.layers.add_button.native.click()
    viewer.layers.remove(image)
    dock.reset_choices()
    assert dock.source.layers.pairs == []
    assert len(dock.source.layers.pair_list.choices) == 0


def test_an_image_without_labels_leads_to_annotate_not_to_sample_data(dock, viewer, qtbot):
    setup = dock.setup
    assert setup.sample_prompt.native.isVisibleTo(dock.native)
    assert not setup.annotate_prompt.native.isVisibleTo(dock.native)
    image = viewer.add_image(np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6), name="bone")
    viewer.add_image(np.zeros((8, 9)), name="a photo")
    assert not setup.sample_prompt.native.isVisibleTo(dock.native)
    assert setup.annotate_prompt.native.isVisibleTo(dock.native)
    assert "'bone' has no labels yet" in setup.annotate_prompt.text.value
    dock.image_layer.value = viewer.layers["a photo"]
    assert not setup.annotate_prompt.native.isVisibleTo(dock.native), "it is no volume"
    dock.image_layer.value = image
    setup.annotate_prompt.open_button.native.click()
    annotate = viewer.window.dock_widgets["Annotate (napari-unet3d)"]
    assert annotate.image_layer.value is image
    assert is_pointed_at(annotate.annotate_button.native)
    dock.train()
    assert "'bone' has no labels" in dock.message.text()
    annotate.annotate()
    assert dock.message.text() == "", "that no longer holds"
    assert dock.labels_layer.value is viewer.layers["bone annotation"]
    assert not setup.annotate_prompt.native.isVisibleTo(dock.native)


def test_layers_are_chosen_when_only_they_are_there(ball, viewer, open_dock):
    volume = ball("one")
    viewer.add_image(volume.image)
    viewer.add_labels(volume.labels)
    dock = open_dock("Train")
    assert dock.source.from_layers
    assert not dock.setup.sample_prompt.native.isVisibleTo(dock.native)


def test_one_volume_too_small_for_validation_trains_and_says_so(ball, dock, viewer, wait_for_end):
    volume = ball("one")
    viewer.add_image(volume.image)
    viewer.add_labels(volume.labels)
    dock.source.use_layers()
    settings(dock)
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert dock.message.kind == "warning"
    assert "too small for a validation block" in dock.message.text()
    assert dock.message.text().count("too small") == 1, "the check and the run say the same"
    assert "Training is finished" in dock.message.text()
    assert not any(layer.name.endswith("split") for layer in viewer.layers)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda dock, tmp_path: None, "choose the folder of a dataset"),
        (lambda dock, tmp_path: dock.source.use_folder(tmp_path), "not a dataset"),
        (lambda dock, tmp_path: dock.source.use_folder(tmp_path / "nowhere"), "does not exist"),
        (lambda dock, tmp_path: dock.source.use_layers(), "labels layer"),
        (lambda dock, tmp_path: dock.viewer.add_image(np.zeros((4, 5, 6)), name="bone"), "'bone' has no labels. paint"),
    ],
    ids=["no folder", "wrong folder", "missing folder", "no layers", "an image alone"],
)
def test_missing_data_is_explained(dock, tmp_path, qtbot, prepare, words):
    tmp_path.joinpath("x").mkdir()
    prepare(dock, tmp_path / "x")
    dock.job_bar.start_button.native.click()
    qtbot.waitUntil(lambda: dock.message.kind == "error" and dock.jobs.running("train") is None, timeout=60_000)
    assert words in dock.message.text().replace("\u200b", "").lower()


def test_cuda_without_a_gpu_is_explained(dock, dataset, wait_for_end):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    dock.source.use_folder(dataset)
    settings(dock, device="cuda", val_fraction=0.34)
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert dock.message.kind == "error"
    assert "The device is cuda" in dock.message.text()
    assert "choose auto or cpu" in dock.message.text()
    assert dock.job_bar.start_button.native.isVisibleTo(dock.native), "the dock can be used again"
    assert not dock.status.native.isVisibleTo(dock.native), "nothing is loading any more"


def test_a_second_run_is_refused_while_one_runs(dock, long_run):
    dock.train()
    assert dock.message.kind == "error"
    assert "still running" in dock.message.text()
    assert not dock.source.native.isEnabled()


def test_a_reopened_dock_shows_the_running_job_and_its_curve(dock, viewer, long_run, qtbot):
    record = dock.run
    again = TrainDock(viewer)
    viewer.window.add_dock_widget(again, name="again")
    assert again.run is record
    assert again.monitor.curves.history is record.history
    assert again.job_bar.stop_button.native.isVisibleTo(again.native)
    with qtbot.waitSignal(long_run.ended, timeout=20_000):
        again.job_bar.stop_button.native.click()
    assert "Stopped after epoch" in again.message.text()
    third = TrainDock(viewer)
    viewer.window.add_dock_widget(third, name="third")
    assert "Stopped after epoch" in third.message.text(), "the end is shown in a dock that is opened after it"
    assert third.run_actions.predict_button.native.isVisibleTo(third.native)


def test_closing_the_viewer_ends_the_training(dock, viewer, long_run, qtbot):
    with qtbot.waitSignal(long_run._worker.finished, timeout=10_000):
        viewer.close()
    assert long_run._thread.has_ended.wait(120)


def test_the_summary_names_parameters_and_memory(dock, dataset, qtbot):
    dock.source.use_folder(dataset)
    dock.pre_run.summary_action.trigger()
    job = dock.jobs.latest("summary")
    if job.is_running:
        with qtbot.waitSignal(job.ended, timeout=60_000):
            pass
    window = dock.native.findChild(SummaryWindow)
    text = window.text.toPlainText()
    window.close()
    assert "16 × 18 × 20" in text
    assert "parameters" in text
    assert "GiB" in text


def test_recent_runs_are_newest_first_and_forget_what_is_gone(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").touch()
        remember_run(tmp_path / name)
    remember_run(tmp_path / "a")
    (tmp_path / "b" / "model.safetensors").unlink()
    assert recent_runs() == [tmp_path / "a", tmp_path / "c"]


def test_run_folders_of_the_same_second_differ(tmp_path):
    first = new_run_folder(tmp_path / "dataset")
    first.mkdir(parents=True)
    assert new_run_folder(tmp_path / "dataset") != first


def test_labels_layers_of_the_viewer_are_offered(dock, viewer):
    layer = viewer.add_labels(np.zeros((4, 5, 6), np.uint8), name="mine")
    assert isinstance(layer, Labels)
    assert dock.labels_layer.value is layer
