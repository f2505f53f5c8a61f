"""Finds what is squeezed or cut off in a widget that is on the screen."""

from __future__ import annotations

import re

from qtpy.QtCore import QRect, QSize
from qtpy.QtGui import QFontMetrics, QTextDocument
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QProgressBar,
    QScrollArea,
    QScrollBar,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QTabBar,
    QTableView,
    QWidget,
)


def problems_of(top: QWidget) -> list[str]:
    """List what is squeezed, cut off or elided in a widget and in all that is visible in it."""
    found = []
    for widget in [top, *top.findChildren(QWidget)]:
        if widget.isVisible() and not isinstance(widget, QScrollBar) and not _is_foreign(widget, top):
            found += [f"{_name(widget)}: {problem}" for problem in _problems(widget)]
    return found


def _is_foreign(widget: QWidget, top: QWidget) -> bool:
    """Return whether a widget is a part of one of Qt's own, which is looked at as a whole, or of a dialog."""
    if widget.window() is not top.window():
        return True
    parent = widget.parentWidget()
    while parent is not None and parent is not top:
        if isinstance(parent, QComboBox | QAbstractSpinBox) or type(parent).__name__ == "LossCurves":
            return True
        if isinstance(parent, QAbstractScrollArea) and not isinstance(parent, QScrollArea):
            return True
        parent = parent.parentWidget()
    return widget.objectName().startswith("qt_")


def _problems(widget: QWidget) -> list[str]:
    needed = _needed(widget)
    found = []
    if widget.width() < needed.width() or widget.height() < needed.height():
        size = f"{widget.width()} × {widget.height()}"
        found.append(f"is {size}, needs {needed.width()} × {needed.height()}")
    parent = widget.parentWidget()
    can_reach_out = parent is None or isinstance(parent.parentWidget(), QScrollArea) or widget.isWindow()
    if not can_reach_out and not parent.rect().contains(widget.geometry()) and widget.width() > 1:
        found.append(f"reaches out of its parent: {widget.geometry().getRect()} in {parent.rect().getRect()}")
    return [*found, *_text_problems(widget)]


def _needed(widget: QWidget) -> QSize:
    """Return the minimum size of a widget as a layout takes it."""
    hint, policy, minimum = widget.minimumSizeHint(), widget.sizePolicy(), widget.minimumSize()
    width = 0 if policy.horizontalPolicy() == QSizePolicy.Policy.Ignored else hint.width()
    height = 0 if policy.verticalPolicy() == QSizePolicy.Policy.Ignored else hint.height()
    width, height = minimum.width() or width, minimum.height() or height
    return QSize(width, height).boundedTo(widget.maximumSize())


def _text_problems(widget: QWidget) -> list[str]:
    metrics = QFontMetrics(widget.font())
    if isinstance(widget, QLabel):
        return _label_problems(widget)
    if isinstance(widget, QComboBox):
        return _menu_problems(widget)
    if isinstance(widget, QAbstractSpinBox) and (line := widget.lineEdit()) is not None:
        wanted = metrics.horizontalAdvance(widget.text())
        if line.width() < wanted:
            return [f"shows {line.width()} of {wanted} pixels of {widget.text()!r}"]
    if isinstance(widget, QAbstractButton) and widget.text():
        wanted = widget.sizeHint()
        if widget.width() < wanted.width():
            return [f"shows {widget.width()} of {wanted.width()} pixels of {widget.text()!r}"]
    if isinstance(widget, QProgressBar) and widget.isTextVisible():
        wanted = metrics.horizontalAdvance(widget.text())
        if widget.width() < wanted:
            return [f"shows {widget.width()} of {wanted} pixels of {widget.text()!r}"]
    if isinstance(widget, QTableView):
        return _table_problems(widget)
    return []


def _menu_problems(menu: QComboBox) -> list[str]:
    option = QStyleOptionComboBox()
    menu.initStyleOption(option)
    field = menu.style().subControlRect(
        QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, menu
    )
    wanted = QFontMetrics(menu.font()).horizontalAdvance(menu.currentText())
    if not menu.isEditable() and wanted > field.width():
        return [f"shows {field.width()} of {wanted} pixels of {menu.currentText()!r}"]
    return []


def _label_problems(label: QLabel) -> list[str]:
    text = QLabel.text(label)  # of a message, with the places where it may break
    if not text or (label.pixmap() and not label.pixmap().isNull()):
        return []
    if label.wordWrap():
        wanted = label.heightForWidth(label.width())
        document, metrics = QTextDocument(), QFontMetrics(label.font())
        document.setHtml(text)
        plain = document.toPlainText() if "<" in text else text
        widest = max((metrics.horizontalAdvance(word) for word in re.split(r"[\s\u200b]+", plain)), default=0)
        found = [] if label.height() >= wanted else [f"is {label.height()} high, needs {wanted}: {plain!r}"]
        return found + ([f"is {label.width()} wide, a word {widest}: {plain!r}"] if widest > label.width() else [])
    wanted = label.sizeHint().width()
    return [f"shows {label.width()} of {wanted} pixels of {text!r}"] if label.width() < wanted else []


def _table_problems(table: QTableView) -> list[str]:
    header, model = table.horizontalHeader(), table.model()
    found = []
    for column in range(model.columnCount()):
        if header.isSectionHidden(column):
            continue
        title = str(model.headerData(column, header.orientation()))
        wanted = max(header.fontMetrics().horizontalAdvance(line) for line in title.split("\n")) + 4
        if header.sectionSize(column) < wanted:
            found.append(f"column {title!r} is {header.sectionSize(column)} wide, needs {wanted}")
    if table.horizontalScrollBar().isVisible():
        found.append(f"scrolls sideways: {header.length()} in {table.viewport().width()}")
    return found


def tab_problems(window: QWidget) -> list[str]:
    """List the tabs of docks whose titles are not shown as a whole."""
    found = []
    for bar in window.findChildren(QTabBar):
        if not bar.isVisible():
            continue
        for tab in range(bar.count()):
            wanted = bar.fontMetrics().horizontalAdvance(bar.tabText(tab))
            if bar.tabRect(tab).width() < wanted:
                found.append(f"the tab {bar.tabText(tab)!r} is {bar.tabRect(tab).width()} wide, needs {wanted}")
    return found


def _name(widget: QWidget) -> str:
    text = getattr(widget, "text", str)()
    chain, parent = [], widget.parentWidget()
    while parent is not None and len(chain) < 2:
        chain.append(getattr(getattr(parent, "_magic_widget", parent), "__class__", type(parent)).__name__)
        parent = parent.parentWidget()
    own = getattr(widget, "_magic_widget", widget).__class__.__name__
    return f"{' < '.join([own, *chain])} {text[:40]!r}"


def is_in_view(widget: QWidget) -> bool:
    """Return whether a widget is visible as a whole."""
    whole = QRect(0, 0, widget.width(), widget.height())
    return widget.isVisible() and widget.visibleRegion().boundingRect().contains(whole)
