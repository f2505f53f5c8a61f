"""The settings of a dock, which scroll in the space that is left, and can be collapsed while a job runs."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import Container, PushButton, Widget
from qtpy.QtCore import QSize

from napari_unet3d.widgets.components.containers import HEADING_STYLE, ScrollArea, heading_text
from napari_unet3d.widgets.components.qt_widget import QtWidget

_MIN_HEIGHT = 110


class _Scroll(ScrollArea):
    def sizeHint(self) -> QSize:
        # With more, a long message would push the buttons out of view; where there is space, it is stretched.
        return QSize(super().sizeHint().width(), _MIN_HEIGHT)

    def minimumSizeHint(self) -> QSize:
        return QSize(super().minimumSizeHint().width(), _MIN_HEIGHT)


class SettingsArea(Container[Widget]):
    """Scrolls the settings; while a job runs, they are collapsed to a heading that shows them again.

    Parameters
    ----------
    content : Container
        The settings.

    Attributes
    ----------
    heading : PushButton
        Shows and hides the settings; hidden while they cannot be collapsed.
    is_collapsed : bool
        Whether the settings are hidden.
    """

    def __init__(self, content: Container[Widget]) -> None:
        super().__init__(labels=False)
        self._content = content
        self.heading = PushButton(tooltip="The settings of the run; they can be changed after its end.")
        self.heading.native.setStyleSheet(HEADING_STYLE)
        self._scroll = QtWidget(_Scroll(content.native))
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(4)
        self.extend([self.heading, self._scroll])
        self.native.layout().setStretch(1, 1)
        self.heading.clicked.connect(lambda: self._show_settings(self.is_collapsed))
        self.collapse(False)

    def collapse(self, collapsed: bool) -> None:
        """Collapse the settings, or show them without a heading."""
        self.heading.visible = collapsed
        self._show_settings(not collapsed)

    def reset_choices(self, *_: Any) -> None:
        """Bring the menus in the settings up to date."""
        self._content.reset_choices()

    def _show_settings(self, shown: bool) -> None:
        self.is_collapsed = not shown
        self._scroll.visible = shown
        self.heading.text = heading_text("Settings of this run", "", is_open=shown)
