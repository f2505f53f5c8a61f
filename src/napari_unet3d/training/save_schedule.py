"""When the state of a run is saved inside an epoch: regularly, and when it is requested, such as by a signal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from napari_unet3d.runs.stop_request import is_stop_requested

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet3d.training.throughput import ActiveTimer  # imports torch


class SaveRequests:
    """Requests to save the state of a run at its next step; they may come from a signal handler or another thread.

    Examples
    --------
    >>> requests = SaveRequests()
    >>> requests.request(ends=True)
    >>> requests.is_pending, requests.take(), requests.is_pending
    (True, True, False)
    """

    def __init__(self) -> None:
        self._ends: bool | None = None

    def request(self, *, ends: bool = False) -> None:
        """Request to save the state; `ends` if the run is to end after that."""
        self._ends = ends or bool(self._ends)

    @property
    def is_pending(self) -> bool:
        """Whether there is a request that was not served yet."""
        return self._ends is not None

    def take(self) -> bool:
        """Return whether the run is to end; the request counts as served."""
        ends, self._ends = bool(self._ends), None
        return ends


class SaveSchedule:
    """Decides when the state is to be saved inside an epoch.

    Parameters
    ----------
    minutes : float
        Minutes between two saves, of the time that the run takes without pauses; 0 saves on request only.
    timer : ActiveTimer
        That time.
    requests : SaveRequests, optional
        Requests to save at once.
    """

    def __init__(self, minutes: float, timer: ActiveTimer, requests: SaveRequests | None = None) -> None:
        self._seconds, self._timer = minutes * 60, timer
        self._saved_at = timer.seconds
        self.requests = requests or SaveRequests()

    @property
    def is_due(self) -> bool:
        """Whether the state is to be saved now."""
        is_time = bool(self._seconds) and self._timer.seconds - self._saved_at >= self._seconds
        return is_time or self.requests.is_pending

    def note_saved(self) -> None:
        """Count the minutes from now on."""
        self._saved_at = self._timer.seconds


_SECONDS_BETWEEN_LOOKS = 1.0


class StopWatcher:
    """Looks, at most once a second, whether somebody has asked in the run folder that the training ends.

    Parameters
    ----------
    run_folder : Path
        The run folder.
    """

    def __init__(self, run_folder: Path) -> None:
        self._folder, self._looked_at = run_folder, -_SECONDS_BETWEEN_LOOKS
        self.is_requested = False

    def look(self) -> bool:
        """Return whether there was a request at the latest look."""
        now = time.monotonic()
        if not self.is_requested and now - self._looked_at >= _SECONDS_BETWEEN_LOOKS:
            self._looked_at, self.is_requested = now, is_stop_requested(self._folder)
        return self.is_requested
