"""The Inspect dock: every error of a prediction in a table, and the way from one to the next."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QPushButton, QWidget

from napari_unet3d.evaluation.error_table import ErrorObject, ErrorsSearched
from napari_unet3d.widgets.base import Dock
from napari_unet3d.widgets.correct import CorrectPart
from napari_unet3d.widgets.error_marks import go_to_error, unmark_error
from napari_unet3d.widgets.error_table import ErrorTable
from napari_unet3d.widgets.folded import Folded
from napari_unet3d.widgets.hover import Hover
from napari_unet3d.widgets.inspect_save import InspectSavePart
from napari_unet3d.widgets.inspect_source import LayerSource
from napari_unet3d.widgets.inspection import Inspected, Inspection, Subject, inspect_subject
from napari_unet3d.widgets.jobs import Progress
from napari_unet3d.widgets.keys import bind_key
from napari_unet3d.widgets.layers import show_difference
from napari_unet3d.widgets.parts import RunBar, heading
from napari_unet3d.widgets.scores_table import ScoresTable
from napari_unet3d.widgets.train_on import TrainOnPart
from napari_unet3d.widgets.two_predictions import TwoPredictions
from napari_unet3d.widgets.what_is_shown import WhatIsShown

_NEXT, _PREVIOUS = "J", "Shift-J"  # E, which says it better, is the eraser of napari's Labels layers


class InspectDock(Dock):
    """Lists the errors of a prediction and leads from one to the next.

    Other parts connect to its signals. They are told of a new inspection also when its errors were searched again
    with another tolerance.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, as napari hands it to a plugin's widget.

    Attributes
    ----------
    inspection_changed : Signal(object)
        The `Inspection` in view from now on, or None.
    error_selected : Signal(object)
        The `ErrorObject` that was chosen and gone to, or None.
    inspection : Inspection or None
        What is in view.
    """

    kind = "inspect"
    inspection_changed = Signal(object)
    error_selected = Signal(object)

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.setMinimumWidth(350)
        self.inspection: Inspection | None = None
        self.source = LayerSource(self)
        self.tolerance_box = QDoubleSpinBox()
        self.tolerance_box.setRange(0, 1e6)
        self.tolerance_box.setDecimals(2)
        self.tolerance_box.setSuffix(" µm")
        self.tolerance_box.setToolTip("Errors that never go deeper than this are hidden as boundary noise.")
        self.run_bar = RunBar("Inspect", also=[self.source], stop_text="Cancel")
        self.run_bar.start_button.setToolTip("Compare the prediction with the truth and list its errors.")
        self.scores = ScoresTable()
        self.scores.setToolTip("The scores of the prediction; what one means stands in the tooltip of its heading.")
        self.table = ErrorTable()
        self.next_button, self.previous_button = QPushButton("Next error"), QPushButton("Previous")
        self.zoom_box = QCheckBox("Zoom")
        self.what_is_shown, self.hover = WhatIsShown(self), Hover(self)
        self.correct = CorrectPart(self)
        self.train_on = TrainOnPart(self, self.correct)
        self.save = InspectSavePart(self)
        self.two_predictions = TwoPredictions(self)
        self._lay_out()
        self._connect()
        self.source.find_prediction()
        self.find_job()

    @property
    def selected_error(self) -> ErrorObject | None:
        """The error that is chosen."""
        return self.table.selected

    def select(self, error: ErrorObject | None) -> None:
        """Choose an error and go to it."""
        self.table.choose(error)

    def go_on(self, step: int = 1) -> None:
        """Go to the next error, or with -1 to the previous one."""
        error = self.table.following(step)
        if error is None:
            self.message.show_message("There is no error in the list to go to.")
        else:
            self.select(error)

    def on_event(self, event: Any) -> None:
        """Show one event of a search."""
        if isinstance(event, _Begun):
            self._begun = event
        elif isinstance(event, Inspected):
            self._show(event)

    def _start(self, *_: Any) -> None:
        with self.message.explaining():
            begun = _Begun(self.source)
            events = partial(_with_order, begun, self.tolerance_box.value())
            self.jobs.start(self.kind, f"Inspecting {begun.subject.origin.name}", events, measure=_measure)

    def _show(self, event: Inspected) -> None:
        begun, prediction = self._begun, event.outcome.prediction
        assert event.outcome.difference is not None
        if self.inspection is not None:
            unmark_error(self.viewer, self.inspection)
        place = begun.prediction if begun.prediction in self.viewer.layers else prediction.voxel_size_um
        difference = show_difference(self.viewer, f"{prediction.name} difference", event.outcome.difference, place)
        self.inspection = Inspection(
            event.outcome,
            event.errors,
            image=begun.image,
            truth=begun.truth,
            prediction=begun.prediction,
            difference=difference,
            place=place,
            origin=begun.subject.origin,
        )
        self.scores.clear_rows()
        if event.outcome.scores is not None:
            self.scores.show_scores(event.outcome.scores)
        self.table.show_errors(event.errors, {}, {})
        self.inspection_changed.emit(self.inspection)

    def _go_to(self, error: ErrorObject | None) -> None:
        if self.inspection is not None and error is not None:
            go_to_error(self.viewer, self.inspection, error, zoom=self.zoom_box.isChecked())
            self.table.rows.mark_seen(error)
        self.error_selected.emit(error)

    def _connect(self) -> None:
        self.run_bar.start_button.clicked.connect(self._start)
        self.table.chosen.connect(self._go_to)
        self.next_button.clicked.connect(lambda: self.go_on())
        self.previous_button.clicked.connect(lambda: self.go_on(-1))
        bind_key(self, _NEXT, "Go to the next error that was not seen yet", self.go_on)
        bind_key(self, _PREVIOUS, "Go back to the previous error", partial(self.go_on, -1))

    def _lay_out(self) -> None:
        self.next_button.setToolTip(f"Go to the next error that you have not seen yet. Key: {_NEXT}")
        self.previous_button.setToolTip(f"Go back in the table. Key: {_PREVIOUS}")
        self.zoom_box.setToolTip("Zoom so that the error fills a good part of the view; without it the zoom stays.")
        self.zoom_box.setChecked(True)
        steps = QWidget()
        row = QHBoxLayout(steps)
        row.setContentsMargins(0, 0, 0, 0)
        for button in (self.previous_button, self.next_button):
            row.addWidget(button, 1)
        row.addWidget(self.zoom_box)
        for widget in (
            heading("What to inspect"),
            self.source,
            self.run_bar,
            self.message,
            self.scores,
            self.what_is_shown,
            self.hover,
            heading("Errors"),
            self.tolerance_box,
            self.table,
            steps,
            self.correct,
            self.train_on,
            self.save,
            Folded("Compare two predictions", self.two_predictions),
        ):
            self.column.addWidget(widget)


class _Begun:
    """The layers of a search, for the dock that shows its end."""

    def __init__(self, source: LayerSource) -> None:
        self.subject: Subject = source.subject()
        self.prediction, self.truth, self.image = source.prediction.value, source.truth.value, source.image.value


def _with_order(begun: _Begun, tolerance_um: float) -> Iterator[Any]:
    yield begun
    yield from inspect_subject(begun.subject, tolerance_um)


def _measure(event: Any) -> Progress | None:
    return Progress(event.n_done, event.n_total) if isinstance(event, ErrorsSearched) else None
