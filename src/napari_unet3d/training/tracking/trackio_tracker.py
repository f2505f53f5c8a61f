"""Runs in trackio, where its own settings say: by default in a database of the user, which ``trackio show`` shows."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from datetime import datetime

import trackio

from napari_unet3d.training.tracking.tracker import PROJECT, TrackedRun


class TrackioTracker:
    """Records settings and numbers.

    Parameters
    ----------
    run : TrackedRun
        The run.
    """

    def __init__(self, run: TrackedRun) -> None:
        # Runs are found by their names, so those of other folders must have others.
        self.run_id = run.earlier or f"{run.folder.name} {datetime.now():%Y-%m-%d %H:%M:%S}"
        resume = "never" if run.earlier is None else "must"
        with redirect_stdout(io.StringIO()):  # it prints hints there, where programs read the events of the run
            self._run = trackio.init(
                PROJECT,
                self.run_id,
                config=dict(run.settings),
                resume=resume,
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )

    def log(self, epoch: int, scalars: Mapping[str, float]) -> None:
        """Record the numbers of an epoch."""
        self._run.log(dict(scalars), step=epoch)

    def finish(self, *, is_complete: bool) -> None:
        """Write what is not written yet."""
        with redirect_stdout(io.StringIO()):
            try:
                trackio.finish()  # else trackio would do it when the process ends, and print that
            except RuntimeError:  # it was started in another thread
                self._run.finish()


def start(run: TrackedRun) -> TrackioTracker:
    """Start or continue to record a run."""
    return TrackioTracker(run)
