"""A row in napari's list of activities, changed without handling events of Qt.

`napari.utils.progress` calls ``QApplication.processEvents`` whenever a bar appears or moves. Then clicks, keys and the
end of the window are handled in the middle of what moved it: layers go while they are drawn, and the process crashes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from napari._qt.widgets.qt_progress_bar import QtLabeledProgressBar

from napari_unet3d.formatting import format_duration
from napari_unet3d.session.progress import Progress

_STEPS = 100


class ActivityRow:
    """Shows that something goes on, and how far it is; it does nothing without a window or when that is gone.

    Parameters
    ----------
    window : napari.window.Window or None
        The window of the viewer.
    title : str
        What goes on.
    """

    def __init__(self, window: Any, title: str) -> None:
        self._dialog: Any = getattr(getattr(window, "_qt_window", None), "_activity_dialog", None)
        self._row: Any = None
        with _as_far_as_it_is_there():
            if self._dialog is not None:
                self._row = QtLabeledProgressBar()
                self._row.description_label.setText(f"{title}: ")  # its own methods handle events
                self._row.qt_progress_bar.setRange(0, 0)  # busy, until the first progress
                self._dialog._activityLayout.addWidget(self._row)
                self._show_indicator(True)

    def show(self, progress: Progress) -> None:
        """Show how far it is."""
        with _as_far_as_it_is_there():
            if self._row is not None:
                self._row.qt_progress_bar.setRange(0, _STEPS)
                self._row.qt_progress_bar.setValue(round(progress.fraction * _STEPS))
                left = progress.seconds_left
                self._row.eta_label.setText("" if left is None else f"{format_duration(left)} left")

    def close(self) -> None:
        """Take the row away."""
        row, self._row = self._row, None
        with _as_far_as_it_is_there():
            if row is not None:
                row.close()
                row.deleteLater()
                others = self._dialog.findChildren(QtLabeledProgressBar)
                self._show_indicator(any(not other.isHidden() for other in others))

    def _show_indicator(self, is_going_on: bool) -> None:
        """Show in the status bar, also while the list is not open, whether anything goes on."""
        indicator = self._dialog._toggleButton._inProgressIndicator
        (indicator.movie().start if is_going_on else indicator.movie().stop)()
        indicator.setVisible(is_going_on)


@contextmanager
def _as_far_as_it_is_there() -> Iterator[None]:
    """Leave out what a closed window (RuntimeError) or another version of napari (AttributeError) does not have."""
    try:
        yield
    except (RuntimeError, AttributeError):
        return
