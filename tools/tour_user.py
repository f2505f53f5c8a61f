"""A user of a napari window with a mouse and a keyboard, who takes a screenshot after each step.

Events are sent to windows of the screen, as those of a real mouse: they reach what lies on top at that place, and only
what a person could reach. What cannot be found or reached ends the tour with a sentence about it.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from geometry import problems_of
from qtpy.QtCore import QPoint, QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QFileDialog,
    QLabel,
    QLineEdit,
    QMenu,
    QTabBar,
    QWidget,
)
from tour_input import LEFT, MouseAndKeyboard, TourError, label, plain, pump

PLUGIN = "napari-unet3d"
WIDTH, HEIGHT = 1366, 768
_WATCH_MS, _MOST_SEEN = 5000, 8  # an open dialog is seen so many times before it is closed


class User(MouseAndKeyboard):
    """Uses a viewer with mouse and keyboard.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer; its window is put into the corner of the screen.
    folder : Path
        The folder for the screenshots.

    Attributes
    ----------
    remarks : dict of str to int
        What is squeezed or cut off in docks, and the number of the last picture of it.
    """

    def __init__(self, viewer: Any, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(viewer)
        self.folder = folder
        self.window = viewer.window._qt_window
        self.window.setGeometry(0, 0, WIDTH, HEIGHT)
        self.window.activateWindow()
        self.remarks: dict[str, int] = {}
        self._n_pictures = 0
        self._knows_reader = False
        self._unanswered: tuple[Any, int] = (None, 0)
        self._problems: list[str] = []
        self._watch = QTimer()
        self._watch.timeout.connect(self._close_unexpected_dialog)
        self._watch.start(_WATCH_MS)
        pump(1)

    def shoot(self, name: str) -> None:
        """Save a picture of the screen."""
        pump(0.6)
        self._save_screen(name)
        for title, dock in self.viewer.window.dock_widgets.items():
            native: QWidget = getattr(dock, "native", dock)
            if PLUGIN in title and native.isVisible() and not native.visibleRegion().isEmpty():
                self.remarks.update({f"{title} {problem}": self._n_pictures for problem in problems_of(native)})

    def _save_screen(self, name: str) -> None:
        self._n_pictures += 1
        picture = QGuiApplication.primaryScreen().grabWindow(0, 0, 0, WIDTH, HEIGHT)
        picture.save(str(self.folder / f"{self._n_pictures:02d}-{name}.png"))

    def idle(self, dock: Any, kind: str | None = None, seconds: float = 1800) -> None:
        """Wait until the job of a dock has ended, which must not have failed."""
        kind = kind or dock.kind
        self.wait(lambda: dock.jobs.running(kind) is None, f"the end of '{kind}'", seconds)
        pump(0.5)
        if (job := dock.jobs.latest(kind)) is not None and job.message:
            raise TourError(f"'{job.title}' has failed: {job.message}")

    def wait_in_job(self, dock: Any, condition: Callable[[], Any], what: str) -> None:
        """Wait until a condition holds while the job of a dock runs, which must not end before."""
        self.wait(lambda: condition() or dock.jobs.running(dock.kind) is None, what)
        if not condition():
            self.idle(dock)
            raise TourError(f"'{dock.kind}' has ended without {what}: {dock.message.text() or 'no message'}.")

    def expect(self, is_true: Any, sentence: str) -> None:
        """End the tour with a sentence unless something is true."""
        if not is_true:
            raise TourError(sentence)

    def save(self, button: str, dock: Any, file: Path) -> None:
        """Press a button that asks for a file, and wait until that is written."""
        with self.answering(partial(self.choose_file, file), f"asked-for-{file.stem}"):
            self.press(button, dock)
        self.wait(file.exists, f"the file {file.name} of '{button}'", 120)

    @contextmanager
    def reporting(self) -> Iterator[list[str]]:
        """Collect what ends the tour and what was raised on the way, with a last picture."""
        problems = self._problems
        before = sys.excepthook

        def note(kind: Any, error: Any, trace: Any) -> None:
            problems.append("".join(traceback.format_exception(kind, error, trace)))
            print(problems[-1], file=sys.stderr, flush=True)  # noqa: T201 - the tour may not come to its end

        sys.excepthook = note
        try:
            yield problems
        except TourError as error:
            problems.append(str(error))
            self.shoot("the-end-of-the-tour")
        except Exception:  # noqa: BLE001 - whatever ends the tour is reported with a picture
            problems.append(traceback.format_exc())
            self.shoot("the-end-of-the-tour")
        finally:
            sys.excepthook = before

    def _close_unexpected_dialog(self) -> None:
        """Close a dialog that nobody has answered, which would block the tour, and report it."""
        dialog = QApplication.activeModalWidget()
        known, n_seen = self._unanswered
        self._unanswered = dialog, n_seen + 1 if dialog is known else 0
        if dialog is None or self._unanswered[1] < _MOST_SEEN:
            return
        texts = [label.text() for label in dialog.findChildren(QLabel) if label.text()]
        self._problems.append(f"An unexpected dialog '{dialog.windowTitle()}': {' '.join(texts)}")
        self._save_screen("unexpected-dialog")
        dialog.reject()

    def show_tab(self, name: str) -> None:
        """Click the tab of a dock that lies under others."""
        for bar in self.window.findChildren(QTabBar):
            for index in range(bar.count()):
                if bar.isVisible() and bar.tabText(index) == name:
                    self.click(bar, bar.tabRect(index).center())
                    pump(0.5)
                    return
        raise TourError(f"There is no tab '{name}'.")

    def toggle_3d(self) -> None:
        """Click the button of the viewer that changes between slices and 3D."""
        self.click(self.viewer.window._qt_viewer.viewerButtons.ndisplayButton, QPoint(10, 10))
        pump(1)

    def menu(self, *path: str) -> None:
        """Click through the menu bar."""
        bar: Any = self.window.menuBar()
        for text in path:
            action = next((each for each in bar.actions() if plain(each.text()) == text), None)
            if action is None:
                raise TourError(f"There is no '{text}', but {', '.join(plain(each.text()) for each in bar.actions())}.")
            self.click(bar, bar.actionGeometry(action).center())
            bar = action.menu()

    def open_dock(self, name: str) -> Any:
        """Open a dock from the menu Plugins, which would close one that is open: that is brought to the front."""
        if f"{name} ({PLUGIN})" in self.viewer.window.dock_widgets:
            self.show_tab(name)
            return self.dock(name)
        self.menu("Plugins", PLUGIN, f"{name} ({PLUGIN})")
        pump(0.8)
        return self.dock(name)

    def dock(self, name: str) -> Any:
        """Return a dock that is open."""
        dock = dict(self.viewer.window.dock_widgets).get(f"{name} ({PLUGIN})")
        if dock is None:
            raise TourError(f"The dock '{name}' is not open.")
        return dock

    def open_files(self, *files: Path) -> None:
        """Choose files in the dialog of File ▸ Open, with the reader of the plugin, which is asked for once."""
        for file in files:
            n_layers = len(self.viewer.layers)
            with self.answering(partial(self.choose_file, file)):
                if not self._knows_reader:
                    QTimer.singleShot(1500, self._choose_reader)
                self.menu("File", "Open File(s)...")
            self.wait(lambda n=n_layers: len(self.viewer.layers) > n, f"the layers of {file.name}")
            pump(0.5)

    def _choose_reader(self) -> None:
        """Choose the reader of the plugin in napari's question, for all files of this kind."""
        dialog = QApplication.activeModalWidget()
        if dialog is None or isinstance(dialog, QFileDialog):
            QTimer.singleShot(500, self._choose_reader)
            return
        self._knows_reader = True
        self.shoot("which-reader")
        for each in dialog.findChildren(QAbstractButton):
            if label(each) == PLUGIN or label(each).startswith("Remember"):
                QTest.mouseClick(each, LEFT, pos=QPoint(10, each.height() // 2))
        QTest.mouseClick(next(each for each in dialog.findChildren(QAbstractButton) if label(each) == "OK"), LEFT)

    def choose_file(self, file: Path, dialog: Any) -> None:
        """Type a path into a file dialog of Qt."""
        assert isinstance(dialog, QFileDialog)
        line = dialog.findChild(QLineEdit, "fileNameEdit")
        assert line is not None
        line.setText(str(file))
        pump(0.3)
        confirm = next(
            each for each in dialog.findChildren(QAbstractButton) if label(each) in ("Open", "Save", "Choose")
        )
        QTest.mouseClick(confirm, LEFT)

    @contextmanager
    def answering(self, answer: Callable[[Any], None], name: str = "") -> Iterator[None]:
        """Answer the next dialog that opens inside the block, after a picture of it if it has a name."""
        answered = []

        def look() -> None:
            dialog = QApplication.activeModalWidget()
            if isinstance(dialog, QMenu) or dialog is None:
                return
            timer.stop()
            answered.append(dialog)
            if name:
                self.shoot(name)
            answer(dialog)

        timer = QTimer()
        timer.timeout.connect(look)
        timer.start(300)
        yield
        self.wait(lambda: answered, f"a dialog {name}", 20)
