"""The panel that corrects errors: use ground truth, use prediction, or paint."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from magicgui.widgets import Container, FloatSpinBox, PushButton, Widget

from napari_unet3d.configs import CorrectionConfig
from napari_unet3d.data.corrections import Correction, describe_count
from napari_unet3d.evaluation.errors.types import SegmentationError
from napari_unet3d.session.correction import CorrectionSession, CorrectionTarget, target_around
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.widgets.components.containers import SPACING, QtWidget, row, wrapping_label
from napari_unet3d.widgets.components.context import Context, MessageLine
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.inspect.corrected_layers import CorrectedLayers
from napari_unet3d.widgets.inspect.volume_layers import InspectionLayers
from napari_unet3d.widgets.viewer.navigation import view_center

# Letters that napari's Labels layers leave free; K is for keep, H for here, U for undo.
_TRUTH, _PREDICTION, PAINT_KEY, _HERE, _UNDO, _REDO = "W", "K", "Q", "H", "U", "Shift-U"
_SIZE_KEY = "correct-here-um"
_SIZE_UM = 10.0


class CorrectionControls(Container[Widget]):
    """Buttons to correct, the size of a place that is chosen by hand, and settings.

    Attributes
    ----------
    truth_button, prediction_button, paint_button, here_button, undo_button, redo_button : PushButton
        What can be done.
    keys : dict of str to (str, PushButton)
        The keys that press them, and what they do.
    size_um : FloatSpinBox
        Side in µm of a box in the middle of the view.
    settings : ConfigForm of CorrectionConfig
        Margin, and what the rest of the prediction counts as.
    message : MessageLine
        Messages for the user.
    where, counts : Label
        What is going to be corrected, and how much was.
    """

    def __init__(self) -> None:
        super().__init__(labels=False)
        self.keys: dict[str, tuple[str, PushButton]] = {}
        self.where, self.counts, self.message = wrapping_label(), wrapping_label(), MessageLine()
        self.truth_button = self._button(
            "Use ground truth", _TRUTH, "The prediction is wrong here: use the ground truth."
        )
        self.prediction_button = self._button(
            "Use prediction",
            _PREDICTION,
            "The prediction is right here, and the ground truth, if there is any, is wrong: use the prediction.",
        )
        self.paint_button = self._button(
            "Paint",
            PAINT_KEY,
            "Neither is right: paint what is, in the slices. Press again, or go to the next error, when you are done.",
        )
        self.here_button = self._button(
            "Correct here",
            _HERE,
            "Select no error but a box of this size in the middle of the view, to correct there.",
        )
        self.undo_button = self._button("Undo", _UNDO, "Undo the last correction.")
        self.redo_button = self._button("Redo", _REDO, "Redo the correction.")
        self.size_um = FloatSpinBox(
            min=0.01, max=1e6, step=1, tooltip="Side of the box that is corrected when no error is selected."
        )
        self.settings = ConfigForm(CorrectionConfig, "correction")
        self._set_up_size()
        self._lay_out()

    def show_state(
        self,
        count: str,
        error: SegmentationError | None,
        *,
        is_painting: bool,
        has_truth: bool,
        can_undo: bool,
        can_redo: bool,
    ) -> None:
        """Update texts and buttons.

        Parameters
        ----------
        count : str
            How much was corrected; empty for nothing.
        error : SegmentationError or None
            The selected error; None for the middle of the view.
        is_painting, has_truth, can_undo, can_redo : bool
            The state, and what can be done.
        """
        place = "a box in the middle of the view"
        if error is not None:
            place = f"error {error.number}, {error.kind.label}, {error.volume_um3:.4g} µm³"
        self.where.value = f"At: {place}"
        self.counts.value = count or "There are no corrections yet."
        self.size_um.enabled = error is None
        self.paint_button.text = "Done painting" if is_painting else "Paint"
        self.truth_button.enabled = has_truth and not is_painting
        self.prediction_button.enabled = not is_painting
        self.undo_button.enabled = can_undo
        self.redo_button.enabled = can_redo

    def _button(self, text: str, key: str, tooltip: str) -> PushButton:
        tooltip = f"<qt>{tooltip} Key: {key}, after a click into the image.</qt>"
        button = PushButton(text=text, tooltip=tooltip)
        self.keys[key] = text, button
        return button

    def _set_up_size(self) -> None:
        self.size_um.native.setDecimals(2)
        self.size_um.native.setSuffix(" µm")
        known = load_preference(_SIZE_KEY)
        self.size_um.value = float(known) if isinstance(known, int | float) else _SIZE_UM
        self.size_um.changed.connect(partial(save_preference, _SIZE_KEY))

    def _lay_out(self) -> None:
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(SPACING)
        self.extend(
            [
                self.where,
                row(self.truth_button, self.prediction_button),
                row(self.paint_button, self.undo_button, self.redo_button),
                row(self.here_button, self.size_um),
                QtWidget(self.message),
                self.counts,
                self.settings,
            ]
        )


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
        voxel_size_um = corrections.prediction.voxel_size_um
        position = view_center(self._viewer, self._corrected.show())
        return target_around(position, self.size_um.value, voxel_size_um, corrections.shape)

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
