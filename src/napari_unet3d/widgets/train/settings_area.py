"""The settings of a dock, which scroll in the room that is left, and are folded away while a job runs."""

from __future__ import annotations

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_unet3d.widgets.components.containers import ScrollArea

_LEAST_HEIGHT = 110
_HEADING = "QPushButton { text-align: left; border: none; padding: 4px; background-color: rgba(128, 128, 128, 40); }"


class _Scroll(ScrollArea):
    def sizeHint(self) -> QSize:
        # With more, a long message would push the buttons out of view; where there is room, it is stretched.
        return QSize(super().sizeHint().width(), _LEAST_HEIGHT)

    def minimumSizeHint(self) -> QSize:
        return QSize(super().minimumSizeHint().width(), _LEAST_HEIGHT)


class SettingsArea(QWidget):
    """Scrolls the settings; while a job runs, a heading stands for them that shows them again.

    Parameters
    ----------
    content : QWidget
        The settings.

    Attributes
    ----------
    heading : QPushButton
        Shows and hides the settings; hidden while they cannot be folded.
    """

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.heading = QPushButton()
        self.heading.setStyleSheet(_HEADING)
        self.heading.setToolTip("The settings of the run, to look at; they can be changed when it has ended.")
        self.heading.clicked.connect(self._turn)
        self._scroll = _Scroll(content)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.heading)
        column.addWidget(self._scroll, 1)
        self.set_folded(False)

    @property
    def is_folded(self) -> bool:
        """Whether the settings are out of view."""
        return not self._scroll.isVisibleTo(self)

    def set_folded(self, folded: bool) -> None:
        """Fold the settings away, or show them without a heading."""
        self.heading.setVisible(folded)
        self._show(not folded)

    def _turn(self) -> None:
        self._show(self.is_folded)

    def _show(self, shown: bool) -> None:
        self._scroll.setVisible(shown)
        self.heading.setText(f"{'▾' if shown else '▸'}  Settings of this run")
