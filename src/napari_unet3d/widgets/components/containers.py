"""What docks are made of: panels, rows and columns, buttons, a scrolling column, sections, and widgets of Qt."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from magicgui.backends._qtpy.widgets import QBaseWidget  # the base of magicgui's own widgets; there is no public one
from magicgui.widgets import Container, Label, PushButton, Widget
from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QScrollArea, QSizePolicy, QWidget

SPACING = 6
"""Pixels between the parts of a dock."""
_DIRECTLY = Qt.FindChildOption.FindDirectChildrenOnly
_HEADING_STYLE = """QPushButton {
    text-align: left; border: none; outline: none; padding: 4px; background-color: rgba(128, 128, 128, 40);
}"""


class _Backend(QBaseWidget):
    def __init__(self, widget: QWidget, parent: QWidget | None = None) -> None:
        name, tooltip = widget.objectName(), widget.toolTip()
        super().__init__(lambda parent: widget, parent)  # type: ignore[arg-type]  # it wants a class, and calls it
        widget.setObjectName(name)
        self._tooltip = tooltip

    def _mgui_set_tooltip(self, value: str | None) -> None:
        super()._mgui_set_tooltip(value or self._tooltip)


class QtWidget(Widget):
    """Makes a widget of Qt part of a `Container`; its visibility and state are those of the Qt widget.

    Parameters
    ----------
    widget : QWidget
        The widget; `native` returns it.
    **options : Any
        As of every widget of magicgui, such as ``name``, ``label`` and ``tooltip``.
    """

    def __init__(self, widget: QWidget, **options: Any) -> None:
        super().__init__(widget_type=_Backend, backend_kwargs={"widget": widget}, **options)


class Panel(Container[Widget]):
    """A part of a dock: widgets below each other, without margins.

    Parameters
    ----------
    *widgets : Widget or QWidget
        From top to bottom; a widget of Qt becomes a `QtWidget`.
    spacing : int
        Pixels between two of them.
    **options : Any
        As of every container of magicgui; without ``labels=True`` there are no labels.
    """

    _is_gone = False

    def __init__(self, *widgets: Widget | QWidget, spacing: int = SPACING, **options: Any) -> None:
        super().__init__(**{"labels": False, **options})
        self.native.destroyed.connect(self._on_destroyed)
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(spacing)
        Panel.lay_out(self, *widgets)

    def lay_out(self, *widgets: Widget | QWidget) -> None:
        """Add widgets below those that are there."""
        self.extend([each if isinstance(each, Widget) else QtWidget(each) for each in widgets])

    def _on_destroyed(self) -> None:
        self._is_gone = True  # Qt has deleted it; Python's object may still be called


def column(*widgets: Widget | QWidget, labels: bool = False, spacing: int = SPACING) -> Panel:
    """Return a panel; with `labels`, the label of each widget stands at its left."""
    container = Panel(*widgets, spacing=spacing, labels=labels)
    if labels:
        align_labels(container)
    return container


def row(*widgets: Widget | QWidget, wide: Collection[int] | None = None, spacing: int = SPACING) -> Panel:
    """Return a panel of widgets side by side.

    Parameters
    ----------
    *widgets : Widget or QWidget
        From left to right.
    wide : collection of int, optional
        Indices of those that share the width which the others do not need; by default all.
    spacing : int
        Pixels between two of them.
    """
    container = Panel(*widgets, layout="horizontal", spacing=spacing)
    for index in range(len(widgets)) if wide is None else wide:
        container.native.layout().setStretch(index, 1)
    return container


def sentence_row(*items: Widget | str) -> Panel:
    """Return a row of texts and boxes, one after the other like a sentence."""
    container = row(*(Label(value=item) if isinstance(item, str) else item for item in items), wide=())
    container.native.layout().addStretch(1)
    return container


def button(text: str, tooltip: str, action: Callable[[], Any]) -> PushButton:
    """Return a button that calls a function without arguments when it is clicked."""
    made = PushButton(text=text, tooltip=tooltip)
    made.clicked.connect(lambda: action())
    return made


def single_shot(parent: QObject, slot: Callable[[], Any], milliseconds: int = 0) -> QTimer:
    """Return a timer that calls a slot once after each start, and is deleted with its parent."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(slot)
    return timer


def heading(text: str) -> Label:
    """Return the heading of a part of a dock."""
    label = Label(value=text)
    label.native.setStyleSheet("QLabel { font-weight: bold; padding-top: 4px; }")
    return label


