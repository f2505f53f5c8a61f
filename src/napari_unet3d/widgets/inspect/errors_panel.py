"""The panel of errors: their tolerance, the table, and the buttons and keys that lead from one to the next."""

from __future__ import annotations

from typing import Any

import numpy as np
from magicgui.widgets import CheckBox, Label
from psygnal import Signal

from napari_unet3d.configs import Task
from napari_unet3d.evaluation.errors.types import ErrorSet, SegmentationError
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.inspection_hints import why_no_error
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.widgets.components.containers import Panel, button, row, single_shot
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.forms.choices import remembered
from napari_unet3d.widgets.inspect.error_table import ErrorTable
from napari_unet3d.widgets.inspect.tolerance_box import HiddenErrorsButton, ToleranceBox
from napari_unet3d.widgets.inspect.volume_layers import InspectionLayers
from napari_unet3d.widgets.viewer.connections import call_when_destroyed, connect_while_alive
from napari_unet3d.widgets.viewer.navigation import Pointer, voxels_along_ray

_NEXT, _PREVIOUS = "J", "Shift-J"  # E, which would be more natural, is the eraser of napari's Labels layers
_BORDER_KEY = "inspect-border"


class ErrorNavigator(Panel):
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
    zoom : CheckBox
        Whether to zoom to the error that is selected.
    next_button, previous_button : PushButton
    keys : dict of str to (str, callable)
        Keys to bind, what they do, and the action.
    past_end : Signal(int)
        Emitted with the next time point, when all errors of this one were seen and the next one is asked for.
    """

    past_end = Signal(int)

    def __init__(
        self, session: InspectionSession, context: Context, layers: InspectionLayers, table: ErrorTable
    ) -> None:
        super().__init__()
        self._session, self._context, self._layers, self._table = session, context, layers, table
        self.next_button = button(
            "Next error",
            f"<qt>Go to the next error that you have not seen yet. Key: {_NEXT}, after a click into the image. "
            "A double-click on an error in the image selects it, too.</qt>",
            self.next_error,
        )
        self.previous_button = button("Previous", f"Go back in the table. Key: {_PREVIOUS}", self.previous_error)
        tooltip = "Zoom so that the error fills a good part of the view; otherwise the zoom stays."
        self.zoom = remembered(CheckBox(value=True, text="Zoom", tooltip=tooltip), "inspect-zoom")
        layers.zooms = self.zoom.value
        self.keys = {
            _NEXT: ("Go to the next error that you have not seen yet", self.next_error),
            _PREVIOUS: ("Go back to the previous error", self.previous_error),
        }
        self._clicked: SegmentationError | None = None
        self._explanation = ""
        self._after_click = single_shot(self.native, self._select_clicked)
        self.lay_out(row(self.previous_button, self.next_button, self.zoom, wide=(0, 1)))
        self.zoom.changed.connect(self._set_zoom)
        self._follow_double_clicks()
        session.events.comparison.connect(self._withdraw)
        session.events.errors.connect(self._withdraw)
        table.in_view.layoutChanged.connect(self._withdraw)  # also when a filter has changed
        connect_while_alive(self.native, context.viewer.dims.events.ndisplay, layers.fit_outline)

    def next_error(self) -> None:
        """Select the next error of the table that was not seen yet."""
        self._go(1)

    def previous_error(self) -> None:
        """Select the error above in the table."""
        self._go(-1)

    def _go(self, step: int) -> None:
        error, at = self._table.following(step), self._layers.time_point
        if at is not None and step > 0 and self._table.is_all_seen:
            self.past_end.emit(at.time + 1)
        elif error is None:
            self._explanation = why_no_error(self._session)
            self._context.message.show_message(self._explanation)
        else:
            self._session.select(error)

    def _withdraw(self, *_: Any) -> None:
        """Hide why there was no error to go to, since what is listed has changed."""
        self._context.message.withdraw(self._explanation)

    def _set_zoom(self, is_on: bool) -> None:
        self._layers.zooms = is_on

    def _select_clicked(self) -> None:
        if self._clicked in (self._session.errors or ()):
            self._session.select(self._clicked)

    def _follow_double_clicks(self) -> None:
        callbacks = self._context.viewer.mouse_double_click_callbacks

        def on_double_click(_viewer: Any, event: Any) -> None:
            error = self._error_at(event)
            if error is not None:  # after napari has zoomed in, which it does on double clicks
                self._clicked = error
                self._after_click.start()

        callbacks.append(on_double_click)
        call_when_destroyed(self.native, lambda: callbacks.remove(on_double_click))

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


class ErrorsPanel(Panel):
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
    tolerance : ToleranceBox
        The depth up to which errors are hidden.
    ignore_border : CheckBox
        Whether objects at the border of the volume are left out; hidden for other tasks than single objects.
    table : ErrorTable
        The table with its filters.
    hidden_button : HiddenErrorsButton
        Lists what the tolerance hides.
    steps : ErrorNavigator
        The buttons for the next and the previous error.
    """

    def __init__(self, session: InspectionSession, context: Context, layers: InspectionLayers) -> None:
        super().__init__(spacing=4)
        self.tolerance, self.table = ToleranceBox(session), ErrorTable(session)
        self.hidden_button = HiddenErrorsButton(session)
        self.steps = ErrorNavigator(session, context, layers, self.table)
        label = Label(value="<b>Errors</b> · ignore thinner than", tooltip=self.tolerance.tooltip)
        label.native.setBuddy(self.tolerance.native)
        self.ignore_border = CheckBox(
            value=load_preference(_BORDER_KEY) is True,
            text="Ignore objects at the border",
            tooltip="<qt>Objects that touch the border of the volume are left out of the errors and of the scores of "
            "objects. A predicted one still counts if it is matched with a true object inside.</qt>",
        )
        self._session = session
        self._set_ignore_border(self.ignore_border.value)
        self.lay_out(row(label, self.tolerance), self.ignore_border, self.table, self.hidden_button, self.steps)
        self.ignore_border.changed.connect(self._set_ignore_border)
        session.events.ignore_border.connect(self._follow_border)
        session.events.errors.connect(self._on_errors)
        self.hide()

    def _on_errors(self, errors: ErrorSet | None) -> None:
        self.show()
        self.ignore_border.visible = errors is not None and errors.task is Task.INSTANCE

    def _set_ignore_border(self, is_on: bool) -> None:
        save_preference(_BORDER_KEY, is_on)
        self._session.ignore_border = is_on

    def _follow_border(self, is_on: bool) -> None:
        self.ignore_border.value = is_on
