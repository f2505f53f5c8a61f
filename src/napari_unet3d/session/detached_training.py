"""A training that does not end with the viewer: it is started, followed by its run folder, stopped, and found again."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from napari_unet3d.data.dataset import write_lossless
from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.runs.run_files import read_run_files
from napari_unet3d.runs.status import read_status_file
from napari_unet3d.runs.stop_request import request_stop, withdraw_stop
from napari_unet3d.session.launch_record import LaunchRecord, cancel_launch, read_launch, write_launch
from napari_unet3d.session.launchers import Launcher
from napari_unet3d.session.recent_runs import forget_detached, free_folder, remember_detached, track_last_run
from napari_unet3d.session.run_follower import RunFollower
from napari_unet3d.session.training_job import TrainingRequest
from napari_unet3d.training.background import run_in_background
from napari_unet3d.training.events import Busy


class DetachedTraining:
    """A training that goes on when the viewer is closed; `events` is for the job's thread, the rest its `JobControl`.

    Parameters
    ----------
    run_folder : Path
        The run folder.
    request : TrainingRequest, optional
        What to train; without it, a training that was started before is followed.
    launcher : Launcher, optional
        Starts the training that is requested.
    """

    can_pause: ClassVar[bool] = False
    outlives_viewer: ClassVar[bool] = True

    def __init__(
        self, run_folder: Path, request: TrainingRequest | None = None, launcher: Launcher | None = None
    ) -> None:
        self._folder, self._request, self._launcher = run_folder, request, launcher
        self._lock = threading.Lock()
        self._launch: LaunchRecord | None = None
        self._follower: RunFollower | None = None
        self._is_stopped = False

    def stop(self) -> None:
        """Ask the training to save its state and end, or cancel it if it has not begun."""
        with self._lock:
            self._is_stopped = True
            follower = self._follower
        if follower is None:
            return
        follower.is_stopped = True
        threading.Thread(target=self._send_stop, args=(follower,), name="stop of the training", daemon=True).start()

    def _send_stop(self, follower: RunFollower) -> None:
        with suppress(UserError):  # the folder is gone, and with it the training
            request_stop(self._folder)
        if not follower.has_started and self._launch is not None:
            with suppress(UserError):
                cancel_launch(self._launch)

    def pause(self) -> None:
        """Do nothing: it cannot be paused."""

    def resume(self) -> None:
        """Do nothing: it cannot be paused."""

    def events(self) -> Iterator[Any]:
        """Start the training, unless it was before, and follow it until it has ended; closing it leaves it running.

        Yields
        ------
        TrainEvent or None
            Those of `RunFollower.events`.

        Raises
        ------
        UserError
            If it cannot be started, or as `RunFollower.events`.
        """
        if self._request is not None and self._launcher is not None:
            yield from self._start(self._request, self._launcher)
            if self._launch is None:  # stopped before it was started
                return
        else:
            self._launch = read_launch(self._folder)
        with self._lock:
            self._follower = RunFollower(self._folder, self._launch)
            is_stopped = self._is_stopped
        if is_stopped:
            self.stop()
        yield from track_last_run(self._followed(self._follower), self._dataset())
        forget_detached(self._folder)

    def _followed(self, follower: RunFollower) -> Iterator[Any]:
        try:
            yield from follower.events()
        except UserError:
            forget_detached(self._folder)
            raise

    def _start(self, request: TrainingRequest, launcher: Launcher) -> Generator[Any, None, None]:
        with explain_os_errors(self._folder, "write to"):
            self._folder.mkdir(parents=True, exist_ok=True)
        try:
            dataset = yield from self._data(request)
            yield Busy("Starting the training")
            if not self._is_stopped:
                launch = partial(self._launch_and_note, launcher, request, dataset)
                self._launch = yield from run_in_background(launch, "Starting the training")
        finally:
            if self._launch is None:
                with suppress(OSError):  # it holds something
                    self._folder.rmdir()

    def _launch_and_note(self, launcher: Launcher, request: TrainingRequest, dataset: Path) -> LaunchRecord:
        """Start the training and note it, together: a viewer that is closed meanwhile must find it again."""
        written = read_status_file(self._folder)
        withdraw_stop(self._folder)
        record = launcher.launch(request, dataset)
        record = record.model_copy(update={"earlier": written and written.updated})
        write_launch(self._folder, record)
        remember_detached(self._folder)
        return record

    def _data(self, request: TrainingRequest) -> Generator[Busy, None, Path]:
        """Return the dataset folder; volumes in memory are written to one in the run folder."""
        if isinstance(request.data, Path):
            return request.data
        folder = free_folder(self._folder, "data")
        message = f"Writing the layers to {folder} for the training process"
        yield Busy(message)
        yield from run_in_background(partial(write_lossless, folder, request.data), message)
        return folder

    def _dataset(self) -> Path | None:
        if self._request is not None and isinstance(self._request.data, Path):
            return self._request.data
        with suppress(UserError):
            return read_run_files(self._folder).dataset
        return None
