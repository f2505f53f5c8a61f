from __future__ import annotations

import pytest

from napari_unet3d.training.events import StepFinished
from napari_unet3d.widgets.train.dock import TrainDock


@pytest.fixture
def dock(long_run, viewer):
    return viewer.window.dock_widgets["Train (napari-unet3d)"]


@pytest.fixture
def paused(long_run, dock, qtbot):
    with qtbot.waitSignal(long_run.paused, timeout=20_000):
        dock.job_bar.pause_button.native.click()
        assert not dock.job_bar.pause_button.enabled, "until it is paused"
    return long_run


def test_a_paused_run_stands_still_and_goes_on(paused, dock, qtbot):
    bar = dock.job_bar
    assert (bar.pause_button.text, bar.pause_button.native.isEnabled()) == ("Continue", True)
    assert bar.progress.native.format().endswith("paused")
    with qtbot.assertNotEmitted(paused.reported, wait=400):
        pass
    with qtbot.waitSignal(paused.reported, timeout=20_000, check_params_cb=lambda e: isinstance(e, StepFinished)):
        bar.pause_button.native.click()
    assert bar.pause_button.text == "Pause"
    assert not paused.is_paused
    assert "paused" not in bar.progress.native.format()


def test_a_paused_run_can_be_stopped_and_keeps_its_model(paused, dock, qtbot):
    with qtbot.waitSignal(paused.ended, timeout=20_000):
        dock.job_bar.stop_button.native.click()
    assert "Stopped after epoch" in dock.message.text()
    assert (dock.run.run_folder / "model.safetensors").is_file()
    assert not dock.job_bar.pause_button.native.isVisibleTo(dock.native)


def test_a_reopened_dock_shows_that_the_run_is_paused_and_goes_on(paused, viewer, qtbot):
    again = TrainDock(viewer)
    viewer.window.add_dock_widget(again, name="again")
    assert again.job_bar.pause_button.text == "Continue"
    assert again.job_bar.progress.native.format().endswith("paused")
    with qtbot.waitSignal(paused.resumed, timeout=20_000):
        again.job_bar.pause_button.native.click()


def test_closing_the_viewer_ends_a_paused_training(paused, viewer, qtbot):
    with qtbot.waitSignal(paused._worker.finished, timeout=10_000):
        viewer.close()
    assert paused._thread.has_ended.wait(120)
