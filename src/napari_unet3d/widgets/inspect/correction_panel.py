"""The panel that corrects errors: use ground truth, use prediction, or paint."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from magicgui.widgets import FloatSpinBox, PushButton

from napari_unet3d.configs import CorrectionConfig
from napari_unet3d.data.corrections import describe_count
from napari_unet3d.errors import UserError
from napari_unet3d.session.correction import CorrectionSession, CorrectionTarget, target_around
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.widgets.components.containers import Panel, button, row, wrapping_label
from napari_unet3d.widgets.components.context import Context, MessageLine
from napari_unet3d.widgets.components.dock_window import open_dock
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.forms.choices import remembered
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.inspect.corrected_layers import CorrectedLayers
from napari_unet3d.widgets.inspect.volume_layers import InspectionLayers
from napari_unet3d.widgets.viewer.navigation import view_center

# Letters that napari's Labels layers leave free; K is for keep, H for here, U for undo.
_TRUTH, _PREDICTION, _PAINT, _HERE, _UNDO, _REDO = "W", "K", "Q", "H", "U", "Shift-U"


class CorrectionPanel(Panel):
    """Corrects the selected error, or a box in the middle of the view when none is selected.

    Parameters
    ----------
    session : InspectionSession
        What is inspected.
    context : Context
        The viewer.
    layers : InspectionLayers
        The layers of what is inspected.
    corrected : CorrectedLayers
        The layers in which corrections are seen.

    Attributes
    ----------
    truth_button, prediction_button, paint_button, here_button, undo_button, redo_button : PushButton
        What can be done.
    proofread_button : PushButton
        Opens the dock Objects.
    settings : ConfigForm of CorrectionConfig
        Margin, and what the rest of the prediction counts as.
    side : FloatSpinBox
        Side of a box in the middle of the view, in µm, or in voxels where the voxel size is unknown.
    message : MessageLine
        Messages for the user.
    where, counts : Label
        What is going to be corrected, and how much was.
    keys : dict of str to (str, callable)
        Keys to bind, what they do, and the action.
    """

    def __init__(
        self, session: InspectionSession, context: Context, layers: InspectionLayers, corrected: CorrectedLayers
    ) -> None:
        super().__init__()
        self._session, self._viewer, self._layers, self._corrected = session, context.viewer, layers, corrected
        self._n_before_painting = 0
        self.keys: dict[str, tuple[str, Callable[[], None]]] = {}
        self.where, self.counts, self.message = wrapping_label(), wrapping_label(), MessageLine()
        self._make_buttons()
        tooltip = (
            "Side of the box that is corrected when no error is selected, in µm, or in voxels where the voxel size is "
            "unknown."
        )
        self.side = FloatSpinBox(value=10.0, min=0.01, max=1e6, step=1, tooltip=tooltip)
        self.side.native.setDecimals(2)
        remembered(self.side, "correct-here")
        self.settings = ConfigForm(CorrectionConfig, "correction")
        self.lay_out(
            self.where,
            row(self.truth_button, self.prediction_button),
            row(self.paint_button, self.undo_button, self.redo_button),
            row(self.here_button, self.side),
            self.proofread_button,
            self.message,
            self.counts,
            self.settings,
        )
        self.settings.changed.connect(self._take_settings)
        events = session.events
        for signal in (events.errors, events.corrections, events.corrected, events.selection):
            signal.connect(self.refresh)
        events.painting.connect(self._on_painting)
        self._take_settings()
        self.refresh()

    def _make_buttons(self) -> None:
        self.truth_button = self._button(
            "Use ground truth", _TRUTH, "The prediction is wrong here: use the ground truth.", self.accept_truth
        )
        self.prediction_button = self._button(
            "Use prediction",
            _PREDICTION,
            "The prediction is right here, and the ground truth, if there is any, is wrong: use the prediction.",
            self.accept_prediction,
        )
        self.paint_button = self._button(
            "Paint",
            _PAINT,
            "Neither is right: paint the correct labels in the slices. Press again, or go to the next error, when you "
            "are done.",
            self.paint,
        )
        self.here_button = self._button(
            "Correct here",
            _HERE,
            "Select no error but a box of this size in the middle of the view, to correct there.",
            self.correct_here,
        )
        self.undo_button = self._button("Undo", _UNDO, "Undo the last correction.", self.undo)
        self.redo_button = self._button("Redo", _REDO, "Redo the correction.", self.redo)
        self.proofread_button = button(
            "Proofread objects",
            "<qt>Open the dock Objects with this prediction: measure its objects one by one, merge, split or delete "
            "them, and use the result as corrections.</qt>",
            self.proofread,
        )

    def _button(self, text: str, key: str, tooltip: str, action: Callable[[], None]) -> PushButton:
        made = button(text, f"<qt>{tooltip} Key: {key}, after a click into the image.</qt>", action)
        self.keys[key] = text, partial(self._press, made, action)
        return made

    def _press(self, pressed: PushButton, action: Callable[[], None]) -> None:
        """Press a button by its key; where it cannot be pressed, its action says why."""
        if pressed.enabled:
            pressed.native.click()
        elif self._session.corrections is None or not self._session.corrections.is_painting:
            action()

    def accept_truth(self) -> None:
        """Use the ground truth at the error or place."""
        with self.message.explaining():
            self._session.accept_truth(self._target())

    def accept_prediction(self) -> None:
        """Use the prediction at the error or place."""
        with self.message.explaining():
            self._session.accept_prediction(self._target())

    def paint(self) -> None:
        """Begin to paint at the error or place, or end it."""
        with self.message.explaining():
            corrections = self._session.corrections
            if corrections is not None and corrections.is_painting:
                self._session.finish_painting()
                return
            self._session.begin_painting(self._target())
            self.message.show_message(
                f"Paint in the layer '{self._corrected.show().name}'. Ctrl-Z undoes a stroke; "
                f"press 'Done painting' or {_PAINT} at the end."
            )

    def correct_here(self) -> None:
        """Select no error, so that the buttons correct the middle of the view."""
        with self.message.explaining():
            self._session.finish_painting()
            self._open()
            self._session.select(None)

    def undo(self) -> None:
        """Undo the last correction, or what is being painted."""
        with self.message.explaining():
            self._session.undo()

    def redo(self) -> None:
        """Redo the correction that was undone last."""
        with self.message.explaining():
            self._session.redo()

    def proofread(self) -> None:
        """Open the dock Objects with the prediction that is inspected or, without one, that is chosen."""
        with self.message.explaining():
            shown = self._layers.shown or self._layers.chosen()
            layer = shown.prediction
            if layer is None:
                raise UserError("No prediction is chosen; predict a volume, or choose the layer of predicted labels.")
            if layer not in self._viewer.layers:
                raise UserError(f"The layer '{layer.name}' was removed; predict again, or choose another one.")
            subject = HandOver(prediction=layer, image=shown.image, channels=shown.further_channels)
            open_dock(self._viewer, "Objects", subject)

    def _open(self) -> CorrectionSession:
        """Return the corrections; when nothing is inspected, those of the prediction that is chosen."""
        if self._session.corrections is None:
            self._layers.open_chosen()
        assert self._session.corrections is not None
        return self._session.corrections

    def _target(self) -> CorrectionTarget | None:
        """Return the box to correct in the middle of the view; None when an error is selected."""
        corrections = self._open()
        if self._session.selection is not None:
            return None
        spacing = corrections.prediction.spacing
        position = view_center(self._viewer, self._corrected.show())
        return target_around(position, self.side.value, spacing, corrections.shape)

    def _take_settings(self) -> None:
        self._session.settings = self.settings.value

    def _on_painting(self, target: CorrectionTarget | None) -> None:
        corrections = self._session.corrections
        n_done = 0 if corrections is None else len(corrections.done)
        if target is not None:
            self._n_before_painting = n_done
        elif n_done == self._n_before_painting:
            self.message.show_message("Nothing was painted, so nothing is corrected.", "warning")
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Update texts and buttons."""
        corrections, error = self._session.corrections, self._session.selection
        has_prediction = corrections is not None or self._layers.chosen().prediction is not None
        done = [] if corrections is None else corrections.done
        is_painting = corrections is not None and corrections.is_painting
        place = "a box in the middle of the view"
        if error is not None and (errors := self._session.errors) is not None:
            place = f"error {error.number}, {error.kind.label}, {error.volume:.4g} {errors.geometry.volume_unit}"
        self.where.value = f"At: {place}"
        self.counts.value = describe_count(done) or "There are no corrections yet."
        self.side.enabled = error is None
        if corrections is not None:
            self.side.native.setSuffix(f" {corrections.prediction.geometry.unit}")
        self.paint_button.text = "Done painting" if is_painting else "Paint"
        self.truth_button.enabled = corrections is not None and corrections.truth is not None and not is_painting
        self.prediction_button.enabled = has_prediction and not is_painting
        for each in (self.paint_button, self.here_button, self.proofread_button):
            each.enabled = has_prediction
        self.undo_button.enabled = bool(done) or is_painting
        self.redo_button.enabled = corrections is not None and bool(corrections.corrections.undone)
