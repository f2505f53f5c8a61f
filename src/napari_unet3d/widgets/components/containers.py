"""What holds the parts of a dock: rows and columns, a scrolling column, sections, and widgets of Qt."""

from __future__ import annotations

from typing import Any

from magicgui.backends._qtpy.widgets import QBaseWidget  # the base of magicgui's own widgets; there is no public one
from magicgui.widgets import Container, Label, Widget
from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtGui import QIcon, QPixmap, QShowEvent
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QScrollArea, QSizePolicy, QWidget
from superqt import QCollapsible


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


SPACING = 6
"""Pixels between the parts of a dock."""
_DIRECTLY = Qt.FindChildOption.FindDirectChildrenOnly
HEADING_STYLE = """QPushButton {
    text-align: left; border: none; outline: none; padding: 4px; background-color: rgba(128, 128, 128, 40);
}"""
"""The look of the heading of a section that can be collapsed."""


def column(*widgets: Widget, labels: bool = False, spacing: int = SPACING) -> Container[Widget]:
    """Return a container of widgets below each other, without margins.

    Parameters
    ----------
    *widgets : Widget
        From top to bottom.
    labels : bool
        Whether the label of each widget stands at its left.
    spacing : int
        Pixels between two of them.
    """
    container = _tight(Container(widgets=widgets, labels=labels), spacing)
    if labels:
        align_labels(container)
    return container


def row(*widgets: Widget) -> Container[Widget]:
    """Return a container of widgets side by side, each as wide as the others, without margins."""
    container = _tight(Container(widgets=widgets, labels=False, layout="horizontal"), SPACING)
    layout = container.native.layout()
    for index in range(layout.count()):
        layout.setStretch(index, 1)
    return container


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


def _tight(container: Container[Widget], spacing: int) -> Container[Widget]:
    container.margins = (0, 0, 0, 0)
    container.native.layout().setSpacing(spacing)
    return container


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


class CollapsibleSection(QCollapsible):
    """A heading with an arrow that shows and hides what is below it.

    Parameters
    ----------
    heading : str
        The text of the heading.
    content : QWidget
        What is shown and hidden.
    """

    def __init__(self, heading: str, content: QWidget) -> None:
        # Superqt draws its arrows once, in a colour that another theme makes invisible; ours are part of the text.
        nothing = QPixmap(1, 1)
        nothing.fill(Qt.GlobalColor.transparent)  # superqt takes an icon without any picture for no icon on PySide6
        super().__init__(heading, expandedIcon=QIcon(nothing), collapsedIcon=QIcon(nothing))
        self.toggleButton().setIconSize(QSize(0, 0))
        self._heading = heading
        self._remark = ""
        self.setDuration(120)
        self.toggleButton().setStyleSheet(HEADING_STYLE)
        self.toggleButton().setMinimumWidth(1)  # a long remark must not widen the dock
        self.toggleButton().setToolTip("Show or hide this section.")
        if (layout := self.layout()) is not None:
            layout.setContentsMargins(0, 0, 0, 0)
        self.addWidget(content)
        self.toggled.connect(self._write_heading)
        self._write_heading()

    def show_remark(self, words: str) -> None:
        """Show something after the heading."""
        self._remark = words
        self._write_heading()

    def _write_heading(self) -> None:
        self.setText(heading_text(self._heading, self._remark, is_open=self.isExpanded()))


def heading_text(heading: str, remark: str, *, is_open: bool) -> str:
    """Return the text of the heading of a section: an arrow, the heading, and a remark where there is one."""
    return f"{'▾' if is_open else '▸'}  {heading}{f'  ·  {remark}' if remark else ''}"


def sentence_row(*items: Widget | str) -> Container[Widget]:
    """Return a row of texts and boxes, one after the other like a sentence."""
    widgets = [Label(value=item) if isinstance(item, str) else item for item in items]
    container = Container[Widget](widgets=widgets, labels=False, layout="horizontal")
    container.margins = (0, 0, 0, 0)
    container.native.layout().setSpacing(SPACING)
    container.native.layout().addStretch(1)
    return container
