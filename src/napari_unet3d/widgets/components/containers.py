"""What docks are made of: panels, rows and columns, buttons, sections, and widgets of Qt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from magicgui.backends._qtpy.widgets import QBaseWidget  # the base of magicgui's own widgets; there is no public one
from magicgui.widgets import Container, Label, PushButton, Widget
from psygnal import Signal
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QLabel, QPushButton, QSizePolicy, QWidget

SPACING = 6
"""Pixels between the parts of a dock."""
_WIDEST_LABEL = 150  # pixels; wider labels wrap
_DIRECTLY = Qt.FindChildOption.FindDirectChildrenOnly
_HEADING_STYLE = """QPushButton {
    text-align: left; outline: none; padding: 3px; background-color: rgba(128, 128, 128, 40);
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
    """Return the heading of a part of a dock, which wraps."""
    label = wrapping_label(text)
    label.native.setStyleSheet("QLabel { font-weight: bold; padding-top: 4px; }")
    return label


class _LabelsAligned(QObject):
    """Sets one width for the labels of a container when it is shown and when its font changes."""

    def __init__(self, container: QWidget) -> None:
        super().__init__(container)
        self._container = container
        self._after_event = single_shot(self, self._align)
        container.installEventFilter(self)

    def eventFilter(self, _: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.Show:
            self._align()
        elif event is not None and event.type() == QEvent.Type.StyleChange:
            self._after_event.start()  # the labels learn of their font later
        return False

    def _align(self) -> None:
        layout: Any = self._container.layout()
        groups: list[list[QLabel]] = [[]]
        for row in (layout.itemAt(index).widget() for index in range(layout.count())):
            if isinstance(row, QPushButton):  # the heading of a section, whose rows have a width of their own
                groups.append([])
            elif row is not None:
                groups[-1] += row.findChildren(QLabel, options=_DIRECTLY)
        for labels in groups:
            _set_one_width(labels)


def _set_one_width(labels: Sequence[QLabel]) -> None:
    """Make labels as wide as the widest; with large fonts narrower, so that they wrap."""
    if not labels:
        return
    for label in labels:
        label.ensurePolished()  # else it has not the font of the style sheet yet
        label.setWordWrap(False)
    widths = [label.sizeHint().width() for label in labels]
    words = [
        width - advance(label.text()) + max(map(advance, label.text().split()), default=0)
        for label, width in zip(labels, widths, strict=True)
        for advance in [label.fontMetrics().horizontalAdvance]
    ]
    width = min(max(widths), max([_WIDEST_LABEL, *words]))
    for label, own_width in zip(labels, widths, strict=True):
        label.setWordWrap(own_width > width)
        label.setFixedWidth(width)


def label_of(widget: Widget) -> QLabel | None:
    """Return the label at the left of a widget in a container with labels; buttons have none."""
    parent = widget.native.parentWidget()
    labels = [] if parent is None else parent.findChildren(QLabel, options=_DIRECTLY)
    return labels[0] if len(labels) == 1 else None


def align_labels(container: Container[Widget]) -> None:
    """Align the labels of a container; those below each heading have a width of their own."""
    _LabelsAligned(container.native)


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
        self._heading, self._state, self._remark = heading, heading, ""
        self._fitting = _HeadingFits(self)
        self.show_state(is_open=False)

    def show_state(self, *, is_open: bool, remark: str = "") -> None:
        """Show whether the section is open, and a remark after the heading, as long as there is space for it."""
        self._state, self._remark = f"{'▾' if is_open else '▸'}  {self._heading}", remark
        self.fit()

    def fit(self) -> None:
        """Leave out the remark where it would be cut off."""
        self.text = f"{self._state}  ·  {self._remark}" if self._remark else self._state
        native = self.native
        if self._remark and native.isVisible() and native.sizeHint().width() > native.width():
            self.text = self._state


class _HeadingFits(QObject):
    """Follows the width of a heading."""

    def __init__(self, heading: Heading) -> None:
        super().__init__(heading.native)
        self._heading = heading
        heading.native.installEventFilter(self)

    def eventFilter(self, _: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() in (QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.StyleChange):
            self._heading.fit()
        return False


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

    Attributes
    ----------
    toggled : Signal(bool)
        Emitted when the user has opened (True) or closed it.
    """

    toggled = Signal(bool)

    def __init__(self, heading: str, *content: Widget | QWidget, is_open: bool = False) -> None:
        self.heading, self._content = Heading(heading, "Show or hide this section."), column(*content)
        self._remark = ""
        super().__init__(self.heading, self._content)
        self.native.layout().setStretch(1, 1)
        self.heading.clicked.connect(self._on_clicked)
        self.expand(is_open)

    def expand(self, is_open: bool = True) -> None:
        """Show the content, or hide it."""
        self.is_open = self._content.visible = is_open
        self.heading.show_state(is_open=is_open, remark=self._remark)

    def show_remark(self, words: str) -> None:
        """Show something after the heading."""
        self._remark = words
        self.expand(self.is_open)

    def _on_clicked(self) -> None:
        self.expand(not self.is_open)
        self.toggled.emit(self.is_open)
