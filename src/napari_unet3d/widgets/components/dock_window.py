"""Docks in napari's window: opened, tabs of each other, and the question before the window is closed."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QChildEvent, QEvent, QObject, Qt
from qtpy.QtWidgets import QDialog, QDockWidget, QLabel, QMainWindow, QMessageBox, QTabBar, QWidget

from napari_unet3d.widgets.components.containers import single_shot
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.jobs.jobs import Job, Jobs

_OURS = "napari-unet3d"  # the plugin, and a property of the widgets that are its docks
_ASKED_ABOUT = ("train",)  # hours may be lost; other work is repeated in seconds or minutes
_QUESTION_OF_NAPARI = "ConfirmCloseDialog"
_KEPT = (
    "Closing the viewer stops it. What was trained is kept in the run folder: the Train dock offers to continue it "
    "later, after its last complete epoch."
)


def mark_as_dock(widget: QWidget) -> None:
    """Mark a widget as a dock of the plugin, for `join_tabs`."""
    widget.setProperty(_OURS, True)


def open_dock(viewer: Any, name: str, subject: HandOver | None = None) -> Any:
    """Open a dock of the plugin, or bring it to the front when it is open, and return it.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    name : str
        The name of the dock, as the menu calls it.
    subject : HandOver, optional
        What it is opened for, whatever was chosen in it before.
    """
    _, dock = viewer.window.add_plugin_dock_widget(_OURS, name)
    dock.raise_tab()
    if subject is not None:
        dock.receive(subject)
    return dock


def plugin_dock(viewer: Any, name: str) -> Any | None:
    """Return a dock of the plugin that is open; None if it is not."""
    return viewer.window.dock_widgets.get(f"{name} ({_OURS})")


def raise_tab(widget: QWidget) -> None:
    """Raise a dock above others that share its place as tabs."""
    if (frame := dock_frame(widget)) is not None:
        frame.show()
        frame.raise_()


def join_tabs(widget: QWidget) -> None:
    """Make a dock a tab of another dock of the plugin in the same area, if there is one."""
    frame = dock_frame(widget)
    window: Any = frame.parentWidget() if frame is not None else None
    if frame is None or not isinstance(window, QMainWindow) or frame.isFloating():
        return
    area = window.dockWidgetArea(frame)
    for other in window.findChildren(QDockWidget):
        content = other.widget()
        if other is frame or content is None or not content.property(_OURS) or other.isFloating():
            continue
        if other.parentWidget() is window and window.dockWidgetArea(other) == area:
            window.tabifyDockWidget(other, frame)
            raise_tab(widget)
            return


def shorten_title(widget: QWidget) -> None:
    """Leave the name of the plugin out of the title that the tab of a dock shows; napari knows it by another one."""
    frame = dock_frame(widget)
    if frame is not None:
        frame.setWindowTitle(frame.windowTitle().removesuffix(f" ({_OURS})"))


class TabTitles(QObject):
    """Makes the tabs of docks show their whole titles; with many tabs, arrows scroll them.

    Parameters
    ----------
    window : QMainWindow
        The window of the viewer.
    """

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        window.installEventFilter(self)
        for bar in window.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly):
            _show_whole_titles(bar)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Set up each bar with tabs that Qt adds to the window."""
        if isinstance(event, QChildEvent) and event.type() == QEvent.Type.ChildPolished:
            child = event.child()
            if isinstance(child, QTabBar):
                _show_whole_titles(child)
        return False


def _show_whole_titles(bar: QTabBar) -> None:
    bar.setElideMode(Qt.TextElideMode.ElideNone)
    bar.setUsesScrollButtons(True)


def show_whole_titles(dock: QWidget) -> None:
    """Make the tabs in the window of a dock show their whole titles; a second call for a window does nothing."""
    window = _window_of(dock)
    if window is not None and window.findChild(TabTitles) is None:
        TabTitles(window)


