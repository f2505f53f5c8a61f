"""The part of the Inspect dock with the errors: how deep they are at least, their table, and the way through them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_unet3d.widgets.inspection.error_steps import ErrorSteps
from napari_unet3d.widgets.inspection.error_table import ErrorTable
from napari_unet3d.widgets.inspection.tolerance import ToleranceBox
from napari_unet3d.widgets.kit.parts import add_row

if TYPE_CHECKING:
    from napari_unet3d.widgets.inspect import InspectDock


class ErrorsPart(QWidget):
    """Lists the errors of what is inspected; hidden until something is.

    Parameters
    ----------
    dock : InspectDock
        Whose errors they are.

    Attributes
    ----------
    tolerance_box : ToleranceBox
        The depth up to which errors are hidden.
    table : ErrorTable
        The table with its filters.
    steps : ErrorSteps
        The buttons for the next and the previous error.
    """

    def __init__(self, dock: InspectDock) -> None:
        super().__init__()
        self.tolerance_box, self.table, self.steps = ToleranceBox(), ErrorTable(), ErrorSteps(dock)
        label = QLabel("<b>Errors</b> · hide noise up to")
        label.setBuddy(self.tolerance_box)
        label.setToolTip(self.tolerance_box.toolTip())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        add_row(column, label, self.tolerance_box)
        column.addWidget(self.table)
        column.addWidget(self.steps)
        dock.inspection_changed.connect(lambda: self.show())
        self.hide()
