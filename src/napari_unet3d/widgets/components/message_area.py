"""The place of the message line above the main button of a dock."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFrame, QScrollArea, QSizePolicy, QWidget

from napari_unet3d.widgets.components.containers import single_shot
from napari_unet3d.widgets.components.context import MessageLine

_MOST_OF_DOCK = 0.35
_LEAST_LINES = 3
_HIDDEN_OR_SHOWN = (QEvent.Type.ShowToParent, QEvent.Type.HideToParent)
_LOOKS = (QEvent.Type.Show, QEvent.Type.StyleChange, QEvent.Type.FontChange)  # which change the height


class MessageArea(QScrollArea):
    """As high as the message; one that would fill much of a low dock is scrolled.

    Parameters
    ----------
    message : MessageLine
        The message line; the area is hidden with it.
    dock : QWidget
        The dock, whose height counts.
    """

    def __init__(self, message: MessageLine, dock: QWidget) -> None:
        super().__init__()
        self._message, self._dock = message, dock
        self._heights = 0, 0  # the least, and the wanted one
        self._after_event = single_shot(self, self._fit)  # the message learns of its style after the filter
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        message.setMinimumHeight(1)  # else the area makes it higher than its text
        self.setWidget(message)  # and filter its events
        dock.installEventFilter(self)
        self.setVisible(not message.isHidden())

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow the message when it is hidden or shown, and the dock when it becomes higher or lower."""
        kind = None if event is None else event.type()
        if kind in _HIDDEN_OR_SHOWN and watched is self._message:
            self.setVisible(not self._message.isHidden())
        if (kind in _LOOKS and watched is self._message) or (kind == QEvent.Type.Resize and watched is self._dock):
            self._after_event.start()
        return super().eventFilter(watched, event)

    def viewportEvent(self, event: QEvent | None) -> bool:
        """Follow another message."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return super().viewportEvent(event)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Follow the width of the dock."""
        super().resizeEvent(event)
        self._fit()

    def sizeHint(self) -> QSize:
        """Return the height of the message, or of a part of the dock."""
        return QSize(super().sizeHint().width(), self._heights[1])

    def minimumSizeHint(self) -> QSize:
        """Return the height of a few lines, or of a shorter message."""
        return QSize(super().minimumSizeHint().width(), self._heights[0])

    def _fit(self) -> None:
        around = self.size() - self.maximumViewportSize()  # the style sheet has a margin
        wanted = self._message.heightForWidth(self.width() - around.width()) + around.height()
        lines = (_LEAST_LINES + 1) * self._message.fontMetrics().lineSpacing()  # with what is around the text
        most = max(lines, round(_MOST_OF_DOCK * self._dock.height()))
        heights = min(wanted, lines), min(wanted, most)
        if heights != self._heights:
            self._heights = heights
            self.setMaximumHeight(max(1, heights[1]))
            self.updateGeometry()
        # Qt leaves a scroll bar that was needed once, since the text beside it needs more lines.
        policy = Qt.ScrollBarPolicy
        self.setVerticalScrollBarPolicy(
            policy.ScrollBarAlwaysOff if wanted <= self.height() else policy.ScrollBarAsNeeded
        )
        # Only what scrolls has to be reached by the keyboard.
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if wanted > most else Qt.FocusPolicy.NoFocus)
