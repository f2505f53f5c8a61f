"""The collapsible section of a dock that saves what is in view."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet3d.widgets.components.containers import CollapsibleSection
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.export.results import SaveResults
from napari_unet3d.widgets.export.view import SaveView


class SaveSection(CollapsibleSection):
    """Metrics, figure, screenshot and turntable below one heading.

    Parameters
    ----------
    context : Context
        The viewer, its jobs and the message line.

    Attributes
    ----------
    results : SaveResults
        Metrics and figure of the comparison that it is given.
    view : SaveView
        Screenshot and turntable.
    """

    def __init__(self, context: Context) -> None:
        self.results, self.view = SaveResults(context), SaveView(context)
        content = QWidget()
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(0, 4, 0, 4)
        self._column.addWidget(self.results.native)
        self._column.addWidget(self.view.native)
        super().__init__("Save metrics and pictures", content)

    def add_first(self, widget: QWidget) -> None:
        """Add a widget above the others."""
        self._column.insertWidget(0, widget)
