from __future__ import annotations

import gc
import threading
import weakref

import pytest
from napari._qt.widgets.qt_progress_bar import QtLabeledProgressBar
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QTimer

from napari_unet3d.errors import UserError
from napari_unet3d.session.progress import Progress
from napari_unet3d.widgets.jobs.jobs import jobs_of


class Window:
    """Stands for a viewer's window where no window is needed: jobs belong to it, whatever it is."""


class Owner:
    def __init__(self) -> None:
        self.window = Window()


@pytest.fixture
def owner(qtbot):
    return Owner()


class Recorder:
    """Notes what a job says, in order, and on which thread."""

    def __init__(self, job) -> None:
        self.events, self.messages, self.order, self.threads = [], [], [], set()
        job.reported.connect(self._event)
        job.failed.connect(self._failed)
        job.ended.connect(lambda: self.order.append("ended"))

    def _event(self, event) -> None:
        self.events.append(event)
        self.order.append("event")
        self.threads.add(threading.current_thread())

    def _failed(self, message) -> None:
        self.messages.append(message)
        self.order.append("failed")


def run(qtbot, owner, events, **options):
    job = jobs_of(owner).start("test", "A test", events, **options)
    recorder = Recorder(job)
    with qtbot.wait_signal(job.ended, timeout=10_000):
        pass
    return job, recorder


def until_stopped(log=None, gate=None):
    """An engine that goes on for ever; it notes its clean-up and the thread of it."""
    try:
        n = 0
        while True:
            n += 1
            yield n
            if gate is not None:
                gate.wait(0.01)
    finally:
        if log is not None:
            log.append(threading.current_thread())


def test_every_event_arrives_in_order_on_the_main_thread(owner, qtbot):
    job, recorder = run(qtbot, owner, lambda: iter(range(5000)))
    assert recorder.events == list(range(5000))
    assert recorder.threads == {threading.main_thread()}
    assert recorder.order[-1] == "ended"
    assert not job.is_running
    assert job.message is None


def test_events_keep_their_order_while_others_are_handled_in_between(owner, qtbot):
    """No slot should handle them, and yet a dialog would."""
    told, gate = [], threading.Event()

    def engine():
        yield 1
        gate.wait(120)
        yield 2
        yield 3

    def show(event):
        if event == 1:
            with qtbot.wait_signal(job._worker.finished, timeout=10_000):
                gate.set()
        told.append(event)

    job = jobs_of(owner).start("test", "A test", engine)
    job.reported.connect(show)
    job.ended.connect(lambda: told.append("ended"))
    with qtbot.wait_signal(job.ended, timeout=10_000):
        pass
    assert told == [1, 2, 3, "ended"]


def test_frequent_events_leave_time_for_the_viewer(owner, qtbot):
    """A few deliveries a second, each of many events."""
    deliveries = []
    job = jobs_of(owner).start("test", "Fast", lambda: iter(range(20_000)))
    job._timer.timeout.connect(lambda: deliveries.append(1))
    recorder = Recorder(job)
    with qtbot.wait_signal(job.ended, timeout=10_000):
        pass
    assert len(recorder.events) == 20_000
    assert len(deliveries) < 200


def test_stop_ends_the_engine_and_runs_its_clean_up_in_the_thread(owner, qtbot):
    log = []
    job = jobs_of(owner).start("test", "Long", lambda: until_stopped(log))
    with qtbot.wait_signal(job.reported, timeout=10_000):
        pass
    with qtbot.wait_signal(job.ended, timeout=10_000):
        job.stop()
    assert len(log) == 1
    assert log[0] is not threading.main_thread()
    assert job.stopped
    assert job.message is None
    assert jobs_of(owner).running("test") is None


def test_an_engine_faster_than_its_dock_does_not_freeze_the_viewer(owner, qtbot):
    shown = []
    job = jobs_of(owner).start("test", "Fast", until_stopped)
    job.reported.connect(lambda event: shown.append([0] * 5000))  # slower than the engine
    clicks = []
    with qtbot.wait_signal(job.ended, timeout=20_000):
        with qtbot.wait_signal(job.reported, timeout=10_000):
            pass
        QTimer.singleShot(300, lambda: (clicks.append(len(shown)), job.stop()))
    assert clicks, "the click was answered while events kept coming"


