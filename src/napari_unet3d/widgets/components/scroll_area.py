"""The part of a dock that scrolls."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QPoint, QSize, Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget

from napari_unet3d.widgets.components.containers import single_shot

_SETTLING_MS = 1500  # longer than the layout changes after sections were shown or hidden


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
        self._wanted_at_top = content
        self._settling = single_shot(self, lambda: None, _SETTLING_MS)
        if (bar := self.verticalScrollBar()) is not None:
            bar.rangeChanged.connect(self._scroll_to_wanted)
            bar.actionTriggered.connect(self._settling.stop)  # the user scrolls

    def minimumSizeHint(self) -> QSize:
        """Return the smallest size: the width of the content and of the scroll bar."""
        size = super().minimumSizeHint()
        content, bar = self.widget(), self.verticalScrollBar()
        assert content is not None
        assert bar is not None
        size.setWidth(max(self._least_width, content.minimumSizeHint().width()) + bar.sizeHint().width())
        return size

    def sizeHint(self) -> QSize:
        """Return a small height, so that what is beside it is not squeezed; it takes all the space that is left."""
        return QSize(super().sizeHint().width(), self.minimumSizeHint().height())

    def bring_to_top(self, widget: QWidget) -> None:
        """Scroll until a part of the content is at the upper edge, also while its layout is still changing."""
        self._wanted_at_top = widget
        self._settling.start()
        self._scroll_to_wanted()

    def _scroll_to_wanted(self) -> None:
        content, bar = self.widget(), self.verticalScrollBar()
        if self._settling.isActive() and content is not None and bar is not None:
            bar.setValue(self._wanted_at_top.mapTo(content, QPoint(0, 0)).y())

    def showEvent(self, event: QShowEvent | None) -> None:
        """Announce that it comes into view."""
        super().showEvent(event)
        self.shown.emit()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Grow with the content, for example when a section is expanded."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest and watched is self.widget():
            self.updateGeometry()
        return super().eventFilter(watched, event)
