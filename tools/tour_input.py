"""A mouse and a keyboard, whose events reach what lies on top at a place of the screen, and only that."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from qtpy.QtCore import QEventLoop, QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QScrollArea,
    QWidget,
)

LEFT = Qt.MouseButton.LeftButton
_DRAG_STEPS = 12
_TRIES = 25


class TourError(Exception):
    """What a user could not do."""


def pump(seconds: float) -> None:
    """Handle events for a while."""
    loop = QEventLoop()
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()


class MouseAndKeyboard:
    """Clicks, drags and types in a viewer.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer

    @property
    def canvas(self) -> QWidget:
        """The widget in which the layers are drawn."""
        return self.viewer.window._qt_viewer.canvas.native

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 900) -> None:
        """Handle events until a condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TourError(f"Waited {seconds:g} s in vain for {what}.")
            pump(0.1)

    def click(self, widget: Any, at: QPoint | None = None, *, twice: bool = False) -> None:
        """Scroll to a widget, and click its middle or a place in it."""
        native: QWidget = getattr(widget, "native", widget)
        target, place = _window_of(native), self._reach(native, at)
        if target is native:  # there, the place is one of the widget
            place = native.mapFrom(native.window(), place)
        QTest.mouseMove(target, place)
        if not native.isEnabled():
            raise TourError(f"'{_name(native)}' cannot be used now.")
        click = QTest.mouseDClick if twice else QTest.mouseClick
        click(target, LEFT, Qt.KeyboardModifier.NoModifier, place)
        pump(0.2)

    def press(self, text: str, within: Any) -> None:
        """Press the button with a text that is in view, or can be scrolled into view."""
        native: QWidget = getattr(within, "native", within)
        found = [each for each in native.findChildren(QAbstractButton) if each.isVisible() and label(each) == text]
        if not found:
            texts = sorted({label(each) for each in native.findChildren(QAbstractButton) if each.isVisible()})
            raise TourError(f"There is no button '{text}', but {', '.join(filter(None, texts))}.")
        self.click(found[0], _place_of_mark(found[0]))

    def choose(self, menu: Any, text: str) -> None:
        """Open a combo box, and click the item with a text."""
        box: QComboBox = menu if isinstance(menu, QComboBox) else menu.native.findChild(QComboBox) or menu.native
        index = box.findText(text)
        if index < 0:
            raise TourError(f"There is no '{text}', but {', '.join(box.itemText(i) for i in range(box.count()))}.")
        self.click(box)
        pump(0.5)  # a list ignores the mouse shortly after it has opened
        view = box.view()
        item = view.model().index(index, box.modelColumn(), view.rootIndex())
        view.scrollTo(item)
        self.click(view.viewport(), view.visualRect(item).center())

    def click_row(self, view: QAbstractItemView, row: int, column: int = 1) -> None:
        """Click a row of a table."""
        index = view.model().index(row, column)
        view.scrollTo(index)
        self.click(view.viewport(), view.visualRect(index).center())

    def drag(self, places: Sequence[tuple[float, float]]) -> None:
        """Drag the mouse through places of the canvas, given as fractions of its width and height."""
        canvas = self.canvas
        points = [QPoint(round(x * canvas.width()), round(y * canvas.height())) for x, y in places]
        handle, first = canvas.window().windowHandle(), self._reach(canvas, points[0])
        QTest.mouseMove(handle, first)
        QTest.mousePress(handle, LEFT, Qt.KeyboardModifier.NoModifier, first)
        for one, other in pairwise(points):
            for step in range(1, _DRAG_STEPS + 1):
                QTest.mouseMove(handle, self._reach(canvas, one + (other - one) * step / _DRAG_STEPS))
                pump(0.01)
        QTest.mouseRelease(handle, LEFT, Qt.KeyboardModifier.NoModifier, self._reach(canvas, points[-1]))
        pump(0.3)

    def hover(self, widget: Any) -> None:
        """Rest with the mouse on a widget, so that its tooltip comes."""
        native: QWidget = getattr(widget, "native", widget)
        QTest.mouseMove(native.window().windowHandle(), self._reach(native, None))
        pump(1.2)

    def _reach(self, native: QWidget, at: QPoint | None) -> QPoint:
        """Scroll to a place of a widget, wait until it is not covered, and return it in its window."""
        for _ in range(_TRIES):
            area = native.parentWidget()
            while area is not None:
                if isinstance(area, QScrollArea):
                    area.ensureWidgetVisible(native)
                area = area.parentWidget()
            place = native.rect().center() if at is None else at
            top = QApplication.widgetAt(native.mapToGlobal(place))
            if top is not None and (top is native or native.isAncestorOf(top) or top.isAncestorOf(native)):
                return native.mapTo(native.window(), place)
            pump(0.2)  # a layout may be changing
        raise TourError(f"'{_name(native)}' cannot be reached; '{_name(top)}' is there.")

    def key(self, key: Any, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key in the canvas, which a click has given the focus."""
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, modifier)
        pump(0.4)

    def type_into(self, widget: Any, text: str) -> None:
        """Replace the text of a line or of a number, and press Enter."""
        native: QWidget = getattr(widget, "native", widget)
        if not isinstance(native, QLineEdit | QAbstractSpinBox):
            native = next(
                each for each in native.findChildren(QWidget) if isinstance(each, QLineEdit | QAbstractSpinBox)
            )
        self.click(native, QPoint(min(20, native.width() // 3), native.height() // 2))
        QTest.keyClick(native, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        QTest.keyClicks(native, text)
        QTest.keyClick(native, Qt.Key.Key_Return)
        pump(0.2)


def _window_of(native: QWidget) -> Any:
    """Return the window of the screen that gets the events, or the widget itself.

    PySide6 cannot use the window of the list of a combo box.
    """
    handle = native.window().windowHandle()
    try:
        assert handle is not None
        handle.isVisible()
    except RuntimeError:
        return native
    return handle


def label(button: QAbstractButton) -> str:
    """Return the text of a button as it is shown."""
    return plain(button.text())


def plain(text: str) -> str:
    """Return a text of a menu or button without the mark of its key and its shortcut."""
    return text.replace("&", "").split("\t")[0]


def _name(widget: QWidget | None) -> str:
    if widget is None:
        return "nothing"
    text = getattr(widget, "text", None)
    return (str(text()) if callable(text) else "") or widget.objectName() or type(widget).__name__


def _place_of_mark(button: QAbstractButton) -> QPoint | None:
    """Return where the mark of a check box or radio button is, which may be wider than its text."""
    return None if button.width() < 120 or not button.isCheckable() else QPoint(10, button.height() // 2)
