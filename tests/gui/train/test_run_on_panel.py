"""A training that goes on when the viewer is closed, in the dock: started, found again, and stopped."""

from __future__ import annotations

import shlex

import pytest
from qtpy.QtGui import QGuiApplication

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.configs.preferences import RunOn
from napari_unet3d.runs.status import RunPhase, read_status
from napari_unet3d.runs.stop_request import request_stop
from napari_unet3d.session.recent_runs import detached_runs, forget_detached
from napari_unet3d.training.events import EpochFinished
from napari_unet3d.widgets.jobs.jobs import jobs_of

LONG = TrainingConfig(epochs=100_000, val_fraction=0.34, steps_per_epoch=2, device="cpu")


@pytest.fixture(autouse=True)
def _stop_what_runs():
    yield
    for folder in detached_runs():
        request_stop(folder)
        forget_detached(folder)


def test_a_training_in_the_background_is_found_again_and_stopped(open_dock, dataset, viewer, make_napari_viewer, qtbot):
    dock = open_dock("Train")
    dock.source.use_folder(dataset)
    dock.settings.value = LONG
    dock.run_on.value = RunOn.BACKGROUND
    assert "goes on when napari is closed" in dock.setup.run_on_panel.note.value
    dock.job_bar.start_button.native.click()
    job, run = dock.jobs.running("train"), dock.run.run_folder
    with qtbot.waitSignal(job.reported, timeout=120_000, check_params_cb=lambda e: isinstance(e, EpochFinished)):
        pass
    assert not dock.job_bar.pause_button.native.isVisibleTo(dock.native)
    jobs_of(viewer).stop_all()  # as closing the window does
    qtbot.waitUntil(lambda: not job.is_running, timeout=60_000)
    assert read_status(run).phase is RunPhase.RUNNING

    other = make_napari_viewer()
    _, again = other.window.add_plugin_dock_widget("napari-unet3d", "Train")
    found = again.jobs.running("train")
    assert again.run.run_folder == run
    qtbot.waitUntil(lambda: len(again.run.history.records) > 1, timeout=60_000)
    qtbot.waitUntil(lambda: len(again.monitor.epoch_slider.epochs) > 0, timeout=60_000)
    with qtbot.waitSignal(found.ended, timeout=120_000):
        again.job_bar.stop_button.native.click()
    assert found.message is None
    assert again.message.text().startswith("Stopped after epoch")
    assert read_status(run).phase is RunPhase.STOPPED
    assert again.setup.resume_prompt.native.isVisibleTo(again.native)


def test_the_script_for_slurm_is_copied_with_what_is_set(open_dock, dataset):
    dock = open_dock("Train")
    dock.source.use_folder(dataset)
    dock.run_on.value = RunOn.SLURM
    place = dock.setup.run_on_panel
    assert place.slurm.native.isVisibleTo(dock.native)
    assert not place.prefix.native.isVisibleTo(dock.native)
    place.slurm.hours.value = 2
    place.slurm.sbatch_options.value = "--partition=gpu"
    dock.settings.epochs.value = 7
    dock.pre_run.copy_menu.slurm_action.trigger()
    script = QGuiApplication.clipboard().text()
    assert script.startswith("#!/bin/bash\n#SBATCH --job-name=")
    assert "#SBATCH --time=02:00:00\n#SBATCH --partition=gpu\n" in script
    assert f"train {shlex.quote(str(dataset))} --run" in script
    assert "--epochs 7" in script
    place.slurm.sbatch_options.value = "-p gpu"
    dock.pre_run.copy_menu.slurm_action.trigger()
    assert "sbatch options is none" in dock.message.text()
