"""The part of the Inspect dock that corrects errors: takes the truth, takes the prediction, or lets the user paint."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet3d.data.corrections import CorrectionSource, describe_count
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.inspect.correction_controls import PAINT_KEY, CorrectionControls
from napari_unet3d.widgets.inspect.correction_session import CorrectionSession
from napari_unet3d.widgets.inspect.correction_target import CorrectionTarget, target_around, target_of_error
from napari_unet3d.widgets.inspect.error_outline import unmark_error
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.navigation import view_center

if TYPE_CHECKING:
    from napari_unet3d.widgets.inspect.dock import InspectDock
    from napari_unet3d.widgets.inspect.inspection import Inspection

_MOST_KEPT = 3  # predictions whose corrections are kept while others are looked at


class CorrectionPanel(QWidget):
    """Corrects the chosen error, or a box in the middle of the view when none is chosen.

    The layer ``NAME corrected`` shows the corrected state. Corrections of a prediction are kept while another one is
    looked at.

    Parameters
    ----------
    dock : InspectDock
        Its inspection, chosen error and layers.

    Attributes
    ----------
    controls : CorrectionControls
        The buttons and settings.
    message : MessageLine
        What the user should know.
    changed : Signal()
        Emitted after something was corrected or taken back, and when another prediction is in view.
    correcting : Correcting or None
        What is corrected.
    """

    changed = Signal()

    def __init__(self, dock: InspectDock) -> None:
        super().__init__()
        self._dock = dock
        self._kept: list[CorrectionSession] = []
        self.correcting: CorrectionSession | None = None
        self.controls = CorrectionControls()
        self.message = self.controls.message
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.controls)
        self._connect()
        dock.inspection_changed.connect(self._on_inspection)
        dock.error_selected.connect(self._on_selected)
        self._refresh()

    @property
    def has_corrections(self) -> bool:
        """Whether something is corrected in what is in view."""
        return self.correcting is not None and bool(self.correcting.corrections.done)

    def take(self, taken: CorrectionSource) -> None:
        """Let the truth or the prediction hold at the error or place."""
        with self.message.explaining():
            self._finish_painting()
            correcting = self._opened()
            correcting.take(self._spot(correcting), taken, self.controls.form.value.margin_um)
            self._unmark()
            self._refresh()

    def paint(self) -> None:
        """Begin to paint at the error or place, or end it."""
        with self.message.explaining():
            if self.correcting is not None and self.correcting.is_painting:
                self._finish_painting()
            else:
                correcting = self._opened()
                correcting.begin_painting(self._spot(correcting))
                self._unmark()
                self.message.show_message(
                    f"Paint in the layer '{correcting.layers.show().name}'. Ctrl-Z takes a stroke back; "
                    f"press 'Done painting' or {PAINT_KEY} at the end."
                )
            self._refresh()

    def correct_here(self) -> None:
        """Choose no error, so that the buttons correct the middle of the view."""
        with self.message.explaining():
            self._finish_painting()
            self._opened()
            self._dock.select(None)
            self._refresh()

    def undo(self) -> None:
        """Take the last correction back, or what is being painted."""
        with self.message.explaining():
            if self._finish_painting() and self.correcting is not None:
                self.correcting.undo()
            self._refresh()

    def redo(self) -> None:
        """Make the correction again that was taken back last."""
        with self.message.explaining():
            self._finish_painting()
            if self.correcting is not None:
                self.correcting.redo()
            self._refresh()

    def _finish_painting(self) -> bool:
        """Keep what is being painted; False when somebody was painting and had not painted anything."""
        correcting = self.correcting
        if correcting is None or not correcting.is_painting:
            return True
        if correcting.finish_painting(self.controls.form.value.margin_um) is not None:
            return True
        self.message.show_message("Nothing was painted, so nothing is corrected.", "warning")
        return False

    def _opened(self) -> CorrectionSession:
        """Return what is corrected; without an inspection it is what the dock's layers show."""
        if self.correcting is not None:
            return self.correcting
        source = self._dock.source
        if source.prediction.value is None:
            raise UserError("No prediction is chosen; predict a volume, or choose the layer of predicted labels.")
        sample = sample_from_layers(source.prediction.value)
        return self._keep(
            CorrectionSession(self._dock.viewer, source.shown(), sample.image, None, sample.voxel_size_um)
        )

    def _on_inspection(self, inspection: Inspection) -> None:
        self._finish_painting()
        prediction, truth = inspection.comparison.prediction, inspection.comparison.truth
        touched = [old for old in self._kept if old.corrections.done or old.corrections.undone]
        known = next((old for old in touched if old.is_of(prediction.labels, inspection.origin)), None)
        correcting = known or CorrectionSession(
            self._dock.viewer, inspection, prediction.labels, truth, prediction.voxel_size_um
        )
        correcting.follow(inspection)
        self._keep(correcting)
        self._refresh()

    def _keep(self, correcting: CorrectionSession) -> CorrectionSession:
        self.correcting = correcting
        others = [old for old in self._kept if old is not correcting]
        self._kept = [*others, correcting][-_MOST_KEPT:]
        return correcting

    def _on_selected(self, _error: Any) -> None:
        self._finish_painting()
        self._refresh()

    def _spot(self, correcting: CorrectionSession) -> CorrectionTarget:
        error, inspection = self._dock.selected_error, self._dock.inspection
        if error is not None and inspection is not None:
            return target_of_error(error, inspection.errors.mask_of(error))
        position = view_center(self._dock.viewer, correcting.layers.show())
        return target_around(position, self.controls.size_box.value(), correcting.voxel_size_um, correcting.shape)

    def _unmark(self) -> None:
        """Take away the mark of the error, which would hide what is corrected."""
        if self._dock.inspection is not None:
            unmark_error(self._dock.viewer, self._dock.inspection)

    def _refresh(self) -> None:
        """Bring words and buttons up to date with what is corrected."""
        correcting, error = self.correcting, self._dock.selected_error
        done = [] if correcting is None else correcting.corrections.done
        is_painting = correcting is not None and correcting.is_painting
        self.controls.show_state(
            describe_count(done),
            error,
            is_painting=is_painting,
            has_truth=correcting is not None and correcting.truth is not None,
            can_undo=bool(done) or is_painting,
            can_redo=correcting is not None and bool(correcting.corrections.undone),
        )
        self._mark_corrected()
        self.changed.emit()

    def _mark_corrected(self) -> None:
        inspection, correcting = self._dock.inspection, self.correcting
        if inspection is None or correcting is None:
            return
        taken = {error.number: correcting.taken_at(error) for error in inspection.errors.errors}
        self._dock.table.rows.show_corrected({number: words for number, words in taken.items() if words})

    def _connect(self) -> None:
        for button, action in (
            (self.controls.truth_button, partial(self.take, CorrectionSource.TRUTH)),
            (self.controls.prediction_button, partial(self.take, CorrectionSource.PREDICTION)),
            (self.controls.paint_button, self.paint),
            (self.controls.here_button, self.correct_here),
            (self.controls.undo_button, self.undo),
            (self.controls.redo_button, self.redo),
        ):
            button.clicked.connect(partial(_ignoring_the_tick, action))
        for key, (words, button) in self.controls.keys.items():
            bind_key(self._dock, key, words, button.click)  # which does nothing while the button is off


def _ignoring_the_tick(action: Callable[[], None], *_: Any) -> None:
    action()
