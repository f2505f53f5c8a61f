"""The Inspect dock: every error of a prediction in a table, and the way from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal

from napari_unet3d.evaluation.errors.types import SegmentationError
from napari_unet3d.inference.events import EvaluationFinished, ModelLoaded, VolumeEvaluated
from napari_unet3d.widgets.components.containers import CollapsibleSection
from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.run_bar import RunBar
from napari_unet3d.widgets.components.scores_table import ScoresTable
from napari_unet3d.widgets.inspect.background_analysis import BackgroundAnalysis
from napari_unet3d.widgets.inspect.compare_panel import ComparePanel
from napari_unet3d.widgets.inspect.correction_panel import CorrectionPanel
from napari_unet3d.widgets.inspect.cursor_info import CursorInfo
from napari_unet3d.widgets.inspect.error_navigator import ErrorsPanel
from napari_unet3d.widgets.inspect.error_outline import unmark_error
from napari_unet3d.widgets.inspect.export_panel import ExportPanel
from napari_unet3d.widgets.inspect.fine_tune_panel import FineTunePanel
from napari_unet3d.widgets.inspect.inspection import (
    Inspection,
    InspectionResult,
    VolumeLayers,
    inspect_comparison,
    inspect_input,
    show_difference_of,
)
from napari_unet3d.widgets.inspect.requests import InspectionRequest, measure_progress, with_request
from napari_unet3d.widgets.inspect.review_store import ReviewStore
from napari_unet3d.widgets.inspect.source import InspectSource, SourceKind
from napari_unet3d.widgets.inspect.view_switcher import ViewSwitcher
from napari_unet3d.widgets.inspect.volume_list import VolumeList, predict_volumes, remembered_config
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.viewer.from_layers import voxel_size_um

if TYPE_CHECKING:
    from napari.layers import Labels
    from qtpy.QtGui import QShowEvent

    from napari_unet3d.session.comparison import Comparison

_MOST_SCORES = 4  # rows in view, so that the errors below are, too


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
        The `SegmentationError` that is chosen from now on, after slices and camera went to it, or None.
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
        self.inspection: Inspection | None = None
        self.choice = InspectSource(self)
        self.source = self.choice.layers
        self.run_bar = RunBar("Inspect", also=[self.choice], stop_text="Cancel")
        self.run_bar.start_button.setToolTip("Compare the prediction with the truth and list its errors.")
        self.scores, self.errors = ScoresTable(most_rows=_MOST_SCORES), ErrorsPanel(self)
        self.tolerance_box, self.table, self.steps = self.errors.tolerance_box, self.errors.table, self.errors.steps
        self.scores.setToolTip("The scores of the prediction; what one means stands in the tooltip of its heading.")
        self.set = VolumeList(self.scores)
        self.keeper = ReviewStore(self.table.rows)
        self.what_is_shown, self.hover = ViewSwitcher(self), CursorInfo(self)
        self.correct = CorrectionPanel(self)
        self.train_on = FineTunePanel(self, self.correct)
        self.save = ExportPanel(self)
        self.two_predictions = ComparePanel(self)
        self.refining = BackgroundAnalysis(self)
        self._order, self._opens = InspectionRequest(), ""
        self._lay_out()
        self._connect()
        self.source.find_prediction()
        self.attach_to_job()

    @property
    def selected_error(self) -> SegmentationError | None:
        """The error that is chosen."""
        return self.table.selected

    def select(self, error: SegmentationError | None) -> None:
        """Choose an error and go to it."""
        self.table.choose(error)

    def go_to_next(self, step: int = 1) -> None:
        """Go to the next error, or with -1 to the previous one."""
        error = self.table.following(step)
        if error is None:
            self.message.show_message("There is no error in the list to go to.")
        else:
            self.select(error)

    def inspect_prediction(self, prediction: Labels, outcome: Comparison | None = None) -> None:
        """Inspect the prediction in a layer; the outcome is for a truth that no layer holds as it was painted."""
        self.choice.choose_prediction(prediction)
        if outcome is None:
            self._start()
            return
        with self.message.explaining():
            self.tolerance_box.suit(outcome.prediction.voxel_size_um)
            request = InspectionRequest(layers=replace(self.source.shown(), origin=self.source.origin))
            search = partial(inspect_comparison, outcome, self.tolerance_box.value())
            self._run(f"Inspecting {outcome.prediction.name}", request, search)

    def inspect_run(self, run: Path) -> None:
        """Inspect what the model of a run makes of its test volumes, or of those that it learnt from."""
        self.choice.choose(SourceKind.DATASET)
        with self.message.explaining():
            self.choice.volumes.use_run(run)
            self._start()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Offer what came since the dock was last in view."""
        super().showEvent(event)
        self.choice.volumes.model.refresh()
        self.source.find_prediction()

    def on_event(self, event: Any) -> None:
        """Show one event of a search or a prediction."""
        match event:
            case InspectionRequest():
                self._begin(event)
            case ModelLoaded(device=device):
                self.message.show_message(f"Predicting on {device} …")
            case VolumeEvaluated():
                self.set.add(event)
            case EvaluationFinished():
                self._opens = event.volumes[0].name if self._order.is_of_set else self.set.finish(event)
            case InspectionResult(comparison=outcome):
                assert self._order.layers is not None
                self.show_inspected(event, self._order.layers)
                if self.set.chosen is None and outcome.scores is not None:
                    self.scores.show_scores(outcome.scores)
                self.refining.measure()

    def on_ended(self, job: Job) -> None:
        """Open the volume that was predicted for it, or the worst."""
        if job.message is None and not job.stopped:
            if self.message.kind == "info":  # and no warning that the remarks cannot be read
                self.message.clear()
            if self._opens:
                self._open(self._opens)
        elif job.message is None:
            self.message.show_message("Cancelled.")

    def _start(self, *_: Any) -> None:
        with self.message.explaining():
            if self.choice.kind is SourceKind.LAYERS:
                subject, order = self.source.subject(), InspectionRequest(layers=self.source.shown())
                self.tolerance_box.suit(subject.voxel_size_um)
                name = subject.origin.name
                self._run(f"Inspecting {name}", order, partial(inspect_input, subject, self.tolerance_box.value()))
            else:
                chosen = self.choice.volumes.chosen()
                self._run(
                    "Predicting",
                    InspectionRequest(chosen=chosen),
                    partial(predict_volumes, chosen, remembered_config()),
                )

    def _suit_tolerance(self, layer: Any) -> None:
        if layer is not None and layer.ndim == 3:
            self.tolerance_box.suit(voxel_size_um(layer))

    def _run(self, title: str, order: InspectionRequest, events: Callable[[], Iterator[Any]]) -> None:
        work = partial(with_request, order, events)
        self.jobs.start(self.kind, title, work, progress=measure_progress, replay=(InspectionRequest,))

    def _begin(self, order: InspectionRequest) -> None:
        if order.chosen is not None:
            self.message.show_message("Loading PyTorch and the model …")
        if not order.is_of_set:
            self.set.begin(order.chosen)
        self._order, self._opens = order, ""
        self.refining.cancel()

    def _open(self, name: str) -> None:
        """Show a volume of the set and look for its errors; predict it again when it was not kept."""
        self._opens = ""
        assert self.set.chosen is not None
        with self.message.explaining():
            kept = self.set.kept(name)
            if kept is None:
                chosen = replace(self.set.chosen, pairs=(self.set.pair(name),))
                events = partial(predict_volumes, chosen, remembered_config())
                self._run(f"Predicting {name}", InspectionRequest(chosen=chosen, is_of_set=True), events)
                return
            shown, outcome = self.set.show(self.viewer, kept, remembered_config().tolerance_um)
            self.tolerance_box.suit(outcome.prediction.voxel_size_um)
            search = partial(inspect_comparison, outcome, self.tolerance_box.value())
            self._run(f"Inspecting {name}", InspectionRequest(layers=shown, is_of_set=True), search)

    def show_inspected(self, event: InspectionResult, shown: VolumeLayers) -> None:
        """Show what was found; of the same outcome, what the layers show stays."""
        old, layers = self.inspection, self.viewer.layers
        if old is not None:
            self.keeper.flush()
            unmark_error(self.viewer, old)
        place = shown.place if shown.place in layers else event.comparison.prediction.voxel_size_um
        is_new = old is None or old.comparison is not event.comparison  # else another tolerance was asked for
        difference = show_difference_of(self.viewer, event, shown, place, is_new=is_new)
        self.inspection = Inspection.of(shown, place, event, difference)
        self.table.show_errors(event.errors, self.keeper.open(self.inspection), self.inspection.value_names)
        self.section.show_remark(shown.origin.name)
        self.section.collapse()
        self.inspection_changed.emit(self.inspection)
        self.error_selected.emit(None)

    def _offer_training(self) -> None:
        if self.correct.has_corrections:
            self.train_section.expand(False)

    def _connect(self) -> None:
        self.run_bar.start_button.clicked.connect(self._start)
        self.source.prediction.changed.connect(self._suit_tolerance)
        self.set.asked_for.connect(self._open)
        self.table.chosen.connect(self.steps.go_to)
        self.keeper.failed.connect(lambda message: self.message.show_message(message, "warning"))
        self.correct.changed.connect(self._offer_training)
        self.destroyed.connect(self.keeper.flush)

    def _lay_out(self) -> None:
        self.section = CollapsibleSection("What to inspect", self.choice)
        correct = CollapsibleSection("Correct", self.correct)
        for section in (self.section, correct):
            section.expand(False)
        self.train_section = CollapsibleSection("Train on with the corrections", self.train_on)
        above = (self.section, self.run_bar, self.message, self.scores, self.what_is_shown, self.errors, self.hover)
        compare = CollapsibleSection("Compare two predictions", self.two_predictions)
        for widget in (*above, correct, self.train_section, self.save, compare):
            self.column.addWidget(widget)
