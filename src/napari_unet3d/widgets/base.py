"""What all docks share: scrolling, a line for messages, a bar for running work, and paths that are remembered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal
from weakref import WeakSet

from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit, create_widget
from napari.layers import Layer
from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QFrame,
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
from napari_unet3d.widgets.jobs import Job, Progress, jobs_of
from napari_unet3d.widgets.memory import recall, remember

_MESSAGE = "QLabel {{ border-radius: 3px; padding: 6px; {colours} }}"
# Text and ground are set together, so that they can be read in every theme.
_COLOURS = {
    "error": "background-color: #8c1d18; color: white;",
    "warning": "background-color: #6b4e00; color: white;",
    "info": "background-color: rgba(128, 128, 128, 50);",
}


class ScrollDock(QScrollArea):
    """Scrolls its content up and down; the content is as wide as the dock, and the dock never narrower than it."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)

    def minimumSizeHint(self) -> QSize:
        """Give the smallest size: that of the content's width, beside the scroll bar."""
        size = super().minimumSizeHint()
        content, bar = self.widget(), self.verticalScrollBar()
        assert content is not None
        assert bar is not None
        size.setWidth(content.minimumSizeHint().width() + bar.sizeHint().width())
        return size

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Grow with the content, for example when a folded part is opened."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest and watched is self.widget():
            self.updateGeometry()
        return super().eventFilter(watched, event)


