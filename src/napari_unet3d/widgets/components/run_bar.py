"""The parts that docks of plain Qt are made of: a bar for running work, headings and rows."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_unet3d.formatting import format_duration
from napari_unet3d.session.progress import Progress
from napari_unet3d.widgets.components.message_line import Kind, MessageLine
from napari_unet3d.widgets.jobs.jobs import Job

__all__ = ["Kind", "MessageLine", "RunBar", "add_row", "compact_form_layout", "heading", "wrapping_label"]


class RunBar(QWidget):
    """The start button and, while a job runs, its progress with the time left, Stop, and Pause where it is wanted.

    Parameters
    ----------
    start_text : str
        The words on the start button.
    also : sequence of QWidget
        Other widgets (buttons, a form) that make no sense during the job and are disabled then.
    stop_text : str
        The words on the stop button.
    can_pause : bool
        Whether there is a button to let the job stand still.
    beside : QWidget, optional
        A small widget at the right of the start button and of the progress.

    Attributes
    ----------
    start_button, stop_button, pause_button : QPushButton
    bar : QProgressBar
    """

    def __init__(
        self,
        start_text: str,
        also: Sequence[QWidget] = (),
        stop_text: str = "Stop",
        *,
        can_pause: bool = False,
        beside: QWidget | None = None,
    ) -> None:
        super().__init__()
        self.start_button = QPushButton(start_text)
        self.stop_button = QPushButton(stop_text)
        self.stop_button.setToolTip("End it now; what is written already is kept.")
        self.pause_button = QPushButton("Pause")
        self.pause_button.setToolTip("Let it stand still, for example to use the processor for something else.")
        self._stop_text, self._can_pause = stop_text, can_pause
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        self.bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._also = tuple(also)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        row, below = QHBoxLayout(), QHBoxLayout()
        column.addLayout(row)
        column.addLayout(below)
        row.addWidget(self.start_button, 1)
        row.addWidget(self.bar, 1)
        buttons = below if can_pause else row  # three in a row would leave no room for the words in the bar
        buttons.addWidget(self.pause_button, 1)
        buttons.addWidget(self.stop_button, 1 if can_pause else 0)
        if beside is not None:
            row.addWidget(beside)
        self._job: Job | None = None
        self._set_running(False)

    def watch(self, job: Job) -> None:
        """Show a running job until it ends."""
        self._job = job
        self._set_running(True)
        self.bar.setRange(0, 0)  # busy, until the first progress
        self.bar.setFormat("")
        self.stop_button.setText(self._stop_text)
        job.progressed.connect(self._show_progress)
        job.ended.connect(self._on_ended)
        job.paused.connect(self._show_state)
        job.resumed.connect(self._show_state)
        self.stop_button.clicked.connect(self._stop)
        self.pause_button.clicked.connect(self._pause)
        if job.progress is not None:
            self._show_progress(job.progress)
        self._show_state()

    def _stop(self) -> None:
        if self._job is not None:
            self._job.stop()
            self.pause_button.setEnabled(False)
            self.stop_button.setEnabled(False)
            self.stop_button.setText("Stopping…")

    def _pause(self) -> None:
        if self._job is None:
            return
        self.pause_button.setEnabled(False)  # until it has come to the end of a step
        if self._job.is_paused:
            self._job.resume()
        else:
            self.pause_button.setText("Pausing…")
            self._job.pause()

    def _show_state(self) -> None:
        if self._job is None or self._job.stopped:
            return
        self.pause_button.setEnabled(True)
        self.pause_button.setText("Continue" if self._job.is_paused else "Pause")
        self.bar.setRange(0, 0 if self._job.progress is None and not self._job.is_paused else 1000)
        self._show_words()

    def _show_progress(self, progress: Progress) -> None:
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(progress.fraction * 1000))
        self._show_words()

    def _show_words(self) -> None:
        progress = None if self._job is None else self._job.progress
        if self._job is not None and self._job.is_paused:
            self.bar.setFormat("paused" if progress is None else "%p % · paused")
        elif progress is not None:
            left = "" if progress.seconds_left is None else f" · {format_duration(progress.seconds_left)} left"
            self.bar.setFormat(f"%p %{left}")

    def _on_ended(self) -> None:
        self.stop_button.clicked.disconnect(self._stop)
        self.pause_button.clicked.disconnect(self._pause)
        self._job = None
        self._set_running(False)

    def _set_running(self, running: bool) -> None:
        self.start_button.setVisible(not running)
        self.bar.setVisible(running)
        self.stop_button.setVisible(running)
        self.pause_button.setVisible(running and self._can_pause)
        self.stop_button.setEnabled(running)
        for widget in self._also:
            widget.setEnabled(not running)


def heading(text: str) -> QLabel:
    """Make the heading of a part of a dock."""
    label = QLabel(text)
    label.setStyleSheet("QLabel { font-weight: bold; padding-top: 4px; }")
    label.setWordWrap(True)
    return label


def wrapping_label() -> QLabel:
    """Make a line of words that wraps and never widens its dock."""
    label = QLabel()
    label.setWordWrap(True)
    label.setMinimumWidth(1)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label


def add_row(column: QVBoxLayout, *items: QWidget | QLayout) -> None:
    """Add widgets side by side to a column, each as wide as the others."""
    row = QHBoxLayout()
    row.setSpacing(6)
    for item in items:
        if isinstance(item, QWidget):
            row.addWidget(item, 1)
        else:
            row.addLayout(item, 1)
    column.addLayout(row)


def compact_form_layout() -> QFormLayout:
    """Return a layout of label and box per row that fits a narrow dock."""
    rows = QFormLayout()
    rows.setContentsMargins(0, 2, 0, 2)
    rows.setHorizontalSpacing(8)
    rows.setVerticalSpacing(4)
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    rows.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    return rows
