"""The buttons and settings with which errors are corrected."""

from __future__ import annotations

from functools import partial

from magicgui.widgets import Container, FloatSpinBox, PushButton, Widget

from napari_unet3d.configs import CorrectionConfig
from napari_unet3d.evaluation.errors.types import SegmentationError
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.widgets.components.containers import SPACING, row, wrapping_label
from napari_unet3d.widgets.components.message_line import MessageLine
from napari_unet3d.widgets.components.qt_widget import QtWidget
from napari_unet3d.widgets.forms.form import ConfigForm

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
        self.counts.value = count or "Nothing is corrected yet."
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
