"""Work that is asked for faster than it can be done: one job at a time, and the newest request next."""

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
    """Runs requests of one kind as jobs, never two at once; of those that come meanwhile only the newest is run.

    Parameters
    ----------
    parent : QObject
        What the work is for; nothing is reported when it is gone.
    jobs : Jobs
        The jobs of the viewer.
    kind : str
        Which kind they are; another dock may run such a job, too, which is waited for.
    stops : bool
        Whether work that nobody waits for any more is stopped, at its next event, rather than brought to its end.

    Attributes
    ----------
    failed : Signal(str)
        The message for the user.
    settled : Signal()
        Emitted when a job ended that was not cancelled, and nothing more is asked for.
    """

    failed = Signal(str)
    settled = Signal()

    def __init__(self, parent: QObject, jobs: Jobs, kind: str, *, stops: bool = False) -> None:
        super().__init__(parent)
        self._stops = stops
        self._jobs, self._kind = jobs, kind
        self._wanted: _Request | None = None
        self._take: Callable[[Any], None] | None = None
        self._awaited: Job | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a request is running or waiting, and was not cancelled."""
        return self._wanted is not None or self._take is not None

    def request(self, title: str, events: Callable[[], Iterator[Any]], take: Callable[[Any], None]) -> None:
        """Run an engine now, or when the running one has ended; it replaces a request that still waits.

        Parameters
        ----------
        title : str
            What the viewer's list of activities calls it.
        events : callable
            Called in the job's thread; gives the engine's generator.
        take : callable
            Called on the main thread with each event, unless `cancel` is called before.
        """
        self._wanted = _Request(title, events, take)
        self._leave()
        self._go_on()

    def cancel(self) -> None:
        """Forget what waits, and what the running job will report."""
        self._wanted = self._take = None
        self._leave()

    def _leave(self) -> None:
        if self._stops and self._awaited is not None and self._awaited is self._jobs.running(self._kind):
            self._take = None
            self._awaited.stop()

    def _go_on(self) -> None:
        if self._wanted is None:
            return
        if (running := self._jobs.running(self._kind)) is not None:
            if running is not self._awaited:  # another dock's
                self._awaited = running
                running.ended.connect(self._on_ended)
            return
        request, self._wanted = self._wanted, None
        self._take = request.take
        self._awaited = job = self._jobs.start(self._kind, request.title, request.events)
        job.reported.connect(self._on_reported)
        job.failed.connect(self.failed)
        job.ended.connect(self._on_ended)

    def _on_reported(self, event: Any) -> None:
        if self._take is not None:
            self._take(event)

    def _on_ended(self) -> None:
        was_heard, self._take = self._take is not None, None
        self._go_on()
        if was_heard and not self.is_busy:
            self.settled.emit()
