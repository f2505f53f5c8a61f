"""The buttons and keys that lead from one error to the next, and what happens in the view on the way."""

from __future__ import annotations

from functools import partial
from math import ceil, hypot
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet3d.data.sample import VoxelSize
from napari_unet3d.evaluation.errors.types import SegmentationError
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.components.run_bar import add_row
from napari_unet3d.widgets.inspect.error_outline import fit_mark, go_to_error
from napari_unet3d.widgets.inspect.error_table import ErrorTable
from napari_unet3d.widgets.viewer.cursor import Pointer, voxels_along_ray

if TYPE_CHECKING:
    from napari_unet3d.widgets.inspect.dock import InspectDock

if TYPE_CHECKING:
    from napari_unet3d.widgets.inspect.dock import InspectDock

_NEXT, _PREVIOUS = "J", "Shift-J"  # E, which would say it better, is the eraser of napari's Labels layers
_KEY = "inspect-zoom"


class ErrorNavigator(QWidget):
    """Goes to errors: by buttons, by keys, and by a double click on an error in the view.

    Parameters
    ----------
    dock : InspectDock
        Its inspection and its table.
    """

    def __init__(self, dock: InspectDock) -> None:
        super().__init__()
        self._dock = dock
        self.next_button, self.previous_button = QPushButton("Next error"), QPushButton("Previous")
        self.zoom_box = QCheckBox("Zoom")
        self.next_button.setToolTip(
            f"<qt>Go to the next error that you have not seen yet. Key: {_NEXT}, after a click into the image. "
            "A double click on an error in the image chooses it, too.</qt>"
        )
        self.previous_button.setToolTip(f"Go back in the table. Key: {_PREVIOUS}")
        self.zoom_box.setToolTip("Zoom so that the error fills a good part of the view; without it the zoom stays.")
        self.zoom_box.setChecked(load_preference(_KEY) is not False)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.previous_button, 1)
        row.addWidget(self.next_button, 1)
        row.addWidget(self.zoom_box)
        self.zoom_box.toggled.connect(lambda is_on: save_preference(_KEY, is_on))
        self.next_button.clicked.connect(lambda: dock.go_to_next())
        self.previous_button.clicked.connect(lambda: dock.go_to_next(-1))
        bind_key(dock, _NEXT, "Go to the next error that was not seen yet", dock.go_to_next)
        bind_key(dock, _PREVIOUS, "Go back to the previous error", partial(dock.go_to_next, -1))
        self._clicked: SegmentationError | None = None
        self._after_click = QTimer(self)
        self._after_click.setSingleShot(True)
        self._after_click.timeout.connect(lambda: dock.select(self._clicked))
        self._follow_double_clicks()
        dock.connect_viewer(dock.viewer.dims.events.ndisplay, self._fit_mark)

    def go_to(self, error: SegmentationError | None) -> None:
        """Move the view to an error, mark it there, and then as seen."""
        dock = self._dock
        if dock.inspection is not None and error is not None:
            go_to_error(dock.viewer, dock.inspection, error, zoom=self.zoom_box.isChecked())
            dock.table.rows.mark_seen(error)
        dock.error_selected.emit(error)

    def _fit_mark(self) -> None:
        if self._dock.inspection is not None:
            fit_mark(self._dock.viewer, self._dock.inspection)

    def _follow_double_clicks(self) -> None:
        callbacks = self._dock.viewer.mouse_double_click_callbacks

        def on_double_click(_viewer: Any, event: Any) -> None:
            error = self._error_at(event)
            if error is not None:  # after napari has zoomed in, which it does on double clicks
                self._clicked = error
                self._after_click.start(0)

        callbacks.append(on_double_click)
        self._dock.destroyed.connect(lambda: callbacks.remove(on_double_click))

    def _error_at(self, event: Any) -> SegmentationError | None:
        inspection = self._dock.inspection
        if inspection is None:
            return None
        regions = inspection.errors.regions
        there = [each for each in inspection.layers if each in self._dock.viewer.layers]
        layer = next((each for each in there if np.shape(each.data) == regions.shape), None)
        if layer is None:
            return None
        voxels = voxels_along_ray(Pointer.of_event(event), layer)
        numbers = regions[tuple(voxels.T)]
        hits = numbers[np.isin(numbers, [each.number for each in self._dock.table.in_view.in_order()])]
        return next((each for each in inspection.errors.errors if len(hits) and each.number == hits[0]), None)


class ErrorsPanel(QWidget):
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
    steps : ErrorNavigator
        The buttons for the next and the previous error.
    """

    def __init__(self, dock: InspectDock) -> None:
        super().__init__()
        self.tolerance_box, self.table, self.steps = ToleranceBox(), ErrorTable(), ErrorNavigator(dock)
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


_KEY = "inspect-tolerance"


class ToleranceBox(QDoubleSpinBox):
    """A depth in µm, by default that of a corner of one voxel; what a person chose is kept for voxels of that size."""

    def __init__(self) -> None:
        super().__init__()
        self.setRange(0, 1e6)
        self.setDecimals(2)
        self.setSuffix(" µm")
        self.setKeyboardTracking(False)
        self.setToolTip(
            "<qt>Errors that never go deeper than this are hidden as boundary noise, and noise that joins deeper "
            "errors is cut away; what is missed or extra as a whole is hidden only if it is no longer than twice this. "
            "0 shows every wrong voxel. At first it is the diagonal of one voxel.</qt>"
        )
        self._voxel_size_um: VoxelSize | None = None
        self.valueChanged.connect(self._keep)

    def suit(self, voxel_size_um: VoxelSize) -> None:
        """Take what is kept for voxels of a size, or what suits them, unless the box is for such voxels already."""
        if voxel_size_um == self._voxel_size_um:
            return
        self._voxel_size_um = None  # so that nothing is kept yet
        known = load_preference(_KEY)
        kept = known.get(_words(voxel_size_um)) if isinstance(known, dict) else None
        tolerance_um = kept if isinstance(kept, float | int) else ceil(100 * hypot(*voxel_size_um)) / 100
        self.setSingleStep(max(0.01, round(min(voxel_size_um) / 2, 2)))
        self.setValue(tolerance_um)
        self._voxel_size_um = voxel_size_um

    def _keep(self, value: float) -> None:
        if self._voxel_size_um is not None:
            known = load_preference(_KEY)
            save_preference(_KEY, {**(known if isinstance(known, dict) else {}), _words(self._voxel_size_um): value})


def _words(voxel_size_um: VoxelSize) -> str:
    return " ".join(f"{size:.6g}" for size in voxel_size_um)
