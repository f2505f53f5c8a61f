"""The folded part of a dock with everything that can be saved of what is in view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet3d.widgets.components.containers import CollapsibleSection
from napari_unet3d.widgets.export.results import SaveResults
from napari_unet3d.widgets.export.view import SaveView

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.dock import Dock


class SaveSection(CollapsibleSection):
    """Metrics, figure, screenshot and turntable below one heading.

    Parameters
    ----------
    dock : Dock
        Its viewer, jobs and message line.

    Attributes
    ----------
    results : SaveResults
        Metrics and figure; it has to be told what is in view.
    view : SaveView
        Screenshot and turntable.
    """

    def __init__(self, dock: Dock) -> None:
        self.results, self.view = SaveResults(dock), SaveView(dock)
        content = QWidget()
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(0, 4, 0, 4)
        self._column.addWidget(self.results)
        self._column.addWidget(self.view)
        super().__init__("Save numbers and pictures", content)

    def add_first(self, widget: QWidget) -> None:
        """Put something else that can be saved above the rest."""
        self._column.insertWidget(0, widget)
