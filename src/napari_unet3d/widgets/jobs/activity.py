"""A job as napari knows it: a row in its list of activities, and a worker that it asks about before closing."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from napari._qt.widgets.qt_progress_bar import QtLabeledProgressBar
from napari.qt.threading import GeneratorWorker

from napari_unet3d.formatting import format_duration
from napari_unet3d.session.generator_thread import GeneratorThread
from napari_unet3d.session.progress import Progress

_STEPS = 100
_POLL_SECONDS = 0.05


class ActivityRow:
    """Shows that a job is running, and its progress; it does nothing without a window or when that is closed.

    It is changed without processing events of Qt. `napari.utils.progress` calls ``QApplication.processEvents`` whenever
    a bar appears or moves: clicks, keys and the closing of the window are then processed in the middle of what moved
    it, layers are removed while they are drawn, and the process crashes.

    Parameters
    ----------
    window : napari.window.Window or None
        The window of the viewer.
    title : str
        The name of the job.
    """

    def __init__(self, window: Any, title: str) -> None:
        self._dialog: Any = getattr(getattr(window, "_qt_window", None), "_activity_dialog", None)
        self._row: Any = None
        with _as_far_as_available():
            if self._dialog is not None:
                self._row = QtLabeledProgressBar()
                self._row.description_label.setText(f"{title}: ")  # its own methods process events
                self._row.qt_progress_bar.setRange(0, 0)  # busy, until the first progress
                self._dialog._activityLayout.addWidget(self._row)
                self._show_indicator(True)

    def show(self, progress: Progress) -> None:
        """Show the progress."""
        with _as_far_as_available():
            if self._row is not None:
                self._row.qt_progress_bar.setRange(0, _STEPS)
                self._row.qt_progress_bar.setValue(round(progress.fraction * _STEPS))
                left = progress.seconds_left
                self._row.eta_label.setText("" if left is None else f"{format_duration(left)} left")

    def close(self) -> None:
        """Remove the row."""
        row, self._row = self._row, None
        with _as_far_as_available():
            if row is not None:
                row.close()
                row.deleteLater()
                others = self._dialog.findChildren(QtLabeledProgressBar)
                self._show_indicator(any(not other.isHidden() for other in others))

    def _show_indicator(self, is_running: bool) -> None:
        """Show in the status bar, also while the list is closed, whether anything is running."""
        indicator = self._dialog._toggleButton._inProgressIndicator
        (indicator.movie().start if is_running else indicator.movie().stop)()
        indicator.setVisible(is_running)


@contextmanager
def _as_far_as_available() -> Iterator[None]:
    """Skip what a closed window (RuntimeError) or another version of napari (AttributeError) does not have."""
    try:
        yield
    except (RuntimeError, AttributeError):
        return


class ClosingWorker(GeneratorWorker):  # type: ignore[misc]
    """Closes its generator in the worker's thread; that of napari leaves it suspended after `quit`."""

    def work(self) -> Any:
        """Run the generator to its end, to a stop, or to an error."""
        try:
            return super().work()
        finally:
            self._gen.close()


class TitledCall(partial[Any]):
    """A call that napari shows by its title when it asks about running tasks before the window is closed."""

    title = ""

    def __repr__(self) -> str:
        return self.title


def run_to_end(thread: GeneratorThread) -> Generator[None, None, None]:
    """Run a generator until it has ended; when the worker has to quit before, the generator is cancelled.

    Yields
    ------
    None
        Often, so that napari can check whether the window was closed.
    """
    thread.start()
    try:
        while not thread.has_ended.wait(_POLL_SECONDS):
            yield
    finally:
        thread.cancel()
