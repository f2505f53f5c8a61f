"""The buttons and settings with which errors are corrected."""

from __future__ import annotations

from functools import partial

from qtpy.QtWidgets import QDoubleSpinBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet3d.configs import CorrectionConfig
from napari_unet3d.evaluation.errors.types import SegmentationError
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.widgets.components.run_bar import MessageLine, add_row
from napari_unet3d.widgets.forms.form import ConfigForm

# Letters that napari's Labels layers leave free; K is for keep, H for here, U for undo.
_TRUTH, _PREDICTION, PAINT_KEY, _HERE, _UNDO, _REDO = "W", "K", "Q", "H", "U", "Shift-U"
_SIZE_KEY = "correct-here-um"
_SIZE_UM = 10.0


class CorrectionControls(QWidget):
    """Buttons to correct, the size of a place that is chosen by hand, and settings.

    Attributes
    ----------
    truth_button, prediction_button, paint_button, here_button, undo_button, redo_button : QPushButton
        What can be done.
    keys : dict of str to (str, QPushButton)
        The keys that press them, and what they do.
    size_box : QDoubleSpinBox
        Side in µm of a box in the middle of the view.
    form : ConfigForm
        Margin, and what the rest of the prediction counts as.
    message : MessageLine
        Messages for the user.
    where, count : QLabel
        What is going to be corrected, and how much was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, tuple[str, QPushButton]] = {}
        self.where, self.count, self.message = _line(), _line(), MessageLine()
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
        self.size_box = QDoubleSpinBox()
        self.form = ConfigForm(CorrectionConfig, "correction")
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
        self.where.setText(f"At: {place}")
        self.count.setText(count or "Nothing is corrected yet.")
        self.size_box.setEnabled(error is None)
        self.paint_button.setText("Done painting" if is_painting else "Paint")
        self.truth_button.setEnabled(has_truth and not is_painting)
        self.prediction_button.setEnabled(not is_painting)
        self.undo_button.setEnabled(can_undo)
        self.redo_button.setEnabled(can_redo)

    def _button(self, text: str, key: str, tooltip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(f"<qt>{tooltip} Key: {key}, after a click into the image.</qt>")
        self.keys[key] = text, button
        return button

    def _set_up_size(self) -> None:
        self.size_box.setRange(0.01, 1e6)
        self.size_box.setDecimals(2)
        self.size_box.setSuffix(" µm")
        self.size_box.setToolTip("Side of the box that is corrected when no error is selected.")
        known = load_preference(_SIZE_KEY)
        self.size_box.setValue(float(known) if isinstance(known, int | float) else _SIZE_UM)
        self.size_box.valueChanged.connect(partial(save_preference, _SIZE_KEY))

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.where)
        add_row(column, self.truth_button, self.prediction_button)
        add_row(column, self.paint_button, self.undo_button, self.redo_button)
        add_row(column, self.here_button, self.size_box)
        column.addWidget(self.message)
        column.addWidget(self.count)
        column.addWidget(self.form.native)


def _line() -> QLabel:
    line = QLabel()
    line.setWordWrap(True)
    line.setMinimumWidth(1)
    return line
