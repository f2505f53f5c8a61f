"""The panel of errors: their tolerance, the table, and the buttons and keys that lead from one to the next."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet3d.data.sample import VoxelSize
from napari_unet3d.evaluation.errors.types import SegmentationError
from napari_unet3d.session.comparison import default_tolerance_um
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.run_bar import add_row
from napari_unet3d.widgets.inspect.error_table import ErrorTable
from napari_unet3d.widgets.inspect.volume_layers import InspectionLayers
from napari_unet3d.widgets.viewer.cursor import Pointer, voxels_along_ray
from napari_unet3d.widgets.viewer.layers import connect_while_alive

_NEXT, _PREVIOUS = "J", "Shift-J"  # E, which would be more natural, is the eraser of napari's Labels layers
_ZOOM_KEY, _TOLERANCE_KEY = "inspect-zoom", "inspect-tolerance"


class ErrorNavigator(QWidget):
    """Selects errors: by buttons, by keys, and by a double-click on an error in the viewer.

    Parameters
    ----------
    session : InspectionSession
        What is inspected.
    context : Context
        The viewer and the message line.
    layers : InspectionLayers
        The layers of what is inspected.
    table : ErrorTable
        Its filters and its order count.

    Attributes
    ----------
    keys : dict of str to (str, callable)
        Keys to bind, what they do, and the action.
    """

    def __init__(
        self, session: InspectionSession, context: Context, layers: InspectionLayers, table: ErrorTable
    ) -> None:
        super().__init__()
        self._session, self._context, self._layers, self._table = session, context, layers, table
        self.next_button, self.previous_button = QPushButton("Next error"), QPushButton("Previous")
        self.zoom_box = QCheckBox("Zoom")
        self.zoom_box.setChecked(load_preference(_ZOOM_KEY) is not False)
        layers.zooms = self.zoom_box.isChecked()
        self.keys = {
            _NEXT: ("Go to the next error that you have not seen yet", self.go_to_next),
            _PREVIOUS: ("Go back to the previous error", self.go_to_previous),
        }
        self._clicked: SegmentationError | None = None
        self._after_click = QTimer(self)
        self._after_click.setSingleShot(True)
        self._after_click.timeout.connect(self._select_clicked)
        self._lay_out()
        self.zoom_box.toggled.connect(self._set_zoom)
        self.next_button.clicked.connect(self.go_to_next)
        self.previous_button.clicked.connect(self.go_to_previous)
        self._follow_double_clicks()
        connect_while_alive(self, context.viewer.dims.events.ndisplay, layers.fit_outline)

    def go_to_next(self, *_: Any) -> None:
        """Select the next error of the table that was not seen yet."""
        self._go(1)

    def go_to_previous(self, *_: Any) -> None:
        """Select the error above in the table."""
        self._go(-1)

    def _go(self, step: int) -> None:
        error = self._table.following(step)
        if error is None:
            self._context.message.show_message("There is no error in the list to go to.")
        else:
            self._session.select(error)

    def _set_zoom(self, is_on: bool) -> None:
        self._layers.zooms = is_on
        save_preference(_ZOOM_KEY, is_on)

    def _select_clicked(self) -> None:
        if self._clicked in (self._session.errors or ()):
            self._session.select(self._clicked)

    def _follow_double_clicks(self) -> None:
        callbacks = self._context.viewer.mouse_double_click_callbacks

        def on_double_click(_viewer: Any, event: Any) -> None:
            error = self._error_at(event)
            if error is not None:  # after napari has zoomed in, which it does on double clicks
                self._clicked = error
                self._after_click.start(0)

        callbacks.append(on_double_click)
        self.destroyed.connect(lambda: callbacks.remove(on_double_click))

    def _error_at(self, event: Any) -> SegmentationError | None:
        errors, present = self._session.errors, [*self._layers.present().values(), self._layers.image]
        if errors is None:
            return None
        there = [layer for layer in present if layer is not None and layer in self._context.viewer.layers]
        layer = next((each for each in there if np.shape(each.data) == errors.regions.shape), None)
        if layer is None:
            return None
        voxels = voxels_along_ray(Pointer.of_event(event), layer)
        numbers = errors.regions[tuple(voxels.T)]
        hits = numbers[np.isin(numbers, [each.number for each in self._table.in_view.in_order()])]
        return next((each for each in errors if len(hits) and each.number == hits[0]), None)

    def _lay_out(self) -> None:
        self.next_button.setToolTip(
            f"<qt>Go to the next error that you have not seen yet. Key: {_NEXT}, after a click into the image. "
            "A double-click on an error in the image selects it, too.</qt>"
        )
        self.previous_button.setToolTip(f"Go back in the table. Key: {_PREVIOUS}")
        self.zoom_box.setToolTip("Zoom so that the error fills a good part of the view; otherwise the zoom stays.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.previous_button, 1)
        row.addWidget(self.next_button, 1)
        row.addWidget(self.zoom_box)


class ErrorsPanel(QWidget):
    """Lists the errors of what is inspected; hidden until something is.

    Parameters
    ----------
    session : InspectionSession
        What is inspected.
    context : Context
        The viewer and the message line.
    layers : InspectionLayers
        The layers of what is inspected.

    Attributes
    ----------
    tolerance_box : ToleranceBox
        The depth up to which errors are hidden.
    table : ErrorTable
        The table with its filters.
    steps : ErrorNavigator
        The buttons for the next and the previous error.
    """

    def __init__(self, session: InspectionSession, context: Context, layers: InspectionLayers) -> None:
        super().__init__()
        self.tolerance_box, self.table = ToleranceBox(session), ErrorTable(session)
        self.steps = ErrorNavigator(session, context, layers, self.table)
        label = QLabel("<b>Errors</b> · ignore thinner than")
        label.setBuddy(self.tolerance_box)
        label.setToolTip(self.tolerance_box.toolTip())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        add_row(column, label, self.tolerance_box)
        column.addWidget(self.table)
        column.addWidget(self.steps)
        session.events.errors.connect(self._on_errors)
        self.hide()

    def _on_errors(self, _errors: object) -> None:
        self.show()


class ToleranceBox(QDoubleSpinBox):
    """The tolerance of a session in µm, by default the diagonal of one voxel; it is remembered for voxels of that size.

    Parameters
    ----------
    session : InspectionSession
        Whose tolerance it is.
    """

    def __init__(self, session: InspectionSession) -> None:
        super().__init__()
        self._session = session
        self.setRange(0, 1e6)
        self.setDecimals(2)
        self.setSuffix(" µm")
        self.setKeyboardTracking(False)
        self.setToolTip(
            "<qt>Errors that are nowhere deeper than this are ignored as boundary noise, and noise that joins deeper "
            "errors is cut away; what is missed or extra as a whole is ignored only if it is no longer than twice "
            "this. 0 shows every wrong voxel. The default is the diagonal of one voxel.</qt>"
        )
        self._voxel_size_um: VoxelSize | None = None
        self.valueChanged.connect(self._on_value)
        session.events.tolerance_um.connect(self._follow)

    def suit(self, voxel_size_um: VoxelSize) -> None:
        """Set what is remembered for voxels of a size, or the default, unless the box is for such voxels already."""
        if voxel_size_um == self._voxel_size_um:
            return
        self._voxel_size_um = None  # so that nothing is saved yet
        known = load_preference(_TOLERANCE_KEY)
        saved = known.get(_key(voxel_size_um)) if isinstance(known, dict) else None
        self.setSingleStep(max(0.01, round(min(voxel_size_um) / 2, 2)))
        self.setValue(saved if isinstance(saved, float | int) else default_tolerance_um(voxel_size_um))
        self._voxel_size_um = voxel_size_um

    def _on_value(self, value: float) -> None:
        if self._voxel_size_um is not None:
            known = load_preference(_TOLERANCE_KEY)
            saved = known if isinstance(known, dict) else {}
            save_preference(_TOLERANCE_KEY, {**saved, _key(self._voxel_size_um): value})
        self._session.tolerance_um = value

    def _follow(self, tolerance_um: float) -> None:
        if self.value() != round(tolerance_um, self.decimals()):
            self.setValue(tolerance_um)


def _key(voxel_size_um: VoxelSize) -> str:
    return " ".join(f"{size:.6g}" for size in voxel_size_um)
