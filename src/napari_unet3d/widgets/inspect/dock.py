"""The Inspect dock: every error of a prediction in a table, corrections of them, and fine-tuning on these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Labels

from napari_unet3d.data.corrections import Correction
from napari_unet3d.evaluation.errors.types import ErrorSet, SegmentationError
from napari_unet3d.inference.events import EvaluationFinished, ModelLoaded, VolumeEvaluated
from napari_unet3d.session.comparison import Comparison, InspectionResult, inspect_comparison, inspect_input
from napari_unet3d.session.fine_tuning import ModelsCompared
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.preferences import load_evaluation_config
from napari_unet3d.widgets.components.containers import CollapsibleSection
from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.components.qt_widget import QtWidget
from napari_unet3d.widgets.components.scores_table import ScoresTable
from napari_unet3d.widgets.inspect.background_analysis import BackgroundAnalysis
from napari_unet3d.widgets.inspect.compare_panel import ComparePanel
from napari_unet3d.widgets.inspect.corrected_layers import CorrectedLayers
from napari_unet3d.widgets.inspect.correction_panel import CorrectionPanel
from napari_unet3d.widgets.inspect.cursor_info import CursorInfo
from napari_unet3d.widgets.inspect.errors_panel import ErrorsPanel
from napari_unet3d.widgets.inspect.export_panel import ExportPanel
from napari_unet3d.widgets.inspect.fine_tune_panel import FineTunePanel
from napari_unet3d.widgets.inspect.inspect_jobs import (
    InspectionRequest,
    measure_progress,
    predict_volumes,
    with_request,
)
from napari_unet3d.widgets.inspect.review_store import ReviewStore
from napari_unet3d.widgets.inspect.source import InspectSource, SourceKind
from napari_unet3d.widgets.inspect.view_switcher import ViewSwitcher
from napari_unet3d.widgets.inspect.volume_layers import InspectionLayers
from napari_unet3d.widgets.inspect.volume_list import VolumeList
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.viewer.from_layers import voxel_size_um

_MOST_SCORES = 4  # rows in view, so that the errors below are, too


class InspectDock(Dock):
    """Lists the errors of a prediction and leads from one to the next.

    What is inspected is held by `session`. The panels read and change it, and follow its signals; they know neither
    the dock nor each other.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, as napari hands it to a plugin's widget.

    Attributes
    ----------
    session : InspectionSession
        What is inspected.
    layers : InspectionLayers
        The layers that show it.
    source : LayerSource
        The choice of layers.
    """

    kind = "inspect"

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        session, context = InspectionSession(), self.context
        self.choice = InspectSource(context)
        self.source = self.choice.layers
        self.job_bar = JobBar(
            "Inspect",
            "Compare the prediction with the ground truth and list its errors.",
            (QtWidget(self.choice),),
            "Cancel",
        )
        self.scores = ScoresTable(most_rows=_MOST_SCORES)
        self.scores.setToolTip("The scores of the prediction; the tooltip of each heading explains it.")
        self.set = VolumeList(self.scores)
        # The order counts: layers are shown, and notes read, before panels follow a signal.
        self.session, self.layers = session, InspectionLayers(session, context, self.source.shown)
        self.corrected_layers = CorrectedLayers(session, context, self.layers)
        self.review = ReviewStore(session, context, self.native)
        self.errors = ErrorsPanel(session, context, self.layers)
        self.tolerance_box, self.table, self.steps = self.errors.tolerance_box, self.errors.table, self.errors.steps
        self.what_is_shown = ViewSwitcher(session, context, self.layers)
        self.hover = CursorInfo(session, context, self.layers)
        self.correct = CorrectionPanel(session, context, self.layers, self.corrected_layers)
        self.train_on = FineTunePanel(session, context)
        self.save = ExportPanel(session, context)
        self.two_predictions = ComparePanel(session, context, self.layers)
        self.analysis = BackgroundAnalysis(session, context, self.native)
        self._request, self._opens = InspectionRequest(), ""
        self._lay_out()
        self._connect()
        self.source.find_prediction()
        self.attach_to_job()

    def select(self, error: SegmentationError | None) -> None:
        """Select an error and go to it."""
        self.session.select(error)

    def go_to_next(self) -> None:
        """Go to the next error that was not seen yet."""
        self.steps.go_to_next()

    def inspect_prediction(self, prediction: Labels, comparison: Comparison | None = None) -> None:
        """Inspect the prediction in a layer, with the layers that belong to it.

        Parameters
        ----------
        prediction : Labels
            The layer.
        comparison : Comparison, optional
            The comparison with the ground truth, where no layer holds that as it was painted; without it the layers
            are compared.
        """
        self.choice.choose_prediction(prediction)
        if comparison is None:
            self.inspect()
            return
        with self.message.explaining():
            self.tolerance_box.suit(comparison.prediction.voxel_size_um)
            search = partial(inspect_comparison, comparison, self.session.tolerance_um)
            request = InspectionRequest(layers=replace(self.source.shown(), origin=self.source.origin))
            self._run(f"Inspecting {comparison.prediction.name}", request, search)

    def inspect_run(self, run: Path) -> None:
        """Predict the test volumes of a run with its model, or its training volumes, and inspect the predictions."""
        self.choice.choose(SourceKind.DATASET)
        with self.message.explaining():
            self.choice.volumes.use_run(run)
            self.inspect()

    def _refresh(self) -> None:
        """Offer what came since the dock was last in view."""
        self.choice.volumes.model.refresh()
        self.source.find_prediction()

    def follow_layers(self) -> None:
        """Update the menus of layers."""
        super().follow_layers()
        for menu in (*self.source.menus, *self.two_predictions.menus):
            menu.reset_choices()

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
                self._opens = event.volumes[0].name if self._request.is_listed else self.set.finish(event)
            case InspectionResult():
                self._show(event)

    def on_ended(self, job: Job) -> None:
        """Open the volume that was predicted for it, or the worst."""
        if job.message is None and not job.stopped:
            if self.message.kind == "info":  # and no warning that the notes cannot be read
                self.message.clear()
            if self._opens:
                self._open(self._opens)
        elif job.message is None:
            self.message.show_message("Cancelled.")

    def inspect(self) -> None:
        """Compare the chosen layers, or predict the chosen volumes, and list the errors."""
        with self.message.explaining():
            if self.choice.kind is SourceKind.LAYERS:
                given, request = self.source.read(), InspectionRequest(layers=self.source.shown())
                self.tolerance_box.suit(given.voxel_size_um)
                search = partial(inspect_input, given, self.session.tolerance_um)
                self._run(f"Inspecting {given.origin.name}", request, search)
            else:
                chosen = self.choice.volumes.chosen()
                events = partial(predict_volumes, chosen, load_evaluation_config())
                self._run("Predicting", InspectionRequest(chosen=chosen), events)

    def _suit_tolerance(self, layer: Any) -> None:
        if layer is not None and layer.ndim == 3:
            self.tolerance_box.suit(voxel_size_um(layer))

    def _run(self, title: str, request: InspectionRequest, events: Callable[[], Iterator[Any]]) -> None:
        work = partial(with_request, request, events)
        self.jobs.start(self.kind, title, work, progress=measure_progress, replay=(InspectionRequest,))

    def _begin(self, request: InspectionRequest) -> None:
        if request.chosen is not None:
            self.message.show_message("Loading PyTorch and the model …")
        if not request.is_listed:
            self.set.begin(request.chosen)
        self._request, self._opens = request, ""
        self.analysis.cancel()

    def _open(self, name: str) -> None:
        """Show a listed volume and find its errors; predict it again when its prediction was not kept."""
        self._opens = ""
        assert self.set.chosen is not None
        with self.message.explaining():
            kept, config = self.set.kept(name), load_evaluation_config()
            if kept is None:
                chosen = replace(self.set.chosen, pairs=(self.set.pair(name),))
                request = InspectionRequest(chosen=chosen, is_listed=True)
                self._run(f"Predicting {name}", request, partial(predict_volumes, chosen, config))
                return
            layers, comparison = self.set.show(self.viewer, kept, config.tolerance_um)
            self.tolerance_box.suit(comparison.prediction.voxel_size_um)
            search = partial(inspect_comparison, comparison, self.session.tolerance_um)
            self._run(f"Inspecting {name}", InspectionRequest(layers=layers, is_listed=True), search)

    def _show(self, result: InspectionResult) -> None:
        layers = self._request.layers
        assert layers is not None
        self.review.flush()  # the notes on what was inspected before
        self.layers.follow(layers)
        self.session.show(result, layers.origin, None if layers.image is None else layers.image.data)

    def _on_errors(self, _errors: ErrorSet) -> None:
        self.section.show_remark(self.session.origin.name)
        self.section.collapse()

    def _on_comparison(self, comparison: Comparison) -> None:
        if comparison.scores is not None and self.set.chosen is None:
            self.scores.show_scores(comparison.scores)

    def _on_image(self, image: Any) -> None:
        """Use an image that is chosen later for corrections that have none."""
        corrections = self.session.corrections
        if corrections is not None and self.layers.image is None:
            corrections.image = None if image is None else image.data

    def _on_corrected(self, _correction: Correction) -> None:
        if self.session.corrections is not None and self.session.corrections.done:
            self.train_section.expand(False)

    def _on_models_compared(self, compared: ModelsCompared) -> None:
        """Show what the fine-tuned model predicts, ready to be inspected in its turn."""
        self.source.prediction.value = self.layers.show_new_prediction(compared)
        self.raise_tab()
        self.scroll_area.ensureWidgetVisible(self.train_on.message)

    def _connect(self) -> None:
        self.job_bar.start_button.clicked.connect(self.inspect)
        self.scroll_area.shown.connect(self._refresh)
        self.source.prediction.changed.connect(self._suit_tolerance)
        self.source.image.changed.connect(self._on_image)
        self.set.asked_for.connect(self._open)
        events = self.session.events
        events.comparison.connect(self._on_comparison)
        events.errors.connect(self._on_errors)
        events.corrected.connect(self._on_corrected)
        events.models_compared.connect(self._on_models_compared)
        for panel in (self.steps, self.what_is_shown, self.correct):
            for key, (description, action) in panel.keys.items():
                bind_key(self.context, key, description, action)
        self.native.destroyed.connect(self.review.flush)

    def _lay_out(self) -> None:
        self.section = CollapsibleSection("What to inspect", self.choice)
        correct = CollapsibleSection("Correct", self.correct)
        for section in (self.section, correct):
            section.expand(False)
        self.train_section = CollapsibleSection("Fine-tune with the corrections", self.train_on)
        compare = CollapsibleSection("Compare two predictions", self.two_predictions)
        above = (self.message, self.scores, self.what_is_shown, self.errors, self.hover)
        below = (correct, self.train_section, self.save, compare)
        self.lay_out(QtWidget(self.section), self.job_bar, *map(QtWidget, (*above, *below)))
