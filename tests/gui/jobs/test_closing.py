"""Closing a viewer while a training runs: it asks, ends soon, and the run can go on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from napari.settings import get_settings
from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtGui import QWindow
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLabel, QMessageBox, QPushButton

from napari_unet3d.training.events import EpochFinished
from napari_unet3d.training.loop import train

PROGRAM = Path(__file__).with_name("closed_viewer.py")


def answer_with(words, asked):
    """Click a button of the question that is shown next."""
    box = QApplication.activeModalWidget()
    if not isinstance(box, QMessageBox):
        asked.append(box)
        return
    asked.append(box.text())
    next(button for button in box.buttons() if button.text() == words).click()


def close_by_menu(viewer):
    """What File > Close Window calls; the entry itself does nothing in a window without the focus."""
    viewer.window._qt_window.close(quit_app=False, confirm_need=True)


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


def test_the_menu_asks_also_where_napari_does_not(long_run, viewer, qtbot):
    get_settings().application.confirm_close_window = False
    asked = []
    QTimer.singleShot(0, lambda: close_by_menu(viewer))
    QTimer.singleShot(500, lambda: answer_with("Keep running", asked))
    qtbot.waitUntil(lambda: bool(asked), timeout=20_000)
    assert asked == [f"{long_run.title} is still running."]
    with qtbot.waitSignal(long_run.reported, timeout=20_000):
        pass
    assert long_run.is_running
    assert viewer.window._qt_window.isVisible()


class Watch(QObject):
    """Collects the questions that are shown, and answers each with a click."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.texts = answer, []
        self.timer = QTimer(self)
        self.timer.timeout.connect(self.look)
        self.timer.start(50)

    def look(self):
        box = QApplication.activeModalWidget()
        if box is None:
            return
        self.texts.append("\n".join(label.text() for label in box.findChildren(QLabel)))
        buttons = {button.text(): button for button in box.findChildren(QPushButton)}
        yes, no = ("Stop and close", "Keep running") if "Stop and close" in buttons else ("Close", "Cancel")
        QTest.mouseClick(buttons[yes if self.answer else no], Qt.MouseButton.LeftButton)


def close_by_title_bar(viewer):
    """What Qt does when the window manager asks to close the window: a spontaneous event."""
    QWindow.close(viewer.window._qt_window.windowHandle())


@pytest.mark.parametrize("close", [close_by_title_bar, close_by_menu])
@pytest.mark.parametrize("asks_always", [True, False])
def test_each_way_of_closing_asks_once_and_both_answers_work(close, asks_always, long_run, viewer, qtbot, monkeypatch):
    viewer.add_labels(np.zeros((4, 5, 6), np.uint8))  # without layers napari does not ask
    monkeypatch.setattr(get_settings().application, "confirm_close_window", asks_always)
    window = viewer.window._qt_window
    window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)  # the fixture of napari cleans it up itself
    no = Watch(False)
    close(viewer)
    qtbot.wait(300)
    no.timer.stop()
    assert len(no.texts) == 1
    assert f"{long_run.title} is still running." in no.texts[0]
    assert "kept in the run folder" in no.texts[0]
    assert window.isVisible()
    with qtbot.waitSignal(long_run.reported, timeout=20_000):
        pass
    yes = Watch(True)
    close(viewer)
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=20_000)
    yes.timer.stop()
    assert len(yes.texts) == 1
    assert long_run._thread.has_ended.wait(120)


def test_a_program_that_closes_its_viewer_is_not_asked(long_run, viewer, qtbot):
    with qtbot.waitSignal(long_run._worker.finished, timeout=20_000):
        QTimer.singleShot(0, viewer.close)  # while events are handled, as a plugin would
    assert long_run._thread.has_ended.wait(120)
    assert QApplication.activeModalWidget() is None


@pytest.mark.skipif(sys.platform == "win32", reason="children are looked for as on POSIX")
@pytest.mark.parametrize("how", ["thread", "child", "paused", "slow"])
def test_the_process_ends_soon_and_the_run_goes_on(how, dataset, tmp_path, memory_folder):
    run = tmp_path / "run"
    command = [sys.executable, PROGRAM, how, dataset, run]
    env = os.environ | {"XDG_CONFIG_HOME": str(tmp_path / "config"), "NAPARI_CONFIG": str(tmp_path / "napari.yaml")}
    errors = tmp_path / "errors.txt"
    with (
        errors.open("w") as told,
        subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=told, text=True, env=env) as process,
    ):
        assert process.stdout is not None
        words = []
        children = []
        for line in process.stdout:
            words.append(line.strip())
            if line.startswith("asked"):
                children = psutil.Process(process.pid).children(recursive=True)
                asked_at = time.monotonic()
        code = process.wait(120)
    assert words[-2:] == ["asked: Training run is still running.", "closed"], errors.read_text()
    assert ("slow step" in words) is (how == "slow")
    assert code == 0, errors.read_text()
    assert time.monotonic() - asked_at < 90, "nobody waits for a step of minutes"
    assert bool(children) is (how == "child")
    psutil.wait_procs(children, timeout=120)
    assert not [child for child in children if child.is_running()]
    events = train(dataset, run, resume=True)
    assert next(event for event in events if isinstance(event, EpochFinished)).epoch >= 2
    events.close()
