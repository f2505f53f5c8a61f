"""The panel that corrects errors: use ground truth, use prediction, or paint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import Container, PushButton, Widget

from napari_unet3d.data.corrections import Correction, describe_count
from napari_unet3d.session.correction import CorrectionSession, CorrectionTarget, target_around
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.inspect.corrected_layers import CorrectedLayers
from napari_unet3d.widgets.inspect.correction_controls import PAINT_KEY, CorrectionControls
from napari_unet3d.widgets.inspect.volume_layers import InspectionLayers
from napari_unet3d.widgets.viewer.navigation import view_center


class CorrectionPanel(Container[Widget]):
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
    controls : CorrectionControls
        The buttons.
    settings : ConfigForm of CorrectionConfig
        Margin, and what the rest of the prediction counts as.
    size_um : FloatSpinBox
        Side in µm of a box in the middle of the view.
    message : MessageLine
        Messages for the user.
    keys : dict of str to (str, callable)
        Keys to bind, what they do, and the action.
    """

    def __init__(
        self, session: InspectionSession, context: Context, layers: InspectionLayers, corrected: CorrectedLayers
    ) -> None:
        self._session, self._viewer, self._layers, self._corrected = session, context.viewer, layers, corrected
        self._n_before_painting = 0
        self.controls = CorrectionControls()
        super().__init__(widgets=[self.controls], labels=False)
        self.margins = (0, 0, 0, 0)
        self.settings, self.size_um = self.controls.settings, self.controls.size_um
        self.message = self.controls.message
        self.keys = {key: (text, button.native.click) for key, (text, button) in self.controls.keys.items()}
        self._connect()
        self._take_settings()
        self._refresh()

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
                f"press 'Done painting' or {PAINT_KEY} at the end."
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
        return target_around(position, self.size_um.value, spacing, corrections.shape)

    def _take_settings(self) -> None:
        self._session.settings = self.settings.value

    def _on_painting(self, target: CorrectionTarget | None) -> None:
        corrections = self._session.corrections
        n_done = 0 if corrections is None else len(corrections.done)
        if target is not None:
            self._n_before_painting = n_done
        elif n_done == self._n_before_painting:
            self.message.show_message("Nothing was painted, so nothing is corrected.", "warning")
        self._refresh()

    def _refresh(self, *_: Any) -> None:
        """Update texts and buttons."""
        corrections = self._session.corrections
        done: list[Correction] = [] if corrections is None else corrections.done
        is_painting = corrections is not None and corrections.is_painting
        self.controls.show_state(
            describe_count(done),
            self._session.selection,
            is_painting=is_painting,
            has_truth=corrections is not None and corrections.truth is not None,
            can_undo=bool(done) or is_painting,
            can_redo=corrections is not None and bool(corrections.corrections.undone),
        )

    def _connect(self) -> None:
        actions: dict[PushButton, Callable[[], None]] = {
            self.controls.truth_button: self.accept_truth,
            self.controls.prediction_button: self.accept_prediction,
            self.controls.paint_button: self.paint,
            self.controls.here_button: self.correct_here,
            self.controls.undo_button: self.undo,
            self.controls.redo_button: self.redo,
        }
        for button, action in actions.items():
            button.clicked.connect(action)
        self.settings.changed.connect(self._take_settings)
        events = self._session.events
        for signal in (events.errors, events.corrections, events.corrected, events.selection):
            signal.connect(self._refresh)
        events.painting.connect(self._on_painting)
