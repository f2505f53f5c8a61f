"""The Inspect dock: every error of a prediction in a table, and the way from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel

from napari_unet3d.configs import Task
from napari_unet3d.evaluation.error_table import ErrorObject, ErrorsSearched
from napari_unet3d.prediction.events import EvaluationFinished, ModelLoaded, TilesPredicted, VolumeEvaluated
from napari_unet3d.widgets.base import Dock
from napari_unet3d.widgets.correct import CorrectPart
from napari_unet3d.widgets.error_marks import unmark_error
from napari_unet3d.widgets.error_steps import ErrorSteps
from napari_unet3d.widgets.error_table import ErrorTable
from napari_unet3d.widgets.folded import Folded
from napari_unet3d.widgets.hover import Hover
from napari_unet3d.widgets.inspect_save import InspectSavePart
from napari_unet3d.widgets.inspect_source import InspectSource, SourceKind
from napari_unet3d.widgets.inspected_set import InspectedSet, predict_volumes, remembered_config
from napari_unet3d.widgets.inspection import Inspected, Inspection, Shown, inspect_outcome, inspect_subject
from napari_unet3d.widgets.jobs import Job, Progress
from napari_unet3d.widgets.layer_samples import voxel_size_um
from napari_unet3d.widgets.layers import Place, bring_out, show_difference
from napari_unet3d.widgets.newest import NewestOnly
from napari_unet3d.widgets.origins import mark_origin
from napari_unet3d.widgets.outcomes import Outcome, measure
from napari_unet3d.widgets.parts import RunBar, add_row, heading
from napari_unet3d.widgets.remarks_keeper import RemarksKeeper
from napari_unet3d.widgets.scores_table import ScoresTable
from napari_unet3d.widgets.set_source import ChosenVolumes
from napari_unet3d.widgets.tolerance import ToleranceBox
from napari_unet3d.widgets.train_on import TrainOnPart
from napari_unet3d.widgets.two_predictions import TwoPredictions
from napari_unet3d.widgets.what_is_shown import WhatIsShown

if TYPE_CHECKING:
    from napari.layers import Labels
    from qtpy.QtGui import QShowEvent


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """What a job works on: layers that are shown, or volumes to predict; they may be of the set in the table."""

    shown: Shown | None = None
    chosen: ChosenVolumes | None = None
    is_of_set: bool = False


class InspectDock(Dock):
    """Lists the errors of a prediction and leads from one to the next.

    Other parts connect to its signals. They are told of an inspection anew when its errors were searched again with
    another tolerance; `inspection` gets its slower scores later without a signal.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, as napari hands it to a plugin's widget.

    Attributes
    ----------
    inspection_changed : Signal(object)
        The `Inspection` in view from now on.
    error_selected : Signal(object)
        The `ErrorObject` that is chosen from now on, after slices and camera went to it, or None.
    inspection : Inspection or None
        What is in view.
    source : LayerSource
        The choice of layers.
    """

    kind = "inspect"
    inspection_changed = Signal(object)
    error_selected = Signal(object)

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.setMinimumWidth(350)
        self.inspection: Inspection | None = None
        self.choice = InspectSource(self)
        self.source = self.choice.layers
        self.run_bar = RunBar("Inspect", also=[self.choice], stop_text="Cancel")
        self.run_bar.start_button.setToolTip("Compare the prediction with the truth and list its errors.")
        self.scores, self.tolerance_box, self.table = ScoresTable(), ToleranceBox(), ErrorTable()
        self.scores.setToolTip("The scores of the prediction; what one means stands in the tooltip of its heading.")
        self.set = InspectedSet(self.scores)
        self.keeper = RemarksKeeper(self.table.rows)
        self.steps = ErrorSteps(self)
        self.what_is_shown, self.hover = WhatIsShown(self), Hover(self)
        self.correct = CorrectPart(self)
        self.train_on = TrainOnPart(self, self.correct)
        self.save = InspectSavePart(self)
        self.two_predictions = TwoPredictions(self)
        self._search = NewestOnly(self, self.jobs, "inspect-errors", stops=True)
        self._scores = NewestOnly(self, self.jobs, "inspect-scores", stops=True)
        self._order, self._opens = _Order(), ""
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

    def inspect_layers(self, name: str) -> None:
        """Inspect the prediction in a layer of a name, with the layers that belong to it."""
        self.choice.choose(SourceKind.LAYERS)
        self.source.prediction.value = self.viewer.layers[name]
        self.source.find_partners()
        self._start()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Offer what came since the dock was last in view."""
        super().showEvent(event)
        self.choice.volumes.model.refresh()
        self.source.find_prediction()

    def on_event(self, event: Any) -> None:
        """Show one event of a search or a prediction."""
        match event:
            case _Order():
                self._begin(event)
            case ModelLoaded(device=device):
                self.message.show_message(f"Predicting on {device} …")
            case VolumeEvaluated():
                self.set.add(event)
            case EvaluationFinished():
                self._opens = event.volumes[0].name if self._order.is_of_set else self.set.finish(event)
            case Inspected(outcome=outcome):
                assert self._order.shown is not None
                self._show(event, self._order.shown)
                if self.set.chosen is None and outcome.scores is not None:
                    self.scores.show_scores(outcome.scores)
                self._measure()

    def on_ended(self, job: Job) -> None:
        """Open the volume that was predicted for it, or the worst."""
        if job.message is None and not job.stopped:
            self.message.clear()
            if self._opens:
                self._open(self._opens)
        elif job.message is None:
            self.message.show_message("Cancelled.")

    def _start(self, *_: Any) -> None:
        with self.message.explaining():
            if self.choice.kind is SourceKind.LAYERS:
                subject, order = self.source.subject(), _Order(shown=self.source.shown())
                self.tolerance_box.suit(subject.voxel_size_um)
                name = subject.origin.name
                self._run(f"Inspecting {name}", order, partial(inspect_subject, subject, self.tolerance_box.value()))
            else:
                chosen = self.choice.volumes.chosen()
                self._run("Predicting", _Order(chosen=chosen), partial(predict_volumes, chosen, remembered_config()))

    def _suit_tolerance(self, layer: Any) -> None:
        if layer is not None and layer.ndim == 3:
            self.tolerance_box.suit(voxel_size_um(layer))

    def _run(self, title: str, order: _Order, events: Callable[[], Iterator[Any]]) -> None:
        self._search.cancel()

        def with_order() -> Iterator[Any]:
            yield order
            yield from events()

        self.jobs.start(self.kind, title, with_order, measure=_progress, keep=(_Order,))

    def _begin(self, order: _Order) -> None:
        if order.chosen is not None:
            self.message.show_message("Loading PyTorch and the model …")
        if not order.is_of_set:
            self.set.begin(order.chosen)
        self._order, self._opens = order, ""
        self._scores.cancel()

    def _open(self, name: str) -> None:
        """Show a volume of the set and look for its errors; predict it again when it was not kept."""
        self._opens = ""
        assert self.set.chosen is not None
        with self.message.explaining():
            kept = self.set.kept(name)
            if kept is None:
                chosen = replace(self.set.chosen, pairs=(self.set.pair(name),))
                events = partial(predict_volumes, chosen, remembered_config())
                self._run(f"Predicting {name}", _Order(chosen=chosen, is_of_set=True), events)
                return
            shown, outcome = self.set.show(self.viewer, kept, remembered_config().tolerance_um)
            self.tolerance_box.suit(outcome.prediction.voxel_size_um)
            search = partial(inspect_outcome, outcome, self.tolerance_box.value())
            self._run(f"Inspecting {name}", _Order(shown=shown, is_of_set=True), search)

    def _show(self, event: Inspected, shown: Shown) -> None:
        """Show what was found; of the same outcome, what the layers show stays."""
        old, layers = self.inspection, self.viewer.layers
        if old is not None:
            self.keeper.flush()
            unmark_error(self.viewer, old)
        place = shown.place if shown.place in layers else event.outcome.prediction.voxel_size_um
        if old is not None and old.outcome is event.outcome:
            difference = old.difference
        else:
            difference = self._show_difference(event.outcome, shown, place)
        self.inspection = replace(shown, place=place).inspected(event.outcome, event.errors, difference)
        self.table.show_errors(event.errors, self.keeper.open(self.inspection), _names(self.inspection))
        self.section.show_remark(shown.origin.name)
        self.section.collapse()
        self.inspection_changed.emit(self.inspection)
        self.error_selected.emit(None)

    def _show_difference(self, outcome: Outcome, shown: Shown, place: Place) -> Labels:
        assert outcome.difference is not None
        difference = show_difference(self.viewer, f"{shown.origin.name} difference", outcome.difference, place)
        mark_origin([difference], shown.origin)
        covering = [each for each in (shown.prediction, shown.truth) if each is not None]
        bring_out(self.viewer, difference, instead_of=covering)
        return difference

    def _search_again(self, *_: Any) -> None:
        """Look for the errors with another tolerance, while the old ones stay in view."""
        inspection = self.inspection
        if inspection is None or self.jobs.running(self.kind) is not None:
            return
        if self.tolerance_box.value() == inspection.errors.tolerance_um:
            self._search.cancel()
            return
        shown = Shown(inspection.origin, inspection.place, inspection.image, inspection.truth, inspection.prediction)
        events = partial(inspect_outcome, inspection.outcome, self.tolerance_box.value())
        self._search.request(f"Errors of {inspection.name}", events, partial(self._take_search, shown))

    def _take_search(self, shown: Shown, event: Any) -> None:
        if isinstance(event, Inspected) and self.inspection is not None:
            self._show(replace(event, outcome=self.inspection.outcome), shown)

    def _measure(self) -> None:
        assert self.inspection is not None
        outcome = self.inspection.outcome
        if not outcome.is_measured:
            self._scores.request(f"Measuring {self.inspection.name}", partial(measure, outcome), self._take_scores)

    def _take_scores(self, outcome: Outcome) -> None:
        if self.inspection is not None and outcome.scores is not None:
            self.inspection = replace(self.inspection, outcome=outcome)
            self.scores.show_scores(outcome.scores)

    def _connect(self) -> None:
        self.run_bar.start_button.clicked.connect(self._start)
        self.source.prediction.changed.connect(self._suit_tolerance)
        self.set.asked_for.connect(self._open)
        self.table.chosen.connect(self.steps.go_to)
        self.tolerance_box.valueChanged.connect(self._search_again)
        self.keeper.failed.connect(lambda message: self.message.show_message(message, "warning"))
        for work in (self._search, self._scores):
            work.failed.connect(self.show_failure)
        self.destroyed.connect(self.keeper.flush)

    def _lay_out(self) -> None:
        self.section = Folded("What to inspect", self.choice)
        self.section.expand(False)
        for widget in (
            self.section,
            self.run_bar,
            self.message,
            self.scores,
            self.what_is_shown,
            self.hover,
            heading("Errors"),
        ):
            self.column.addWidget(widget)
        label = QLabel("Hide boundary noise up to")
        label.setToolTip(self.tolerance_box.toolTip())
        add_row(self.column, label, self.tolerance_box)
        for part in (
            self.table,
            self.steps,
            self.correct,
            self.train_on,
            self.save,
            Folded("Compare two predictions", self.two_predictions),
        ):
            self.column.addWidget(part)


def _names(inspection: Inspection) -> dict[int, str] | None:
    prediction = inspection.outcome.prediction
    if prediction.task is Task.FOREGROUND:
        return None
    return {} if prediction.plan is None else {each.value: each.name for each in prediction.plan.classes}


def _progress(event: Any) -> Progress | None:
    match event:
        case ErrorsSearched():
            return Progress(event.n_done, event.n_total)
        case TilesPredicted():
            return Progress(event.n_volumes_done, event.n_volumes)
        case VolumeEvaluated(n_evaluated=n, n_volumes=of):
            return Progress(n, of)
    return None
