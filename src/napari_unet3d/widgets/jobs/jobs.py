"""Long work in a thread of napari: its events arrive on the main thread, Stop closes its generator.

A job belongs to the viewer, not to the dock that started it: a dock that is closed and opened again finds it
with `jobs_of(viewer).running(kind)` and shows it again.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

from napari.qt.threading import create_worker
from napari.utils.notifications import Notification, notification_manager
from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet3d.errors import UserError
from napari_unet3d.session.generator_thread import Failed, GeneratorThread, JobControl, PauseChanged
from napari_unet3d.session.progress import Progress, TimeEstimate, progress_of
from napari_unet3d.widgets.jobs.activity import ActivityRow, ClosingWorker, TitledCall, run_to_end

_DELIVERIES_PER_SECOND = 10  # more would delay the viewer, see `Job`
_DELIVERY_SECONDS = 0.03


class Job(QObject):
    """One running piece of work. All signals come on the main thread, in the order of the events.

    The thread puts events into a queue that is emptied ten times a second and at the end: however fast events
    come, the viewer stays responsive, no event is lost and none waits for the next one. Nothing in here handles
    other events of Qt meanwhile, and no slot of the signals may: the user could remove layers that a slot is showing.

    Attributes
    ----------
    reported : Signal(object)
        One event of the generator.
    progressed : Signal(object)
        A `Progress`, with an estimate of the time left when there is one.
    failed : Signal(str)
        The message for the user; at most once.
    paused, resumed : Signal()
        It is paused, after the event that was on its way; it continues.
    ended : Signal()
        Always the last one: after the result, a failure or a stop.
    kind, title : str
        The dock that it belongs to, and its name in the viewer.
    replayed : list
        The events that are shown again by a dock that is opened again; see `Jobs.start`.
    progress : Progress or None
        The latest.
    stopped, is_paused : bool
        Whether the user stopped it, and whether it is paused.
    can_pause, outlives_viewer : bool
        Whether it can be paused, and whether the work goes on elsewhere when the viewer is closed.
    """

    reported = Signal(object)  # a signal called `event` would hide the method of every QObject
    progressed = Signal(object)
    failed = Signal(str)
    paused = Signal()
    resumed = Signal()
    ended = Signal()

    def __init__(
        self,
        title: str,
        kind: str,
        progress: Callable[[Any], Progress | None],
        replay: tuple[type, ...],
        observer: Callable[[Any], None] | None = None,
    ) -> None:
        super().__init__()
        self.title, self.kind = title, kind
        self.replayed: list[Any] = []
        self.progress: Progress | None = None
        self.message: str | None = None
        self.stopped = False
        self.is_running = False
        self.is_paused = False
        self.can_pause, self.outlives_viewer = True, False
        self._is_busy = self._has_finished = False
        self._row: ActivityRow | None = None
        self._seconds_paused, self._paused_since = 0.0, 0.0
        self._time_estimate = TimeEstimate()
        self._progress_of, self._replay, self._observer = progress, replay, observer
        self._queue: deque[Any] = deque()
        self._timer = QTimer(self)
        self._timer.setInterval(1000 // _DELIVERIES_PER_SECOND)
        self._timer.timeout.connect(self._deliver)

    def stop(self) -> None:
        """Ask the work to end at its next event; `ended` follows when it has."""
        self.stopped = True
        self._thread.send("stop")

    def leave(self) -> None:
        """Stop it, or only no longer follow it if the work outlives the viewer."""
        if self.outlives_viewer:
            self._thread.cancel()
        else:
            self.stop()

    def pause(self) -> None:
        """Ask the work to pause at its next event; `paused` follows when it has."""
        self._thread.send("pause")

    def resume(self) -> None:
        """Ask paused work to continue; `resumed` follows."""
        self._thread.send("resume")

    def _prepare(
        self, events: Callable[[], Iterator[Any]], control: JobControl | None, jobs: Jobs, window: ReferenceType[Any]
    ) -> None:
        self._jobs, self._window = jobs, window
        if control is not None:
            self.can_pause, self.outlives_viewer = control.can_pause, control.outlives_viewer
        self._thread = GeneratorThread(events, self._queue, control)
        self.is_running = True
        work = TitledCall(run_to_end, self._thread)
        work.title = self.title
        self._worker = create_worker(work, _worker_class=ClosingWorker)
        self._worker.finished.connect(self._on_finished)
        _running.add(self)

    def _start(self) -> None:
        self._began = time.monotonic()
        self._timer.start()
        self._worker.start()

    def _deliver(self) -> None:
        if self._is_busy:  # a dialog, which no slot should open, handles other events of Qt
            return
        self._is_busy = True
        try:
            self._jobs.delivering.emit()
            self._deliver_for(_DELIVERY_SECONDS)  # limited: else events faster than their dock would freeze the viewer
            if self._has_finished:
                self._deliver_for(math.inf)
            else:
                self._show_row()
        finally:
            self._is_busy = False
        if self._has_finished:
            self._end()

    def _deliver_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self._queue and time.monotonic() < end:
            self._deliver_event(self._queue.popleft())

    def _show_row(self) -> None:
        if self._row is None:  # not earlier: most work is done in no time
            self._row = ActivityRow(self._window(), self.title)
        if self.progress is not None:
            self._row.show(self.progress)

    def _deliver_event(self, event: Any) -> None:
        if isinstance(event, Failed):
            self._report(event.error)
            return
        if isinstance(event, PauseChanged):
            self._on_paused() if event.is_paused else self._on_resumed()
            return
        if isinstance(event, self._replay):
            self.replayed.append(event)
        if self._observer is not None:
            self._observer(event)
        if (progress := self._progress_of(event)) is not None:
            self._show_progress(progress)
        self.reported.emit(event)

    def _show_progress(self, progress: Progress) -> None:
        if progress.seconds_left is None and not progress.is_estimated:
            passed = time.monotonic() - self._began - self._seconds_paused
            progress = replace(progress, seconds_left=self._time_estimate.seconds_left(passed, progress.fraction))
        self.progress = progress
        self.progressed.emit(progress)

    def _report(self, error: Exception) -> None:
        if isinstance(error, UserError):
            self.message = str(error)
        else:
            self.message = (
                f"Unexpected problem ({type(error).__name__}: {error}). "
                "Please report it with the traceback that napari's notification shows."
            )
            notification_manager.dispatch(Notification.from_exception(error))
        self.failed.emit(self.message)

    def _on_paused(self) -> None:
        self.is_paused, self._paused_since = True, time.monotonic()
        self.paused.emit()

    def _on_resumed(self) -> None:
        self.is_paused = False
        self._seconds_paused += time.monotonic() - self._paused_since
        self.resumed.emit()

    def _on_finished(self) -> None:
        self._has_finished = True
        self._deliver()

    def _end(self) -> None:
        self._timer.stop()
        if self._row is not None:
            self._row.close()
        self.is_running = False
        _running.discard(self)
        self.ended.emit()


class Jobs(QObject):
    """The jobs of one viewer, at most one running per kind.

    Parameters
    ----------
    window : napari.window.Window
        The window of the viewer, which is not kept alive.

    Attributes
    ----------
    started : Signal(object)
        A `Job` that was just started, by whatever dock.
    delivering : Signal()
        A job is about to deliver events: what was closed, and is not deleted yet, goes before it receives them.
    """

    started = Signal(object)
    delivering = Signal()

    def __init__(self, window: Any) -> None:
        super().__init__()
        self._window: ReferenceType[Any] = ref(window)
        self._latest: dict[str, Job] = {}

    def latest(self, kind: str) -> Job | None:
        """Return the job of a kind that was started last, running or ended."""
        return self._latest.get(kind)

    def running(self, kind: str) -> Job | None:
        """Return the running job of a kind."""
        job = self.latest(kind)
        return job if job is not None and job.is_running else None

    def stop_all(self) -> None:
        """Stop all running jobs, but those whose work outlives the viewer."""
        for job in self._latest.values():
            if job.is_running:
                job.leave()

    def start(  # noqa: PLR0913 - three of them are needed
        self,
        kind: str,
        title: str,
        events: Callable[[], Iterator[Any]],
        *,
        progress: Callable[[Any], Progress | None] = progress_of,
        replay: tuple[type, ...] = (),
        control: JobControl | None = None,
        observer: Callable[[Any], None] | None = None,
    ) -> Job:
        """Run a generator in a thread. Connect to the job's signals right away: nothing arrives before you return.

        Parameters
        ----------
        kind : str
            The dock that it belongs to, such as ``"train"``.
        title : str
            Its name in the viewer's list of activities.
        events : callable
            Called in the thread without arguments; returns the generator. Import torch in there, not before.
        progress : callable, optional
            Returns the progress after an event, or None for an event that does not change it; while there is none the
            bars only show that the job is running.
        replay : tuple of type, optional
            Event types to keep in `Job.replayed`, for a dock that is opened again. They are kept as long as the job is
            the latest of its kind, so name small ones.
        control : JobControl, optional
            Stops, pauses and resumes work that is done elsewhere and ends by itself after a stop.
        observer : callable, optional
            Called with each event on the main thread, before `progress` and before `Job.reported` is emitted.

        Raises
        ------
        UserError
            When a job of this kind is running.
        """
        if (running := self.running(kind)) is not None:
            raise UserError(f"'{running.title}' is still running; stop it or wait for its end.")
        job = Job(title, kind, progress, replay, observer)
        self._latest[kind] = job
        job._prepare(events, control, self, self._window)
        self.started.emit(job)
        job._start()
        return job


_jobs: WeakKeyDictionary[Any, Jobs] = WeakKeyDictionary()
_running: set[Job] = set()  # a job outlives a closed window until its thread has ended


def jobs_of(viewer: Any) -> Jobs:
    """Return the jobs of a viewer; the same object for the viewer and for napari's proxies of it."""
    window = getattr(viewer.window, "__wrapped__", viewer.window)
    return _jobs.setdefault(window, Jobs(window))
