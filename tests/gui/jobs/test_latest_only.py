from __future__ import annotations

import threading

import pytest

from napari_unet3d.errors import UserError
from napari_unet3d.widgets.jobs.jobs import jobs_of
from napari_unet3d.widgets.jobs.latest_only import LatestOnly


@pytest.fixture
def work(viewer):
    work = LatestOnly(viewer.window._qt_window, jobs_of(viewer), "labels")
    yield work
    work.setParent(None)


class Gate:
    """An engine that waits in its thread until the test lets it go on, and says what it was asked for."""

    def __init__(self):
        self.open = threading.Event()
        self.began: list[int] = []

    def run(self, number):
        self.began.append(number)
        self.open.wait(120)
        yield number


def test_of_many_requests_the_first_and_the_newest_are_run_one_after_the_other(work, viewer, qtbot):
    gate, taken = Gate(), []
    with qtbot.wait_signal(work.settled):
        for number in range(10):
            work.request("Busy", lambda number=number: gate.run(number), taken.append)
            assert work.is_busy
        gate.open.set()
    assert taken == gate.began == [0, 9]
    assert not work.is_busy


def test_what_was_cancelled_is_not_taken_and_the_next_request_is(work, qtbot):
    gate, taken = Gate(), []
    work.request("Busy", lambda: gate.run(1), taken.append)
    work.request("Busy", lambda: gate.run(2), taken.append)
    work.cancel()
    assert not work.is_busy
    with qtbot.wait_signal(work.settled):
        work.request("Busy", lambda: gate.run(3), taken.append)
        gate.open.set()
    assert taken == [3]


def test_a_job_of_another_dock_is_waited_for(work, viewer, qtbot):
    gate, taken = Gate(), []
    jobs_of(viewer).start("labels", "Another dock's", lambda: gate.run(1))
    with qtbot.wait_signal(work.settled):
        work.request("Busy", lambda: gate.run(2), taken.append)
        gate.open.set()
    assert taken == [2]


def test_a_failure_is_told_and_the_next_request_runs(work, qtbot):
    def fail():
        raise UserError("The disk is full; make room.")
        yield

    with qtbot.wait_signals([work.failed, work.settled]) as told:
        work.request("Busy", fail, lambda _: None)
    assert told.all_signals_and_args[0].args == ("The disk is full; make room.",)
    taken = []
    with qtbot.wait_signal(work.settled):
        work.request("Busy", lambda: iter([4]), taken.append)
    assert taken == [4]
