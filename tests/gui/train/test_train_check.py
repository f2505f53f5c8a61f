from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QLabel

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.checks import Issue, Severity
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.training.events import Preflight
from napari_unet3d.widgets.train.pre_run_actions import IssuesWindow, SummaryWindow


@pytest.fixture
def dock(open_dock, dataset):
    dock = open_dock("Train")
    dock.source.use_folder(dataset)
    dock.settings.value = TrainingConfig(epochs=2, val_fraction=0.34)
    return dock


@pytest.fixture
def empty_volume(ball, dataset):
    """A volume without any label, which trains with the others."""
    volume = ball("4")
    volume.labels[:] = 0
    add_sample(dataset, volume, Subset.TRAIN)


@pytest.fixture
def check(dock, qtbot):
    def _check():
        dock.pre_run.check_action.trigger()
        job = dock.jobs.latest("check")
        assert not dock.pre_run.check_action.isEnabled()
        if job.is_running:
            with qtbot.waitSignal(job.ended, timeout=60_000):
                pass
        qtbot.waitUntil(dock.pre_run.check_action.isEnabled)
        return dock.native.findChild(IssuesWindow)

    return _check


def texts(window):
    return [label.text() for label in window.findChildren(QLabel)]


def test_check_tells_what_a_step_sees_and_how_long_it_takes(check):
    window = check()
    told = "\n".join(texts(window))
    window.close()
    assert "Training can start" in window.verdict.text()
    assert "Each step sees" in told
    assert "One step takes" in told
    assert "GB of memory" in told
    assert "2 epochs" in told


def test_check_shows_a_warning_with_its_severity(check, empty_volume):
    window = check()
    assert "Training can start, with " in window.verdict.text()
    told = texts(window)
    window.close()
    assert "Warning" in told
    assert "The labels of '4' have no foreground; check that this is intended." in told


def test_the_summary_is_of_the_network_of_the_model_to_start_from(dock, wait_for_end, qtbot):
    dock.settings.value = TrainingConfig(epochs=1, val_fraction=0.34, preset="xsmall")
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    dock.settings.value = TrainingConfig(epochs=1, val_fraction=0.34, preset="xxsmall")
    dock.start_from.value = dock.run.run_folder
    dock.pre_run.summary_action.trigger()
    with qtbot.waitSignal(dock.jobs.latest("summary").reported, timeout=60_000) as told:
        pass
    dock.native.findChild(SummaryWindow).close()
    assert told.args[0].n_parameters == dock.run.started.n_parameters


def test_check_says_what_is_missing(open_dock):
    dock = open_dock("Train")
    dock.pre_run.check_action.trigger()
    assert dock.message.kind == "error"
    assert "choose the folder of a dataset" in dock.message.text().lower()
    assert dock.jobs.latest("check") is None


def test_errors_come_first_and_every_line_says_how_serious_it_is(qtbot):
    parent = QLabel()
    qtbot.add_widget(parent)
    findings = Issue.info("All <b>volumes</b> are read."), Issue.warning("Mind this."), Issue.error("Not so.")
    window = IssuesWindow(parent, Preflight(findings))
    assert window.verdict.text() == "Training cannot start: 1 error, 1 warning."
    assert [issue.severity for issue in window.issues] == [Severity.ERROR, Severity.WARNING, Severity.INFO]
    words = texts(window)
    assert words[1:] == ["Error", "Not so.", "Warning", "Mind this.", "Info", "All <b>volumes</b> are read."]
    window.close()


def test_training_shows_warnings_of_the_check_and_goes_on(dock, empty_volume, wait_for_end):
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert dock.message.kind == "warning"
    assert dock.message.text().count("'4' have no foreground") == 1
    assert "Training is finished." in dock.message.text()


def test_errors_of_the_check_stop_the_training_before_anything_is_written(dock, dataset, wait_for_end):
    for number in (1, 3):
        (dataset / f"train/labels/{number}.tif").unlink()
        np.save(dataset / f"train/labels/{number}.npy", np.zeros((16, 18, 21), np.uint8))
    folder = dock.run_folder.value
    wait_for_end(dock, dock.job_bar.start_button.native.click, 60_000)
    assert dock.message.kind == "error"
    assert dock.message.text().count("(16, 18, 21)") == 2, "all of them, not the first one only"
    assert not folder.exists()
    assert dock.job_bar.start_button.native.isVisibleTo(dock.native)
