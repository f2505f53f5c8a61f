from __future__ import annotations

import json
import shutil

import numpy as np
import psutil
import pytest

from napari_unet3d.configs import NETWORK_SETTINGS, TrainingConfig
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.session.recent_runs import RunProgress, run_progress, track_last_run, unfinished_run
from napari_unet3d.training.loop import train
from napari_unet3d.widgets.train.dock import TrainDock

SETTINGS = TrainingConfig(epochs=4, val_fraction=0.34, num_workers=0)


@pytest.fixture
def left_run(tmp_path, dataset):
    """A run of four epochs that was stopped after two."""
    folder = tmp_path / "runs" / "left"
    leave(train(dataset, folder, SETTINGS), dataset)
    return folder


def leave(events, dataset, n_epochs=2):
    events = track_last_run(events, dataset)
    for event in events:
        if getattr(event, "val_dice", None) is not None:
            n_epochs -= 1
        if n_epochs == 0:
            break
    events.close()


def test_how_far_a_run_has_come_is_told_without_torch(left_run):
    assert run_progress(left_run) == RunProgress(2, 4)
    (left_run / "resume.safetensors").write_bytes(b"damaged")
    assert run_progress(left_run) is None
    assert run_progress(left_run.parent / "none") is None


def test_a_left_run_is_offered_and_goes_on_to_its_end(left_run, dataset, open_dock, wait_for_end):
    dock = open_dock("Train")
    assert dock.setup.resume_prompt.native.isVisibleTo(dock.native)
    assert not dock.setup.sample_prompt.native.isVisibleTo(dock.native), "one offer at a time"
    assert "2 of 4 epochs are done in 'left'" in dock.setup.resume_prompt.text.value
    assert "'my dataset'" in dock.setup.resume_prompt.text.value
    dock.settings.value = TrainingConfig(epochs=9, preset="small")  # those of the run count, not these
    job = wait_for_end(dock, dock.setup.resume_prompt.continue_button.native.click, 60_000)
    assert job.message is None
    assert dock.run.run_folder == left_run
    assert dock.source.folder == dataset
    assert "Training is finished." in dock.message.text()
    epochs, _ = dock.monitor.curves.history.val.xy
    assert epochs.tolist() == [1, 2, 3, 4], "the curve begins where the run began"
    assert not dock.setup.resume_prompt.native.isVisibleTo(dock.native)
    assert unfinished_run() is None

    straight = left_run.parent / "straight"
    list(train(dataset, straight, SETTINGS))
    ended, never_left = (load_checkpoint(run / "last.safetensors").weights for run in (left_run, straight))
    assert all(np.array_equal(ended[name], never_left[name]) for name in never_left)


def test_a_run_that_is_stopped_is_offered_in_the_same_dock(long_run, viewer, qtbot):
    dock = viewer.window.dock_widgets["Train (napari-unet3d)"]
    assert not dock.setup.resume_prompt.native.isVisibleTo(dock.native)
    assert unfinished_run() is None, "it is going on"
    with qtbot.waitSignal(long_run.ended, timeout=20_000):
        dock.job_bar.stop_button.native.click()
    assert dock.setup.resume_prompt.native.isVisibleTo(dock.native)
    n_done = dock.setup.resume_prompt.run.progress.n_done
    assert n_done == dock.run.n_epochs_done
    dock.setup.resume_prompt.continue_button.native.click()
    again = dock.jobs.running("train")
    viewer.add_labels(np.zeros((4, 5, 6), np.uint8))
    assert not dock.setup.resume_prompt.native.isVisibleTo(dock.native), "it goes on"
    qtbot.waitUntil(lambda: dock.run.started is not None, timeout=60_000)
    assert dock.run.n_epochs_done >= n_done
    assert len(dock.run.started.history) == n_done
    with qtbot.waitSignal(again.ended, timeout=20_000):
        again.stop()
    assert "Stopped after epoch" in dock.message.text()


