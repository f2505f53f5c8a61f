"""Work that is requested faster than it can be done: one job at a time, and the newest request next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_unet3d.widgets.jobs.jobs import Job, Jobs


@dataclass(frozen=True, slots=True)
class _Request:
    title: str
    events: Callable[[], Iterator[Any]]
    take: Callable[[Any], None]


class LatestOnly(QObject):
    """Runs requests of one kind as jobs, never two at once; of the requests made meanwhile only the newest is run.

    Parameters
    ----------
    parent : QObject
        What the work is for; nothing is reported once it is deleted.
    jobs : Jobs
        The jobs of the viewer.
    kind : str
        Their kind; a job of this kind that another dock runs is waited for.
    stops : bool
        Whether work that is no longer needed is stopped at its next event, rather than run to its end.

    Attributes
    ----------
    failed : Signal(str)
        The message for the user.
    settled : Signal()
        Emitted when a job has ended that was not cancelled, and nothing more is requested.
    """

    failed = Signal(str)
    settled = Signal()

    def __init__(self, parent: QObject, jobs: Jobs, kind: str, *, stops: bool = False) -> None:
        super().__init__(parent)
        self._stops = stops
        self._jobs, self._kind = jobs, kind
        self._waiting: _Request | None = None
        self._take: Callable[[Any], None] | None = None
        self._awaited: Job | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a request is running or waiting, and was not cancelled."""
        return self._waiting is not None or self._take is not None

    def request(self, title: str, events: Callable[[], Iterator[Any]], take: Callable[[Any], None]) -> None:
        """Run a generator now, or when the running one has ended; it replaces a request that is still waiting.

        Parameters
        ----------
        title : str
            Its name in the viewer's list of activities.
        events : callable
            Called in the job's thread; returns the generator of events.
        take : callable
            Called on the main thread with each event, unless `cancel` is called before.
        """
        self._waiting = _Request(title, events, take)
        self._stop_running()
        self._start_next()

    def cancel(self) -> None:
        """Drop the waiting request, and what the running job will report."""
        self._waiting = self._take = None
        self._stop_running()

    def _stop_running(self) -> None:
        if self._stops and self._awaited is not None and self._awaited is self._jobs.running(self._kind):
            self._take = None
            self._awaited.stop()

    def _start_next(self) -> None:
        if self._waiting is None:
            return
        if (running := self._jobs.running(self._kind)) is not None:
            if running is not self._awaited:  # another dock's
                self._awaited = running
                running.ended.connect(self._on_ended)
            return
        request, self._waiting = self._waiting, None
        self._take = request.take
        self._awaited = job = self._jobs.start(self._kind, request.title, request.events)
        job.reported.connect(self._on_reported)
        job.failed.connect(self.failed)
        job.ended.connect(self._on_ended)

    def _on_reported(self, event: Any) -> None:
        if self._take is not None:
            self._take(event)

    def _on_ended(self) -> None:
        was_needed, self._take = self._take is not None, None
        self._start_next()
        if was_needed and not self.is_busy:
            self.settled.emit()
