"""What every tracker does, and which there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from napari_unet3d.configs.training_enums import Tracker
from napari_unet3d.errors import UserError

Plain = str | int | float | bool
PROJECT = "napari-unet3d"
"""The name of the experiment or project that runs belong to."""


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run as a tracker sees it.

    Attributes
    ----------
    folder : Path
        The run folder, whose name is that of the run.
    settings : mapping of str to str or number
        Settings, plan and data of the run.
    earlier : str or None
        What the tracker has called the run that is resumed; None for a new one.
    n_epochs : int
        Number of epochs that were finished before.
    """

    folder: Path
    settings: Mapping[str, Plain]
    earlier: str | None
    n_epochs: int


class RunTracker(Protocol):
    """Records one run. Its methods may raise anything: the training continues without it."""

    @property
    def run_id(self) -> str:
        """What the tracker calls the run, by which it is found when the run is resumed."""
        ...

    def log(self, epoch: int, scalars: Mapping[str, float]) -> None:
        """Record the numbers of an epoch, counted from 1."""
        ...

    def finish(self, *, is_complete: bool) -> None:
        """End the recording; `is_complete` unless the run was stopped or has failed."""
        ...


@dataclass(frozen=True, slots=True)
class _Library:
    package: str  # that must be installed; the extra has the name of the tracker
    module: str  # here, with a function `start`


_LIBRARIES = {
    Tracker.TENSORBOARD: _Library("tensorboard", "tensorboard_tracker"),
    Tracker.MLFLOW: _Library("mlflow", "mlflow_tracker"),
    Tracker.TRACKIO: _Library("trackio", "trackio_tracker"),
}


def check_trackers(trackers: Sequence[Tracker]) -> None:
    """Raise a `UserError` if the package of a tracker is not installed."""
    for tracker in trackers:
        package = _LIBRARIES[tracker].package
        if find_spec(package) is None:
            raise UserError(
                f"Tracking with {tracker.label} needs {package}. Install it with: pip install "
                f"'napari-unet3d[{tracker.value}]', or train without it."
            )


def start_tracker(tracker: Tracker, run: TrackedRun) -> RunTracker:
    """Start to record a run, or continue the record of the one that is resumed."""
    module = import_module(f"{__package__}.{_LIBRARIES[tracker].module}")
    start: Callable[[TrackedRun], RunTracker] = module.start
    return start(run)