def test_a_killed_run_is_offered_and_one_of_a_living_process_is_not(left_run, open_dock):
    note = load_preference("last-training")
    save_preference("last-training", note | {"process": [1, 0.0]})  # another process has this number by now
    assert unfinished_run().folder == left_run
    me = psutil.Process()
    save_preference("last-training", note | {"process": [me.pid, me.create_time()]})
    assert unfinished_run() is None
    dock = open_dock("Train")
    assert not dock.setup.resume_prompt.native.isVisibleTo(dock.native)


def test_not_now_is_asked_again_in_the_next_session(left_run, viewer, open_dock):
    dock = open_dock("Train")
    dock.setup.resume_prompt.later_button.native.click()
    assert not dock.setup.resume_prompt.native.isVisibleTo(dock.native)
    again = TrainDock(viewer)
    viewer.window.add_dock_widget(again, name="again")
    assert again.setup.resume_prompt.native.isVisibleTo(again.native)


@pytest.mark.parametrize(
    "damage", ["no model", "no state", "no folder", "finished", "out of time", "older memory", "no json"]
)
def test_what_cannot_go_on_is_not_offered(left_run, dataset, memory_folder, damage):
    match damage:
        case "no model":
            (left_run / "model.safetensors").unlink()
        case "no state":
            (left_run / "resume.safetensors").unlink()
        case "no folder":
            shutil.rmtree(left_run)
        case "finished":
            list(track_last_run(train(dataset, left_run, resume=True), dataset))
        case "out of time":
            list(track_last_run(train(dataset, left_run, TrainingConfig(max_minutes=1e-4), resume=True), dataset))
            assert run_progress(left_run) == RunProgress(2, 4)
        case "older memory":
            (memory_folder / "last-training.json").write_text(json.dumps([1, 2]))
        case "no json":
            (memory_folder / "last-training.json").write_text("{")
    assert unfinished_run() is None


def test_a_run_on_other_layers_is_refused_with_the_reason(ball, tmp_path, viewer, open_dock, wait_for_end):
    volumes = [ball("one"), ball("second")]
    leave(train(volumes, tmp_path / "run", SETTINGS), None)
    viewer.add_image(volumes[0].image, name="other")
    viewer.add_labels(volumes[0].labels)
    dock = open_dock("Train")
    assert "layers" in dock.setup.resume_prompt.text.value
    wait_for_end(dock, dock.setup.resume_prompt.continue_button.native.click, 60_000)
    assert dock.message.kind == "error"
    assert "was trained on 'one' (16, 18, 20), 'second'" in dock.message.text()
    assert dock.setup.resume_prompt.native.isVisibleTo(dock.native), "it can be tried again with the right ones"


def test_training_starts_from_a_model_and_takes_its_network(left_run, dataset, open_dock, wait_for_end):
    dock = open_dock("Train")
    dock.source.use_folder(dataset)
    dock.settings.value = TrainingConfig(
        epochs=1, preset="small", learning_rate=1e-8, val_fraction=0.34, lr_schedule="constant"
    )
    dock.start_from.value = left_run
    fixed = (*NETWORK_SETTINGS, "normalisation", "percentiles")
    assert not any(dock.settings.editors[name].native.isEnabled() for name in fixed)
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert "Training is finished." in dock.message.text()
    before, after = load_checkpoint(left_run), load_checkpoint(dock.run.run_folder)
    assert after.config.preset is before.config.preset
    assert all(np.allclose(after.weights[name], before.weights[name], atol=1e-4) for name in before.weights)
    dock.start_from.line.setText("")
    assert dock.settings.editors["preset"].native.isEnabled()


def test_a_model_that_is_none_is_explained(dataset, open_dock, wait_for_end, tmp_path):
    dock = open_dock("Train")
    dock.source.use_folder(dataset)
    dock.start_from.value = tmp_path / "nothing.safetensors"
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert dock.message.kind == "error"
    assert "nothing.safetensors" in dock.message.text()
