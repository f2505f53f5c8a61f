"""Training as a job of the viewer, whichever dock started it, and the slots of widgets that follow its record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from psygnal import SignalInstance
from qtpy.QtWidgets import QWidget

from napari_unet3d.session.generator_thread import JobControl, beginning_with
from napari_unet3d.session.progress import Progress
from napari_unet3d.session.training_run import TrainingRun
from napari_unet3d.training.events import EpochFinished, StepFinished
from napari_unet3d.widgets.jobs.jobs import Jobs

TRAIN = "train"


def begin_training(
    jobs: Jobs,
    events: Callable[[], Iterator[Any]],
    run_folder: Path,
    control: JobControl | None = None,
    start_from: Path | None = None,
) -> TrainingRun:
    """Start a training as a job of the viewer; it is shown in the Train dock, now or when the dock is opened.

    Parameters
    ----------
    jobs : Jobs
        The jobs of the viewer.
    events : callable
        Returns the events of the training; called in the job's thread.
    run_folder : Path
        Where the run is written.
    control : JobControl, optional
        Receives stop, pause and resume if the training is in another process.
    start_from : Path, optional
        The model that the run starts from, if the form of the Train dock does not show it.

    Returns
    -------
    TrainingRun
        The record of the run, which is also the first event of the job.

    Raises
    ------
    UserError
        If another training is running.
    """
    run = TrainingRun(run_folder, start_from=start_from)

    def progress(event: Any) -> Progress | None:
        return run.progress if isinstance(event, StepFinished | EpochFinished) else None

    jobs.start(
        TRAIN,
        f"Training {run_folder.name}",
        beginning_with(run, events),
        observer=run.add,
        progress=progress,
        replay=(TrainingRun,),
        control=control,
    )
    return run


class RunListener:
    """Connects slots of a widget to the signals of the run that it shows, until it shows another one or is deleted.

    Parameters
    ----------
    widget : QWidget
        The widget.
    """

    def __init__(self, widget: QWidget) -> None:
        self._connections: list[tuple[SignalInstance, Callable[..., Any]]] = []
        widget.destroyed.connect(self._disconnect)

    def connect(self, *connections: tuple[SignalInstance, Callable[..., Any]]) -> None:
        """Connect each signal to its slot, instead of earlier ones."""
        self._disconnect()
        self._connections = list(connections)
        for signal, slot in connections:
            signal.connect(slot)

    def _disconnect(self) -> None:
        for signal, slot in self._connections:
            signal.disconnect(slot)
        self._connections = []
