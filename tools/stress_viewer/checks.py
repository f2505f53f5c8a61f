"""What is left after a sequence of actions, and what went wrong during it."""

from __future__ import annotations

import gc
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtCore import QEventLoop, QTimer, qInstallMessageHandler
from qtpy.QtWidgets import QApplication, QWidget

from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.keys import bound_keys
from napari_unet3d.widgets.jobs import jobs as jobs_module
from napari_unet3d.widgets.jobs.jobs import Job

OURS = "napari_unet3d"
GUARD = f"{OURS}.widgets.viewer.canvas_context"  # stays for as long as the viewer


class Problems:
    """Collects exceptions, error notifications, warnings of Qt, and event loops that run inside a delivery.

    Attributes
    ----------
    found : list of str
        What was found since it was emptied last.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        sys.excepthook = self._on_exception
        threading.excepthook = lambda args: self._on_exception(args.exc_type, args.exc_value, args.exc_traceback)
        sys.unraisablehook = lambda args: self._on_exception(args.exc_type, args.exc_value, args.exc_traceback)
        notification_manager.notification_ready.connect(self._on_notification)
        qInstallMessageHandler(self._on_qt)
        self._watch_event_loops()

    def _on_exception(self, kind: Any, error: Any, trace: Any) -> None:
        self.found.append("".join(traceback.format_exception(kind, error, trace)))
        sys.last_value = sys.last_traceback = None  # else they keep what was alive then

    def _on_notification(self, notification: Any) -> None:
        if notification.severity >= NotificationSeverity.ERROR:
            error = getattr(notification, "exception", None)
            lines = traceback.format_exception(error) if error is not None else [notification.message]
            self.found.append("notification: " + "".join(lines))

    def _on_qt(self, _kind: Any, _context: Any, message: str) -> None:
        if not any(known in message for known in _HARMLESS):
            self.found.append(f"Qt: {message}")

    def _watch_event_loops(self) -> None:
        """Note each call that handles other events of Qt while a job delivers its events."""

        def watched(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                if any(job._is_busy for job in list(jobs_module._running)):
                    stack = "".join(traceback.format_stack(limit=14)[:-1])
                    self.found.append(f"{name} inside a delivery:\n{stack}")
                return original(*args)

            return call

        QApplication.processEvents = staticmethod(watched("processEvents", QApplication.processEvents))
        original = QEventLoop.exec
        QEventLoop.exec = lambda loop, *args: watched("QEventLoop.exec", original)(loop, *args)


# Of the window system and of napari; none of them is about what the plugin does.
_HARMLESS = (
    "propagateSizeHints",
    "QWindowsWindow::setGeometry",
    "Unable to open monitor interface",
    "QFont::setPointSize",
    "Wayland does not support",
    "setNativeLocks failed",
    "XDG_RUNTIME_DIR",
)


def leftovers(viewer: Any, folder: Path) -> Iterator[str]:
    """Yield what is left once all docks are closed, all jobs have ended and all layers are removed."""
    gc.collect()
    if len(viewer.layers):
        yield f"layers: {[layer.name for layer in viewer.layers]}"
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("napari-unet3d")]
    if threads:
        yield f"threads: {threads}"
    if jobs_module._running:
        yield f"jobs: {[job.title for job in jobs_module._running]}"
    if children := [child for child in psutil.Process().children(recursive=True) if not _is_of_python(child)]:
        yield f"child processes: {children}"
    yield from _objects()
    if found := callbacks(viewer):
        yield f"callbacks: {found}"
    if keys := [key.key for key in bound_keys(viewer)]:
        yield f"keys: {keys}"
    yield from _files(folder)


def _is_of_python(child: psutil.Process) -> bool:
    """Whether it is the one that multiprocessing starts once and keeps as long as its process lives, or has ended."""
    try:
        return "multiprocessing.resource_tracker" in " ".join(child.cmdline())
    except psutil.Error:  # it has just ended
        return True


def _objects() -> Iterator[str]:
    """Yield docks that are not collected, and timers of ours that run."""
    objects = gc.get_objects()
    docks = [each for each in objects if issubclass(type(each), Dock)]  # isinstance would import all of torch
    if docks:
        states = [f"{type(dock).__name__}{' (deleted by Qt)' if dock._is_gone else ''}" for dock in docks]
        yield f"docks in memory: {', '.join(states)}"
    timers = [each for each in objects if issubclass(type(each), QTimer)]
    running = [timer for timer in timers if _is_running(timer) and isinstance(timer.parent(), Job | QWidget)]
    ours = [timer for timer in running if type(timer.parent()).__module__.startswith(OURS)]
    if ours:
        yield f"timers of {[type(timer.parent()).__name__ for timer in ours]}"


def _is_running(timer: QTimer) -> bool:
    try:
        return timer.isActive()
    except RuntimeError:  # deleted by Qt
        return False


def _files(folder: Path) -> Iterator[str]:
    temporary = [path.name for path in Path(tempfile.gettempdir()).iterdir()]
    if temporary:
        yield f"temporary files: {temporary}"
    hidden = [path for path in folder.rglob(".*") if path.is_file() or path.suffix]
    if hidden:
        yield f"unfinished files: {[str(path.relative_to(folder)) for path in hidden]}"


def callbacks(viewer: Any) -> list[str]:
    """Return the events of the viewer that call something of the plugin."""
    groups = {
        "viewer": viewer.events,
        "layers": viewer.layers.events,
        "selection": viewer.layers.selection.events,
        "dims": viewer.dims.events,
        "camera": viewer.scene.camera.events,
    }
    called = {
        f"{name} {event}": emitter.callbacks
        for name, group in groups.items()
        for event, emitter in group.emitters.items()
    }
    called |= {name: getattr(viewer, name) for name in ("mouse_move_callbacks", "mouse_double_click_callbacks")}
    owners = {words: {_owner(each) for each in them} - {GUARD} for words, them in called.items()}
    return [words for words, them in owners.items() if any(owner.startswith(OURS) for owner in them)]


def _owner(callback: Any) -> str:
    """Return the module of what is called; of a method, of which napari keeps a weak reference, that of its object."""
    if isinstance(callback, tuple):
        return type(callback[0]()).__module__
    return getattr(callback, "__module__", None) or ""