class MessageLine(QLabel):
    """One message, hidden while there is none; it wraps and can be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setTextFormat(Qt.TextFormat.PlainText)  # a file name may look like markup
        # Without a minimum of its own, a long path (one word) would make the dock as wide as itself.
        self.setMinimumWidth(1)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.kind: Literal["error", "warning", "info"] = "info"
        self._after_layout = QTimer(self)
        self._after_layout.setSingleShot(True)
        self._after_layout.timeout.connect(self._come_into_view)
        self.hide()

    def show_message(self, message: str, kind: Literal["error", "warning", "info"] = "info") -> None:
        """Replace what is shown.

        Parameters
        ----------
        message : str
            One or two sentences; an empty text hides the line.
        kind : {"error", "warning", "info"}
            Chooses the colours.
        """
        self.kind = kind
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

    def _come_into_view(self) -> None:
        parent = self.parentWidget()
        while parent is not None and not isinstance(parent, QScrollArea):
            parent = parent.parentWidget()
        if parent is not None:
            parent.ensureWidgetVisible(self)


class RunBar(QWidget):
    """The start button and, while a job runs, its progress with the time left and Stop.

    Parameters
    ----------
    start_text : str
        The words on the start button.
    also : sequence of QWidget
        Other widgets (buttons, a form) that make no sense during the job and are disabled then.

    Attributes
    ----------
    start_button, stop_button : QPushButton
    bar : QProgressBar
    """

    def __init__(self, start_text: str, also: Sequence[QWidget] = ()) -> None:
        super().__init__()
        self.start_button = QPushButton(start_text)
        self.stop_button = QPushButton("Stop")
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        self.bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._also = tuple(also)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.start_button, 1)
        row.addWidget(self.bar, 1)
        row.addWidget(self.stop_button)
        self._job: Job | None = None
        self._set_running(False)

    def watch(self, job: Job) -> None:
        """Show a running job until it ends."""
        self._job = job
        self._set_running(True)
        self.bar.setRange(0, 0)  # busy, until the first progress
        self.bar.setFormat("")
        self.stop_button.setText("Stop")
        job.progressed.connect(self._show_progress)
        job.ended.connect(self._on_ended)
        self.stop_button.clicked.connect(self._stop)
        if job.progress is not None:
            self._show_progress(job.progress)

    def _stop(self) -> None:
        if self._job is not None:
            self._job.stop()
            self.stop_button.setEnabled(False)
            self.stop_button.setText("Stopping…")

    def _show_progress(self, progress: Progress) -> None:
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(progress.fraction * 1000))
        left = "" if progress.seconds_left is None else f" · {words_for_seconds(progress.seconds_left)} left"
        self.bar.setFormat(f"%p %{left}")

    def _on_ended(self) -> None:
        self.stop_button.clicked.disconnect(self._stop)
        self._job = None
        self._set_running(False)

    def _set_running(self, running: bool) -> None:
        self.start_button.setVisible(not running)
        self.bar.setVisible(running)
        self.stop_button.setVisible(running)
        self.stop_button.setEnabled(running)
        for widget in self._also:
            widget.setEnabled(not running)


_path_boxes: WeakSet[PathBox] = WeakSet()


class PathBox(QWidget):
    """A line for a path and a button that opens the system's chooser; the last path is remembered.

    Parameters
    ----------
    mode : {"d", "r", "w"}
        A folder, an existing file, or a file to write.
    remember_as : str
        Name under which the path is kept; boxes with the same name in several docks show the same path.
    tooltip : str
        What the path is for.

    Attributes
    ----------
    changed : Signal()
        Emitted when the path was changed.
    """

    changed = Signal()

    def __init__(self, mode: Literal["d", "r", "w"], remember_as: str, tooltip: str = "") -> None:
        super().__init__()
        self._edit = FileEdit(mode=FileDialogMode(mode), nullable=True, tooltip=tooltip)
        self._edit.choose_btn.text = "…"
        self._edit.choose_btn.native.setMaximumWidth(32)
        self._remember_as = remember_as
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._edit.native)
        if isinstance(path := recall(remember_as), str):
            self._edit.value = Path(path)
        self._edit.changed.connect(self._on_change)
        _path_boxes.add(self)

    @property
    def value(self) -> Path | None:
        """The path, with ``~`` replaced by the home folder; None while the line is empty."""
        text = self._edit.line_edit.value.strip()
        return Path(text).expanduser() if text else None

    @value.setter
    def value(self, path: Path | str) -> None:
        self._edit.value = Path(path)

    def require(self, what: str) -> Path:
        """Give the path, or explain that there is none.

        Parameters
        ----------
        what : str
            What to choose, such as ``"a dataset folder"``.

        Raises
        ------
        UserError
            While the line is empty.
        """
        if (path := self.value) is None:
            raise UserError(f"No path is chosen; choose {what} first.")
        return path

    def _on_change(self) -> None:
        if self.value is not None:
            remember(self._remember_as, str(self.value))
            for box in list(_path_boxes):
                if box._remember_as == self._remember_as and box.value != self.value:
                    box.value = self.value
        self.changed.emit()


class Dock(ScrollDock):
    """The base of the docks: a scrolling column, a message line, layer menus that stay fresh, and the dock's job.

    A subclass sets `kind`, makes `run_bar` before anything can start, adds its widgets to `column`, and ends its
    constructor with ``self.find_job()``. It overrides `on_event`, and `on_ended` where the end changes anything.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, as napari hands it to a plugin's widget.
    """

    kind: ClassVar[str]

    def __init__(self, napari_viewer: Any) -> None:
        content = QWidget()
        self.column = QVBoxLayout(content)
        self.column.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.column.setContentsMargins(8, 8, 8, 8)
        self.column.setSpacing(6)
        super().__init__(content)
        # Napari may hand out a proxy whose layers are no members of `viewer.layers`.
        self.viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.jobs = jobs_of(self.viewer)
        self.message = MessageLine()
        self.run_bar: RunBar
        self._layer_boxes: list[Any] = []

    def layer_box(self, annotation: Any, tooltip: str) -> Any:
        """Make a menu of the viewer's layers of a type; its `value` is the layer or None.

        Parameters
        ----------
        annotation : type
            Such as ``Image`` (the first one is chosen), or ``Image | None`` (none is chosen and can be chosen again).
        tooltip : str
            What the layer is used for.
        """
        box = create_widget(annotation=annotation, options={"tooltip": tooltip})
        box.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # long names must not widen it
        box.native.setMinimumWidth(80)
        self._layer_boxes.append(box)
        return box

    def reset_choices(self, *_: Any) -> None:
        """Bring the layer menus up to date; napari calls it when layers come, go or are renamed."""
        for box in self._layer_boxes:
            box.reset_choices()

    def selected_layer(self, kind: type[Layer]) -> Any:
        """Give the first selected layer of a type in the viewer, or None."""
        return next((layer for layer in self.viewer.layers.selection if isinstance(layer, kind)), None)

    def find_job(self) -> None:
        """Show the job that another copy of this dock started, now or later."""
        self.jobs.started.connect(self._on_started)
        if (job := self.jobs.running(self.kind)) is not None:
            for event in job.kept:
                self.on_event(event)
            self._on_started(job)

    def on_event(self, event: Any) -> None:
        """Show one event of the job; called on the main thread."""

    def on_ended(self, job: Job) -> None:
        """React to the end of the job, of whatever kind; a failure is already in the message line."""

    def _on_started(self, job: Job) -> None:
        if job.kind != self.kind:
            return
        self._job = job
        self.run_bar.watch(job)
        job.event.connect(self.on_event)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_ended)

    def _on_failed(self, message: str) -> None:
        self.message.show_message(message, "error")

    def _on_ended(self) -> None:
        self.on_ended(self._job)


def heading(text: str) -> QLabel:
    """Make the heading of a part of a dock."""
    label = QLabel(text)
    label.setStyleSheet("QLabel { font-weight: bold; padding-top: 4px; }")
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


def words_for_seconds(seconds: float) -> str:
    """Write a duration the way people say it: ``8 s``, ``2 min 5 s``, ``3 h 12 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _breakable(message: str) -> str:
    """Let Qt break long paths after their slashes (with a zero-width space)."""
    return message.replace("/", "/\u200b").replace("\\", "\\\u200b")
