"""A training in a separate process looks, in the dock, as one in the viewer."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.configs.preferences import RunOn
from napari_unet3d.data.dataset import read_samples, write_lossless
from napari_unet3d.data.sample import Sample
from napari_unet3d.display import is_software_renderer
from napari_unet3d.errors import UserError
from napari_unet3d.model.checkpoint import load_checkpoint
from napari_unet3d.session.subprocess_training import SubprocessTraining, explain_exit, find_python
from napari_unet3d.session.training_job import TrainingRequest
from napari_unet3d.training.events import EpochFinished, StepFinished
from napari_unet3d.training.run_lock import locked
from napari_unet3d.widgets.train.run_on_panel import RunOnPanel, renderer

SETTINGS = {"epochs": 3, "val_fraction": 0.34, "dropout": 0.2, "device": "cpu"}
LONG = {**SETTINGS, "epochs": 100_000}


@pytest.fixture
def dock(open_dock):
    return open_dock("Train")


@pytest.fixture
def in_a_child(dock, dataset):
    """Set the dock to train on a dataset in a separate process."""
    dock.source.use_folder(dataset)
    dock.settings.value = TrainingConfig(**LONG)
    dock.run_on.value = RunOn.PROCESS
    return dock


def child_of(job):
    return psutil.Process(job._thread._control.process.pid)


@pytest.fixture
def long_child(in_a_child, qtbot):
    """A training in a separate process that is going on, with an epoch behind it."""
    in_a_child.job_bar.start_button.native.click()
    job = in_a_child.jobs.running("train")
    with qtbot.waitSignal(job.reported, timeout=90_000, check_params_cb=lambda e: isinstance(e, EpochFinished)):
        pass
    child = child_of(job)
    yield job
    if child.is_running():
        child.kill()


def curves(dock):
    history = dock.run.history
    return [np.stack(series.xy) for series in (history.steps, history.train, history.val)]


def test_curves_and_model_are_those_of_the_same_run_in_the_viewer(dock, dataset, wait_for_end):
    dock.source.use_folder(dataset)
    seen, weights, words = [], [], []
    for own in (False, True):
        dock.run_on.value = RunOn.PROCESS if own else RunOn.VIEWER
        dock.settings.value = TrainingConfig(**SETTINGS)
        job = wait_for_end(dock, dock.job_bar.start_button.native.click, 90_000)
        assert job.message is None
        assert "Training is finished." in dock.message.text()
        seen.append(curves(dock))
        weights.append(load_checkpoint(dock.run.run_folder).weights)
        words.append(dock.hardware.value)
    assert all(np.array_equal(*series) for series in zip(*seen, strict=True))
    assert len(seen[0][1][0]) == 3
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert words[0] == words[1]


def test_layers_are_written_exactly_and_trained_on(ball, dock, viewer, wait_for_end):
    for name in ("one", "two"):
        volume = ball(name)
        viewer.add_image(volume.image, name=name, scale=(0.3, 1 / 7, 0.1), units=("um",) * 3)
        viewer.add_labels(volume.labels, name=f"{name} labels", scale=(0.3, 1 / 7, 0.1), units=("um",) * 3)
    dock.source.use_layers()
    for name in ("one", "two"):
        dock.image_layer.value = viewer.layers[name]
        dock.labels_layer.value = viewer.layers[f"{name} labels"]
        dock.source.layers.add_button.native.click()
    dock.settings.value = TrainingConfig(**SETTINGS | {"epochs": 2})
    dock.run_on.value = RunOn.PROCESS
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 90_000)
    assert job.message is None, job.message
    run = dock.run.run_folder
    written = read_samples(run / "data")
    assert [sample.name for sample in written] == ["one", "two"]
    assert {sample.voxel_size_um for sample in written} == {(0.3, 1 / 7, 0.1)}
    assert np.array_equal(written[0].image, ball("one").image)
    assert {*dock.run.started.train_names, *dock.run.started.val_names} == {"one", "two"}


def test_a_paused_and_stopped_run_keeps_its_model_and_goes_on(long_child, in_a_child, qtbot, wait_for_end):
    dock = in_a_child
    with qtbot.waitSignal(long_child.paused, timeout=20_000):
        dock.job_bar.pause_button.native.click()
    assert dock.job_bar.pause_button.text == "Continue"
    model = dock.run.run_folder / "last.safetensors"
    qtbot.wait(300)  # the step that was on its way
    before = model.read_bytes()
    with qtbot.assertNotEmitted(long_child.reported, wait=500):
        pass
    assert model.read_bytes() == before, "the process pauses, too"
    with qtbot.waitSignal(long_child.reported, timeout=20_000, check_params_cb=lambda e: isinstance(e, StepFinished)):
        dock.job_bar.pause_button.native.click()
    with qtbot.waitSignal(long_child.paused, timeout=20_000):
        dock.job_bar.pause_button.native.click()
    child = child_of(long_child)
    with qtbot.waitSignal(long_child.ended, timeout=20_000):
        dock.job_bar.stop_button.native.click()
    assert not child.is_running()
    assert "Stopped after epoch" in dock.message.text()
    n_done = load_checkpoint(model).epoch
    assert dock.run.n_epochs_done == n_done, "what it told last has arrived"
    assert dock.setup.resume_prompt.native.isVisibleTo(dock.native)
    dock.run_on.value = RunOn.VIEWER
    dock.setup.resume_prompt.continue_button.native.click()
    again = dock.jobs.running("train")
    qtbot.waitUntil(lambda: dock.run.started is not None, timeout=60_000)
    assert len(dock.run.started.history) == n_done
    with qtbot.waitSignal(again.ended, timeout=20_000):
        again.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_process_is_said_in_one_sentence_and_what_to_do(long_child, in_a_child, qtbot):
    with qtbot.waitSignal(long_child.ended, timeout=20_000):
        os.kill(child_of(long_child).pid, signal.SIGKILL)
    told = long_child.message
    assert told.startswith("The training process was killed, as the system does when memory runs out.")
    assert "can be resumed after its last complete epoch" in told
    assert in_a_child.message.kind == "error"
    assert in_a_child.setup.resume_prompt.native.isVisibleTo(in_a_child.native)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP")
def test_a_process_that_does_not_answer_is_ended_all_the_same(long_child, in_a_child, qtbot):
    child = child_of(long_child)
    child.suspend()
    with qtbot.waitSignal(long_child.ended, timeout=20_000):
        in_a_child.job_bar.stop_button.native.click()
    assert not child.is_running()
    assert long_child.message is None
    assert "Stopped after epoch" in in_a_child.message.text()


def test_bad_layers_are_explained_and_leave_nothing_behind(ball, dock, viewer, wait_for_end):
    volume = ball("one")
    viewer.add_image(volume.image)
    viewer.add_labels(np.zeros_like(volume.labels))
    dock.source.use_layers()
    dock.run_on.value = RunOn.PROCESS
    job = wait_for_end(dock, dock.job_bar.start_button.native.click, 90_000)
    assert dock.message.kind == "error"
    assert "foreground" in job.message
    assert not dock.run.run_folder.exists()


def test_a_folder_of_another_training_is_refused_and_left_as_it_is(ball, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"of the other training")
    with locked(tmp_path):
        before = set(tmp_path.iterdir())
        with pytest.raises(UserError, match=rf"in use by another training \(process {os.getpid()}\)"):
            list(SubprocessTraining(TrainingRequest([ball("one")], tmp_path, TrainingConfig(**SETTINGS))).events())
        assert set(tmp_path.iterdir()) == before, "the layers that were written for it are gone"


def test_closing_the_viewer_ends_the_process(long_child, viewer, qtbot):
    child = child_of(long_child)
    with qtbot.waitSignal(long_child._worker.finished, timeout=10_000):
        viewer.close()
    assert long_child._thread.has_ended.wait(120)
    assert not child.is_running()


def test_the_choice_is_remembered_and_suggested_where_it_helps(qtbot):
    options = [RunOnPanel(), RunOnPanel()]
    for option in options:
        qtbot.add_widget(option.native)
    first = options[0]
    assert first.menu.value is RunOn.VIEWER
    first.suggest_for("Apple M2")
    assert not first.hint.native.isVisibleTo(first.native)
    first.suggest_for("llvmpipe (LLVM 15.0.6, 256 bits)")
    assert first.hint.native.isVisibleTo(first.native)
    first.menu.value = RunOn.PROCESS
    assert not first.hint.native.isVisibleTo(first.native)
    again = RunOnPanel()
    qtbot.add_widget(again.native)
    assert again.menu.value is RunOn.PROCESS


def test_opengl_is_asked_for_its_name_once_the_dock_is_seen(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.random.default_rng(0).random((8, 9, 10)))
    _, dock = viewer.window.add_plugin_dock_widget("napari-unet3d", "Train")
    qtbot.waitUntil(lambda: dock.setup.run_on_panel.hint.value != "", timeout=20_000)
    name = renderer()
    assert name
    assert dock.setup.run_on_panel.hint.native.isVisibleTo(dock.native) is is_software_renderer(name)
    assert viewer.screenshot(flash=False)[..., :3].std() > 1, "the canvas is drawn as before"


def test_a_bundled_napari_is_not_taken_for_python(tmp_path, monkeypatch):
    assert find_python() == sys.executable
    monkeypatch.setattr(sys, "executable", str(tmp_path / "napari"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(UserError, match="There is no Python interpreter"):
        find_python()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    assert Path(find_python()) == tmp_path / "bin" / "python"


def test_the_last_words_of_a_process_are_quoted():
    told = explain_exit(1, "Traceback\n  x\nModuleNotFoundError: No module named 'napari_unet3d'\n\n")
    assert "with exit code 1. Last error message: ModuleNotFoundError: No module named 'napari_unet3d'." in told
    assert "by signal 11. Train in the viewer" in explain_exit(-11, "")


def test_volumes_of_one_file_name_are_all_handed_over(tmp_path):
    image = np.random.default_rng(0).random((4, 5, 6)) > 0.5
    mask = np.ones(image.shape, bool)
    mask[0] = False
    labels = image.astype(np.int64)
    write_lossless(
        tmp_path / "data",
        [Sample("a/b", image, labels, (0.1, 0.2, 1 / 3), mask), Sample("a:b", image.astype(np.float16), labels)],
    )
    first, second = read_samples(tmp_path / "data")
    assert np.array_equal(first.image, image)
    assert (first.voxel_size_um, second.voxel_size_um) == ((0.1, 0.2, 1 / 3), None)
    assert np.array_equal(first.label_mask, mask)
    assert second.image.dtype == np.float16
