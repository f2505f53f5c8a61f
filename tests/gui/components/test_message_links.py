"""Paths in messages open with a click, or with Tab and Enter."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QObject, QPoint, Qt, Slot
from qtpy.QtGui import QDesktopServices
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from napari_unet3d.widgets.components.context import MessageLine


class Opener(QObject):
    """Takes what would be opened by another program."""

    def __init__(self):
        super().__init__()
        self.opened = []

    @Slot("QUrl")
    def take(self, url):
        self.opened.append(url.toLocalFile())


@pytest.fixture
def opened():
    opener = Opener()
    try:
        QDesktopServices.setUrlHandler("file", opener.take)  # PyQt
    except TypeError:
        QDesktopServices.setUrlHandler("file", opener, "take")  # PySide
    yield opener.opened
    QDesktopServices.unsetUrlHandler("file")


@pytest.fixture
def window(qtbot):
    window = QWidget()
    layout = QVBoxLayout(window)
    window.before, window.line = QLineEdit(), MessageLine()
    layout.addWidget(window.before)
    layout.addWidget(window.line)
    window.resize(420, 200)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    return window


@pytest.fixture
def line(window):
    return window.line


def click_link(line):
    """Click where the pointer says that there is a link."""
    for y in range(2, line.height(), 4):
        for x in range(4, line.width(), 6):
            QTest.mouseMove(line, QPoint(x, y))
            if line.cursor().shape() == Qt.CursorShape.PointingHandCursor:
                QTest.mouseClick(line, Qt.MouseButton.LeftButton, pos=QPoint(x, y))
                return True
    return False


def test_a_click_on_a_path_opens_it(line, opened, tmp_path):
    report = tmp_path / "my <b>report.html"
    report.touch()
    line.show_message(f"The report is in {report}. 1 < 2 & all is well.")
    assert line.text() == f"The report is in {report}. 1 < 2 & all is well."
    assert click_link(line)
    assert opened == [str(report)]


def test_a_path_is_reachable_by_keyboard(window, line, opened, tmp_path, qtbot):
    line.show_message(f"Created folders in {tmp_path}")
    window.before.setFocus()
    qtbot.waitUntil(window.before.hasFocus)
    QTest.keyClick(window.before, Qt.Key.Key_Tab)
    qtbot.waitUntil(line.hasFocus)
    QTest.keyClick(line, Qt.Key.Key_Tab)
    QTest.keyClick(line, Qt.Key.Key_Return)
    assert opened == [str(tmp_path)]


def test_what_is_gone_is_said_and_other_messages_have_no_link(line, opened, tmp_path):
    path = tmp_path / "a.csv"
    path.touch()
    line.show_message(f"The errors are in {path}")
    path.unlink()
    assert click_link(line)
    assert line.kind == "warning"
    assert "no longer there" in line.text()
    line.show_message(f"The errors are not in {path}")
    assert not click_link(line)
    assert not opened
