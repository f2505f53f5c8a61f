"""The parts that docks are made of: a line for messages, a bar for running work, headings and rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QAction, QGuiApplication
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_unet3d.errors import UserError
from napari_unet3d.formatting import format_duration
from napari_unet3d.session.progress import Progress
from napari_unet3d.widgets.jobs.jobs import Job

Kind = Literal["error", "warning", "info"]
"""How serious a message is."""

_MESSAGE = "QLabel {{ border-radius: 3px; padding: 6px; {colours} }}"
# Text and ground are set together, so that they can be read in every theme.
_COLOURS = {
    "error": "background-color: #8c1d18; color: white;",
    "warning": "background-color: #6b4e00; color: white;",
    "info": "background-color: rgba(128, 128, 128, 50);",
}


class MessageLine(QLabel):
    """One message, hidden while there is none; it wraps, and its menu copies it."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        copy = QAction("Copy message", self)
        copy.triggered.connect(self._copy)
        self.addAction(copy)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self.setTextFormat(Qt.TextFormat.PlainText)  # a file name may look like markup
        # Without a minimum of its own, a long path (one word) would make the dock as wide as itself.
        self.setMinimumWidth(1)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.kind: Kind = "info"
        self._message = ""
        self._after_layout = QTimer(self)
        self._after_layout.setSingleShot(True)
        self._after_layout.timeout.connect(self._come_into_view)
        self.hide()

    def show_message(self, message: str, kind: Kind = "info") -> None:
        """Replace what is shown.

        Parameters
        ----------
        message : str
            One or two sentences; an empty text hides the line.
        kind : {"error", "warning", "info"}
            Chooses the colours.
        """
        self.kind, self._message = kind, message
        self.setStyleSheet(_MESSAGE.format(colours=_COLOURS[kind]))
        self.setText(_breakable(message))
        self.setVisible(bool(message))
        if message:
            self._after_layout.start(0)

    def clear(self) -> None:
        """Show nothing."""
        self.show_message("")

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Show a `UserError` that the block raises; the previous message goes away first."""
        self.clear()
        try:
            yield
        except UserError as error:
            self.show_message(str(error), "error")

    def text(self) -> str:
        """Return the message as it was shown, without the marks where Qt may break it."""
        return self._message

    def _copy(self) -> None:
        if (clipboard := QGuiApplication.clipboard()) is not None:
            clipboard.setText(self._message)

    def _come_into_view(self) -> None:
        parent = self.parentWidget()
        while parent is not None and not isinstance(parent, QScrollArea):
            parent = parent.parentWidget()
        if parent is not None:
            parent.ensureWidgetVisible(self)


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


def _breakable(message: str) -> str:
    """Let Qt break long paths after their slashes (with a zero-width space)."""
    return message.replace("/", "/\u200b").replace("\\", "\\\u200b")