def test_stop_frees_what_the_engine_held(owner, qtbot):
    class Model:
        pass

    alive = []

    def engine():
        model = Model()
        alive.append(weakref.ref(model))
        yield from until_stopped()

    job = jobs_of(owner).start("test", "Long", engine)
    with qtbot.wait_signal(job.reported, timeout=10_000):
        pass
    with qtbot.wait_signal(job.ended, timeout=10_000):
        job.stop()
    gc.collect()
    assert alive[0]() is None


def _fail(error):
    yield "begun"
    raise error


def test_user_error_arrives_as_its_message(owner, qtbot):
    job, recorder = run(qtbot, owner, lambda: _fail(UserError("The volume is too small. Take a larger one.")))
    assert recorder.messages == ["The volume is too small. Take a larger one."]
    assert recorder.order == ["event", "failed", "ended"]
    assert job.message == recorder.messages[0]


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), KeyError("weights"), StopIteration()])
def test_unexpected_error_is_reported_with_its_traceback(owner, qtbot, caplog, error):
    notification_manager.records.clear()
    _job, recorder = run(qtbot, owner, lambda: _fail(error))
    kind = "RuntimeError" if isinstance(error, StopIteration) else type(error).__name__  # what Python makes of it
    assert len(recorder.messages) == 1
    assert kind in recorder.messages[0]
    assert recorder.order[-2:] == ["failed", "ended"]
    shown = [record for record in notification_manager.records if record.severity.name == "ERROR"]
    assert len(shown) == 1
    assert shown[0].exception.__traceback__ is not None
    assert "_fail" in caplog.text  # the traceback is in the log as well
    notification_manager.records.clear()


def test_error_before_the_first_event_is_reported(owner, qtbot):
    def engine():
        raise UserError("There is no such file.")

    _job, recorder = run(qtbot, owner, engine)
    assert recorder.order == ["failed", "ended"]


