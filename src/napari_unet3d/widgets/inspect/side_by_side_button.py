"""The button that shows layers side by side, and restores what was in view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import PushButton
from psygnal import Signal

from napari_unet3d.widgets.viewer.side_by_side import Arrangement, side_by_side_of


class SideBySideButton(PushButton):
    """Is checked for as long as its layers are side by side, whatever ends it.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer of the layers; when the button is destroyed, what was in view comes back.
    arrangement : callable
        Returns what to show, or None when there is nothing.
    tooltip : str
        What is shown.

    Attributes
    ----------
    switched : Signal()
        Emitted after the beginning and the end.
    """

    switched = Signal()

    def __init__(self, viewer: Any, arrangement: Callable[[], Arrangement | None], tooltip: str) -> None:
        super().__init__(text="Side by side", tooltip=tooltip)
        self.native.setCheckable(True)
        self._viewer, self._arrangement = viewer, arrangement
        self.is_on, self._is_gone = False, False
        self.clicked.connect(self.toggle)
        self.native.destroyed.connect(lambda: self._leave())

    def begin(self) -> None:
        """Show the layers side by side, if there are any; again with others when they are already."""
        arrangement = self._arrangement()
        if arrangement is not None:
            side_by_side_of(self._viewer).start(arrangement, self._on_end)
            self.is_on = True
        self._announce()

    def end(self) -> None:
        """Return to what was in view before, unless something else is side by side."""
        if self.is_on:
            side_by_side_of(self._viewer).stop()

    def toggle(self) -> None:
        """Begin, or end it."""
        if self.is_on:
            self.end()
        else:
            self.begin()

    def _on_end(self) -> None:
        self.is_on = False
        self._announce()

    def _announce(self) -> None:
        if not self._is_gone:
            self.value = self.is_on
            self.switched.emit()

    def _leave(self) -> None:
        self._is_gone = True  # Qt has destroyed the button
        self.end()
