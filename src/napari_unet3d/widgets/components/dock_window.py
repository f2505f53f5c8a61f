"""Docks in napari's window: opened, tabs of each other, and the question before the window is closed."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QDockWidget, QMainWindow, QMessageBox, QWidget

from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.jobs.jobs import Job, Jobs

_OURS = "napari-unet3d"  # the plugin, and a property of the widgets that are its docks
_ASKED_ABOUT = ("train",)  # hours may be lost; other work is repeated in seconds or minutes


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


def dock_frame(widget: QWidget) -> QDockWidget | None:
    """Return the frame that a widget is in, or None."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent


class CloseGuard(QObject):
    """Asks before the user closes a window with a running training, unless napari does.

    Napari asks about running work itself, but only since 0.6.5, and only when the window is closed by its title bar:
    not by its menu or a key.

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
        window.installEventFilter(self)
        window.destroyed.connect(jobs.stop_all)  # napari before 0.6.5 leaves them running until it ends

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the window open when the user decides so."""
        if event is not None and event.type() == QEvent.Type.Close and watched is self._window:
            running = [job for kind in _ASKED_ABOUT if (job := self._jobs.running(kind)) is not None]
            if running and self._should_ask(event, running) and not self._may_close(running):
                event.ignore()
                return True
        return super().eventFilter(watched, event)

    def _should_ask(self, event: QEvent, running: list[Job]) -> bool:
        if event.spontaneous():
            return not all(job.title in self._titles_in_napari() for job in running)
        return not self._is_closed_by_program()

    def _titles_in_napari(self) -> str:
        manager = getattr(self._viewer.window, "_task_status_manager", None)
        return "" if manager is None else "\n".join(manager.get_status())

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
        box.setText(f"{' and '.join(job.title for job in running)} is still running.")
        box.setInformativeText(
            "Closing the viewer stops it. The Train dock offers to continue it later, after its last complete epoch."
        )
        stop = box.addButton("Stop and close", QMessageBox.ButtonRole.AcceptRole)
        box.setDefaultButton(box.addButton("Keep running", QMessageBox.ButtonRole.RejectRole))
        box.exec()
        return box.clickedButton() is stop


def guard_closing(dock: QWidget, viewer: Any, jobs: Jobs) -> None:
    """Ask before the window of a dock is closed while a training runs; a second call for a window does nothing."""
    window = dock.parentWidget()
    while window is not None and not isinstance(window, QMainWindow):
        window = window.parentWidget()
    if window is not None and window.findChild(CloseGuard) is None:
        CloseGuard(window, viewer, jobs)