class _LabelsAligned(QObject):
    """Sets one width for the labels of a container whenever it is shown, since their font is not known before."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.Show and isinstance(watched, QWidget):
            layout: Any = watched.layout()
            groups: list[list[QLabel]] = [[]]
            for row in (layout.itemAt(index).widget() for index in range(layout.count())):
                if isinstance(row, QPushButton):  # the heading of a section, whose rows have a width of their own
                    groups.append([])
                groups[-1] += row.findChildren(QLabel, options=_DIRECTLY)
            for labels in groups:
                width = max((label.sizeHint().width() for label in labels), default=0)
                for label in labels:
                    label.setMinimumWidth(width)
        return False


def label_of(widget: Widget) -> QLabel | None:
    """Return the label at the left of a widget in a container with labels; buttons have none."""
    parent = widget.native.parentWidget()
    labels = [] if parent is None else parent.findChildren(QLabel, options=_DIRECTLY)
    return labels[0] if len(labels) == 1 else None


def align_labels(container: Container[Widget]) -> None:
    """Align the labels of a container; those below each heading have a width of their own."""
    container.native.installEventFilter(_LabelsAligned(container.native))


def wrapping_label(text: str = "") -> Label:
    """Return a label whose text wraps and never widens the dock."""
    label = Label(value=text)
    label.native.setWordWrap(True)
    label.native.setMinimumWidth(1)
    label.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label


def show_text(label: Label, text: str) -> None:
    """Show a text in a label, or hide the label when the text is empty."""
    label.value = text
    label.visible = bool(text)


class ScrollArea(QScrollArea):
    """Scrolls its content up and down; the content is as wide as the dock, and the dock never narrower than it.

    Parameters
    ----------
    content : QWidget
        What is scrolled.
    least_width : int
        The smallest width of the content in pixels, should it not need more.

    Attributes
    ----------
    shown : Signal()
        Emitted whenever it comes into view.
    """

    shown = Signal()

    def __init__(self, content: QWidget, least_width: int = 0) -> None:
        super().__init__()
        self._least_width = least_width
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)

    def minimumSizeHint(self) -> QSize:
        """Return the smallest size: the width of the content and of the scroll bar."""
        size = super().minimumSizeHint()
        content, bar = self.widget(), self.verticalScrollBar()
        assert content is not None
        assert bar is not None
        size.setWidth(max(self._least_width, content.minimumSizeHint().width()) + bar.sizeHint().width())
        return size

    def showEvent(self, event: QShowEvent | None) -> None:
        """Announce that it comes into view."""
        super().showEvent(event)
        self.shown.emit()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Grow with the content, for example when a section is expanded."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest and watched is self.widget():
            self.updateGeometry()
        return super().eventFilter(watched, event)


class Heading(PushButton):
    """The heading of a section that can be collapsed: an arrow, the text and, where there is one, a remark.

    Parameters
    ----------
    heading, tooltip : str
        The text, and what the section holds.
    """

    def __init__(self, heading: str, tooltip: str) -> None:
        super().__init__(tooltip=tooltip)
        self.native.setStyleSheet(_HEADING_STYLE)
        self.native.setMinimumWidth(1)  # a long remark must not widen the dock
        self._heading = heading
        self.show_state(is_open=False)

    def show_state(self, *, is_open: bool, remark: str = "") -> None:
        """Show whether the section is open, and a remark after the heading."""
        self.text = f"{'▾' if is_open else '▸'}  {self._heading}{f'  ·  {remark}' if remark else ''}"


class Section(Panel):
    """A heading that shows and hides what is below it.

    Parameters
    ----------
    heading : str
        The text of the heading.
    *content : Widget or QWidget
        What is shown and hidden, from top to bottom.
    is_open : bool
        Whether it is shown at first.
    """

    def __init__(self, heading: str, *content: Widget | QWidget, is_open: bool = False) -> None:
        self.heading, self._content = Heading(heading, "Show or hide this section."), column(*content)
        self._remark = ""
        super().__init__(self.heading, self._content)
        self.heading.clicked.connect(lambda: self.expand(not self.is_open))
        self.expand(is_open)

    def expand(self, is_open: bool = True) -> None:
        """Show the content, or hide it."""
        self.is_open = self._content.visible = is_open
        self.heading.show_state(is_open=is_open, remark=self._remark)

    def show_remark(self, words: str) -> None:
        """Show something after the heading."""
        self._remark = words
        self.expand(self.is_open)
