"""Training as a job of the viewer, which the Train dock shows, whoever started it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from napari_unet3d.session.training_run import TrainingRun
from napari_unet3d.widgets.jobs.jobs import Jobs
from napari_unet3d.widgets.jobs.worker import JobControl

TRAIN = "train"


def begin_training(
    jobs: Jobs,
    events: Callable[[], Iterator[Any]],
    run_folder: Path,
    control: JobControl | None = None,
    start_from: Path | None = None,
) -> TrainingRun:
    """Start a training; an open Train dock shows it at once, and one that is opened later does so then.

    Parameters
    ----------
    jobs : Jobs
        The jobs of the viewer.
    events : callable
        Gives the events of the training, in the job's thread.
    run_folder : Path
        Where the run is written.
    control : Control, optional
        Where the user's orders go when the training works elsewhere.
    start_from : Path, optional
        The model that it goes on from, where the form of the Train dock does not say so.

    Returns
    -------
    TrainingRun
        What is known of the run; the first event of the job.

    Raises
    ------
    UserError
        When another training is running.
    """
    record = TrainingRun(run_folder, start_from=start_from)

    def with_record() -> Iterator[Any]:
        yield record
        yield from events()

    title = f"Training {run_folder.name}"
    jobs.start(TRAIN, title, with_record, progress=record.add, replay=(TrainingRun,), control=control)
    return record