def test_progress_shows_in_the_activity_dock_with_time_left(viewer, qtbot):
    gate = threading.Event()

    def engine():
        yield 1
        yield 2
        gate.wait(120)
        yield 4

    def rows():
        """Those in the list of the viewer, and whether its status bar says that something goes on."""
        dialog = viewer.window._qt_window._activity_dialog
        found = [row for row in dialog.findChildren(QtLabeledProgressBar) if not row.isHidden()]
        return found, not dialog._toggleButton._inProgressIndicator.isHidden()

    job = jobs_of(viewer).start("test", "Counting", engine, progress=lambda n: Progress(n, 4))
    other = jobs_of(viewer).start("other", "For ever", until_stopped)
    with qtbot.wait_signal(job.progressed, timeout=10_000):
        pass
    qtbot.wait_until(lambda: job.progress.done == 2)
    assert job.progress.fraction == 0.5
    assert job.progress.seconds_left is None, "two marks tell no speed"
    qtbot.wait_until(lambda: len(rows()[0]) == 2)
    row = next(row for row in rows()[0] if row.description_label.text() == "Counting: ")
    qtbot.wait_until(lambda: row.qt_progress_bar.value() == row.qt_progress_bar.maximum() // 2)
    assert row.eta_label.text() == ""
    with qtbot.wait_signal(job.ended, timeout=10_000):
        gate.set()
    assert job.progress.fraction == 1
    found, is_shown = rows()
    assert [row.description_label.text() for row in found] == ["For ever: "]
    assert is_shown, "the other one goes on"
    with qtbot.wait_signal(other.ended, timeout=10_000):
        other.stop()
    assert rows() == ([], False)


def test_estimate_of_the_engine_is_kept(owner, qtbot):
    job, _ = run(qtbot, owner, lambda: iter([1]), progress=lambda n: Progress(n, 4, seconds_left=99.0))
    assert job.progress.seconds_left == 99


def test_an_observer_gets_each_event_before_progress_is_asked_and_the_event_is_reported(owner, qtbot):
    calls = []

    def progress(event):
        calls.append(("progress", event))

    job = jobs_of(owner).start(
        "test",
        "A test",
        lambda: iter("ab"),
        observer=lambda event: calls.append(("observer", event)),
        progress=progress,
    )
    job.reported.connect(lambda event: calls.append(("reported", event)))
    with qtbot.wait_signal(job.ended, timeout=10_000):
        pass
    assert calls == [(name, event) for event in "ab" for name in ("observer", "progress", "reported")]


def test_second_job_of_a_kind_is_refused_and_other_kinds_run(owner, qtbot):
    jobs = jobs_of(owner)
    first = jobs.start("train", "Train", until_stopped)
    with pytest.raises(UserError, match="'Train' is still running"):
        jobs.start("train", "Again", until_stopped)
    other = jobs.start("predict", "Predict", until_stopped)
    assert jobs.running("train") is first
    with qtbot.wait_signals([first.ended, other.ended], timeout=10_000):
        first.stop()
        other.stop()


def test_job_belongs_to_the_viewer_also_through_a_proxy(viewer, qtbot):
    from napari.utils._proxies import PublicOnlyProxy

    assert jobs_of(PublicOnlyProxy(viewer)) is jobs_of(viewer)


def test_kept_events_can_be_seen_again(owner, qtbot):
    job, _ = run(qtbot, owner, lambda: iter(["a", 1, "b", 2]), replay=(int,))
    assert job.replayed == [1, 2]


def test_closing_the_window_ends_a_running_job(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    log = []
    job = jobs_of(viewer).start("test", "Long", lambda: until_stopped(log))
    with qtbot.wait_signal(job.reported, timeout=10_000):
        pass
    with qtbot.wait_signal(job.ended, timeout=10_000):
        viewer.close()
    qtbot.wait_until(lambda: len(log) == 1)


def test_closing_the_window_does_not_wait_for_a_long_step(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    step, cleaned = threading.Event(), threading.Event()

    def slow():
        try:
            yield "begun"
            step.wait(120)
            yield "stepped"
        finally:
            cleaned.set()

    job = jobs_of(viewer).start("test", "Slow", slow)
    with qtbot.wait_signal(job.reported, timeout=10_000):
        pass
    with qtbot.wait_signal(job.ended, timeout=10_000):
        viewer.close()
    assert not cleaned.is_set()
    step.set()
    assert cleaned.wait(120), "the step ends in order where the process goes on"


class Elsewhere:
    """An engine that is asked to end, and has something to say before it does."""

    can_pause, outlives_viewer = True, False

    def __init__(self) -> None:
        self.orders, self.is_stopped = [], threading.Event()

    def events(self):
        yield "begun"
        while not self.is_stopped.wait(0.01):
            yield None
        yield "the last words"

    def stop(self):
        self.orders.append("stop")
        self.is_stopped.set()

    def pause(self):
        self.orders.append("pause")

    def resume(self):
        self.orders.append("resume")


@pytest.mark.parametrize("paused", [False, True])
def test_an_engine_that_works_elsewhere_is_given_the_orders_and_ends_by_itself(owner, qtbot, paused):
    engine = Elsewhere()
    job = jobs_of(owner).start("test", "Elsewhere", engine.events, control=engine)
    recorder = Recorder(job)
    with qtbot.wait_signal(job.reported, timeout=10_000):
        pass
    if paused:
        with qtbot.wait_signal(job.paused, timeout=10_000):
            job.pause()
        with qtbot.wait_signal(job.resumed, timeout=10_000):
            job.resume()
        with qtbot.wait_signal(job.paused, timeout=10_000):
            job.pause()
    with qtbot.wait_signal(job.ended, timeout=10_000):
        job.stop()
    assert engine.orders == [*(["pause", "resume", "pause"] if paused else []), "stop"]
    assert recorder.events == ["begun", "the last words"], "no event is None"


def test_task_is_named_in_the_question_before_closing(viewer, qtbot):
    job = jobs_of(viewer).start("test", "Train 3D U-Net", until_stopped)
    with qtbot.wait_signal(job.reported, timeout=10_000):
        pass
    status = viewer.window._task_status_manager.get_status()
    assert any("Executing Train 3D U-Net" in line for line in status)
    with qtbot.wait_signal(job.ended, timeout=10_000):
        job.stop()
