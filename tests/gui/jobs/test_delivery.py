"""The delivery of events never handles other events of Qt: else layers go while a slot is showing them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QTimer

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample
from napari_unet3d.training.events import EpochFinished
from napari_unet3d.widgets.jobs.jobs import jobs_of

PROGRAM = Path(__file__).with_name("cleared_viewer.py")


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


class Deliveries:
    """Posts an event of Qt whenever a job reports, and looks after the delivery whether it was handled meanwhile.

    Attributes
    ----------
    kinds : set of str
        The kinds of jobs that delivered events.
    handled : list of str
        The kinds of the jobs whose delivery handled other events of Qt.
    """

    def __init__(self, jobs) -> None:
        self.handled, self.kinds = [], set()
        jobs.started.connect(self._follow)

    def _follow(self, job) -> None:
        posted, handled = [], []

        def post(*_):
            posted.append(True)
            QTimer.singleShot(0, lambda: handled.extend(posted))

        def look(*_):
            if posted and not job._is_busy:  # not in the middle of a delivery, which is what must not be
                self.kinds.add(job.kind)
                self.handled += [job.kind] if handled else []
                posted.clear()
                handled.clear()

        job.reported.connect(post)
        job.progressed.connect(post)
        job._timer.timeout.connect(look)  # after the delivery, which the job has connected before
        job.ended.connect(look)


def test_a_slot_that_handles_events_is_noticed(viewer, qtbot):
    """So that the tests below can fail."""
    jobs = jobs_of(viewer)
    deliveries = Deliveries(jobs)
    job = jobs.start("test", "A test", lambda: iter([1, 2, 3]))
    job.reported.connect(lambda _: qtbot.wait(10))
    with qtbot.waitSignal(job.ended, timeout=10_000):
        pass
    qtbot.waitUntil(lambda: bool(deliveries.kinds))
    assert set(deliveries.handled) == {"test"}


def test_a_training_that_is_watched_and_inspected_handles_nothing_else(ball, dataset, viewer, open_dock, qtbot):
    add_sample(dataset, ball("unseen"), Subset.TEST)
    deliveries = Deliveries(jobs_of(viewer))
    for name in ("Predict", "Inspect"):
        open_dock(name)
    dock = open_dock("Train")
    dock.source.use_folder(dataset)
    dock.settings.value = TrainingConfig(epochs=4, steps_per_epoch=5, val_fraction=0.34)
    dock.job_bar.start_button.native.click()
    with qtbot.waitSignal(dock.jobs.running("train").ended, timeout=60_000):
        pass
    dock.run_actions.inspect_button.native.click()
    inspect = viewer.window.dock_widgets["Inspect (napari-unet3d)"]
    qtbot.waitUntil(
        lambda: inspect.session.comparison is not None and not inspect.jobs.running("inspect"), timeout=60_000
    )
    assert {"train", "watch", "inspect"} <= deliveries.kinds
    assert deliveries.handled == []


def test_layers_removed_by_a_slot_of_qt_are_removed_between_deliveries(long_run, viewer, qtbot):
    """What the user does waits for the end of a delivery, also while a layer of an epoch is being made."""
    inside, removed_inside, removed = [], [], []

    def post(_):
        if not inside:
            inside.append(True)
            QTimer.singleShot(0, remove)

    def remove():
        removed_inside.extend(inside)
        removed.extend(viewer.layers)
        viewer.layers.clear()

    viewer.add_image(np.zeros((4, 4, 4), np.uint8))
    long_run.reported.connect(post)
    long_run._timer.timeout.connect(inside.clear)
    for _ in range(2):
        with qtbot.waitSignal(
            long_run.reported, timeout=60_000, check_params_cb=lambda e: isinstance(e, EpochFinished)
        ):
            pass
    assert removed
    assert removed_inside == []
    assert long_run.message is None


def test_a_viewer_whose_layers_go_all_the_time_trains_to_the_end(dataset, tmp_path):
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(dataset), str(tmp_path / "run")], capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1:] == ["done"], done.stderr[-3000:]