def dock_frame(widget: QWidget) -> QDockWidget | None:
    """Return the frame that a widget is in, or None."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent


class CloseGuard(QObject):
    """Asks once before the user closes a window with a running training, and says what is kept.

    Napari asks about running work itself, but only since 0.6.5, and only when the window is closed by its title bar;
    there it is asked for here alone. Its menus ask whether to close the window, unless the user has chosen otherwise:
    that question then says what is running.

    Parameters
    ----------
    window : QMainWindow
        The window of the viewer; the guard is deleted with it.
    viewer : napari.Viewer
        The viewer.
    jobs : Jobs
        Its jobs.
    """

    def __init__(self, window: QMainWindow, viewer: Any, jobs: Jobs) -> None:
        super().__init__(window)
        self._window, self._viewer, self._jobs = window, viewer, jobs
        self._is_confirmed = False
        self._close_timer = single_shot(self, self._close)
        window.installEventFilter(self)
        window.destroyed.connect(jobs.stop_all)  # napari before 0.6.5 leaves them running until it ends

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the window open when the user decides so.

        While the window is deleted, Qt sends it events of other types, when PySide6 has cleared the attributes of its
        guard already.
        """
        kind = None if event is None else event.type()
        if kind == QEvent.Type.ChildPolished and isinstance(event, QChildEvent):
            self._explain_in(event.child())
        elif event is not None and kind == QEvent.Type.Close and (running := self._running()):
            is_confirmed, self._is_confirmed = self._is_confirmed, False
            if not is_confirmed and not (not event.spontaneous() and self._is_closed_by_program()):
                event.ignore()
                if self._may_close(running):
                    self._close_timer.start()  # Qt is still in the closing that was ignored
                return True
        return False

    def _running(self) -> list[Job]:
        jobs = [job for kind in _ASKED_ABOUT if (job := self._jobs.running(kind)) is not None]
        return [job for job in jobs if not job.outlives_viewer]

    def _explain_in(self, child: QObject | None) -> None:
        """Add to napari's own question what is running, so that one answer is enough."""
        running = self._running()
        if not running or not isinstance(child, QDialog) or type(child).__name__ != _QUESTION_OF_NAPARI:
            return
        label = QLabel(f"{_describe(running)}\n{_KEPT}")
        label.setWordWrap(True)
        if (layout := child.layout()) is not None:
            layout.addWidget(label)
            child.accepted.connect(self._confirm)

    def _confirm(self) -> None:
        self._is_confirmed = True

    def _close(self) -> None:
        self._is_confirmed = True
        self._window.close()

    def _is_closed_by_program(self) -> bool:
        """Return whether `viewer.close()` closes the window: it has removed the canvas before."""
        centre = self._window.centralWidget()
        layout = None if centre is None else centre.layout()
        item = None if layout is None else layout.itemAt(0)
        canvas = None if item is None else item.widget()
        return canvas is None or canvas.isHidden()

    def _may_close(self, running: list[Job]) -> bool:
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Training is running")
        box.setText(_describe(running))
        box.setInformativeText(_KEPT)
        stop = box.addButton("Stop and close", QMessageBox.ButtonRole.AcceptRole)
        box.setDefaultButton(box.addButton("Keep running", QMessageBox.ButtonRole.RejectRole))
        box.exec()
        return box.clickedButton() is stop


def _describe(running: list[Job]) -> str:
    return f"{' and '.join(job.title for job in running)} is still running."


def guard_closing(dock: QWidget, viewer: Any, jobs: Jobs) -> None:
    """Ask before the window of a dock is closed while a training runs; a second call for a window does nothing."""
    window = _window_of(dock)
    if window is not None and window.findChild(CloseGuard) is None:
        CloseGuard(window, viewer, jobs)


def _window_of(widget: QWidget) -> QMainWindow | None:
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QMainWindow):
        parent = parent.parentWidget()
    return parent
