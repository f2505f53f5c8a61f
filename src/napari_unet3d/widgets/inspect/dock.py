"""The Inspect dock: every error of a prediction in a table, corrections of them, and fine-tuning on these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_unet3d.data.corrections import Correction
from napari_unet3d.evaluation.errors.types import ErrorSet, SegmentationError
from napari_unet3d.inference.events import ModelLoaded
from napari_unet3d.session.comparison import Comparison, InspectionResult
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.models_compared import ModelsCompared
from napari_unet3d.widgets.components.containers import Section
from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.components.scores_table import ScoresTable
from napari_unet3d.widgets.inspect.compare_panel import ComparePanel
from napari_unet3d.widgets.inspect.corrected_layers import CorrectedLayers
from napari_unet3d.widgets.inspect.correction_panel import CorrectionPanel
from napari_unet3d.widgets.inspect.cursor_info import CursorInfo
from napari_unet3d.widgets.inspect.dataset_volumes import VolumeList
from napari_unet3d.widgets.inspect.errors_panel import ErrorsPanel
from napari_unet3d.widgets.inspect.fine_tune_panel import FineTunePanel
from napari_unet3d.widgets.inspect.inspector import BackgroundAnalysis, InspectionRequest, Inspector
from napari_unet3d.widgets.inspect.save_panel import ExportPanel, ReviewStore
from napari_unet3d.widgets.inspect.source import InspectSource, SourceKind
from napari_unet3d.widgets.inspect.view_switcher import ViewSwitcher
from napari_unet3d.widgets.inspect.volume_layers import InspectionLayers
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.viewer.channel_layers import image_of_layers
from napari_unet3d.widgets.viewer.connections import connect_while_alive
from napari_unet3d.widgets.viewer.places import TimePoint, data_on, geometry_of
from napari_unet3d.widgets.viewer.series_layers import follow_time

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
    source : InspectSource
        What to inspect: ``source.kind`` is ``"layers"`` or ``"dataset"``.
    prediction_layer, truth_layer, image_layer, probability_layer : ComboBox
        The layers to inspect.
    model, dataset : ModelPicker, PathEdit
        The model and the dataset whose volumes are predicted; `source.volumes` has `subset` and `volume`, too.
    tolerance : FloatSpinBox
        Errors that are nowhere deeper are ignored.
    zoom : CheckBox
        Whether to zoom to an error that is selected.
    errors : ErrorsPanel
        The table of errors and its filters.
    views, correction, fine_tuning, export, two_predictions : Container
        The panels. Their methods do what their buttons do: ``correction.accept_truth()``, ``fine_tuning.fine_tune()``.
    """

    kind = "inspect"
    least_width = 337

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        session, context = InspectionSession(), self.context
        self.source = InspectSource(context)
        chosen, volumes = self.source.layers, self.source.volumes
        self.prediction_layer, self.truth_layer = chosen.prediction_layer, chosen.truth_layer
        self.image_layer, self.probability_layer = chosen.image_layer, chosen.probability_layer
        self.model, self.dataset = volumes.model, volumes.dataset
        self.job_bar = JobBar(
            "Inspect",
            "Compare the prediction with the ground truth and list its errors.",
            self.inspect,
            (self.source,),
            "Cancel",
        )
        self.scores = ScoresTable(most_rows=_MOST_SCORES)
        self.scores.setToolTip("The scores of the prediction; the tooltip of each heading explains it.")
        self.volumes = VolumeList(self.scores)
        # The order counts: layers are shown, and notes read, before panels follow a signal.
        self.session, self.layers = session, InspectionLayers(session, context, self.source.layers.volume_layers)
        self.corrected_layers = CorrectedLayers(session, context, self.layers)
        self.review = ReviewStore(session, context, self.native)
        self.errors = ErrorsPanel(session, context, self.layers)
        self.tolerance, self.zoom = self.errors.tolerance, self.errors.steps.zoom
        self.views = ViewSwitcher(session, context, self.layers)
        self.cursor_info = CursorInfo(session, context, self.layers)
        self.correction = CorrectionPanel(session, context, self.layers, self.corrected_layers)
        self.fine_tuning = FineTunePanel(session, context)
        self.export = ExportPanel(session, context)
        self.two_predictions = ComparePanel(session, context, self.layers)
        self.analysis = BackgroundAnalysis(session, context, self.native)
        self.inspector = Inspector(session, context, self.source, self.volumes, self.layers, self.tolerance)
        self._lay_out()
        self._connect()
        self.source.layers.find_prediction()
        self.attach_to_job()

    def select(self, error: SegmentationError | None) -> None:
        """Select an error and go to it."""
        self.session.select(error)

    def next_error(self) -> None:
        """Go to the next error that was not seen yet."""
        self.errors.steps.next_error()

    def previous_error(self) -> None:
        """Go back to the previous error."""
        self.errors.steps.previous_error()

    def inspect(self) -> None:
        """Find the errors in the chosen layers, or predict the chosen volumes and find the errors of the worst."""
        with self.message.explaining():
            self.inspector.inspect()

    def receive(self, subject: HandOver) -> None:
        """Find the errors of a prediction with its layers, or of a run; without ground truth, correct the prediction.

        Where no layer holds the ground truth as it was painted, `subject` has the comparison with it.
        """
        if subject.prediction is None:
            if subject.run is not None:
                self.inspect_run(subject.run)
            return
        with self.message.explaining():
            self.source.choose_prediction(subject.prediction, subject)
            if subject.truth is not None or subject.comparison is not None:
                self.inspector.inspect(subject.comparison)
            else:
                self._correct_without_truth()

    def _correct_without_truth(self) -> None:
        self.layers.open_chosen()
        self.section.show_remark(self.session.origin.name)
        self.section.expand(False)
        self.correction_section.expand()
        self.message.show_message(
            "There is no ground truth to find errors with. Go to a place that is wrong and press 'Paint'."
        )

    def inspect_run(self, run: Path) -> None:
        """Predict the test volumes of a run with its model, or its training volumes, and inspect the predictions."""
        self.source.choose(SourceKind.DATASET)
        with self.message.explaining():
            self.source.volumes.use_run(run)
            self.inspect()

    def _refresh(self) -> None:
        """Offer what came since the dock was last in view."""
        self.source.volumes.model.refresh()
        self.source.layers.find_prediction()

    def on_event(self, event: Any) -> None:
        """Show one event of a search or a prediction."""
        match event:
            case InspectionRequest():
                if event.chosen is not None:
                    self.message.show_message("Loading PyTorch and the model …")
                self.analysis.cancel()
            case ModelLoaded(device=device):
                self.message.show_message(f"Predicting on {device} …")
            case InspectionResult():
                self.review.flush()  # the notes on what was inspected before
        self.inspector.take(event)

    def on_ended(self, job: Job) -> None:
        """Open the volume that was predicted for it, or the worst."""
        if job.message is None and not job.stopped:
            if self.message.kind == "info":  # and no warning that the notes cannot be read
                self.message.clear()
            if self.inspector.opens_next:
                self._open(self.inspector.opens_next)
            else:
                self.inspector.keep_tolerance()
        elif job.message is None:
            self.message.show_message("Cancelled.")

    def _open(self, name: str) -> None:
        with self.message.explaining():
            self.inspector.open(name)

    def _inspect_time(self, time: int) -> None:
        """Move the slider to a time point of the series that is inspected, and find the errors there."""
        at = self.layers.time_point
        if at is None or self.jobs.running(self.kind) is not None:
            return
        if time >= at.n_times:
            self.message.show_message("All errors of this last time point were seen.")
            return
        TimePoint(at.layer, at.axis, time).go_to(self.viewer)
        self.inspect()

    def _suit_tolerance(self, layer: Any) -> None:
        if layer is not None and layer.ndim >= 3:
            self.tolerance.suit(geometry_of(layer))

    def _on_errors(self, _errors: ErrorSet) -> None:
        self.section.show_remark(self.session.origin.name)
        self.section.expand(False)

    def _on_comparison(self, comparison: Comparison) -> None:
        if comparison.scores is not None and self.volumes.chosen is None:
            self.scores.show_scores(comparison.scores)

    def _on_image(self, image: Any) -> None:
        """Use an image that is chosen later for corrections that have none."""
        corrections = self.session.corrections
        if corrections is not None and self.layers.image is None:
            channels = self.source.layers.channels.layers
            if image is None or len(channels) > 1:
                corrections.image = None if image is None else image_of_layers(channels)
            else:
                corrections.image = data_on(self.layers.prediction, image)

    def _on_corrected(self, _correction: Correction) -> None:
        if self.session.corrections is not None and self.session.corrections.done:
            self.train_section.expand()

    def _on_models_compared(self, compared: ModelsCompared) -> None:
        """Show what the fine-tuned model predicts, ready to be inspected in its turn."""
        self.prediction_layer.value = self.layers.show_new_prediction(compared)
        self.raise_tab()
        self.scroll_area.ensureWidgetVisible(self.fine_tuning.message)

    def _connect(self) -> None:
        self.scroll_area.shown.connect(self._refresh)
        self.source.changed.connect(self.message.withdraw_refusal)
        self.prediction_layer.changed.connect(self._suit_tolerance)
        self.prediction_layer.changed.connect(self.correction.refresh)
        self.image_layer.changed.connect(self._on_image)
        self.source.layers.channels.changed.connect(lambda: self._on_image(self.image_layer.value))
        self.volumes.asked_for.connect(self._open)
        self.volumes.asked_for_time.connect(self._inspect_time)
        self.errors.steps.past_end.connect(self._inspect_time)
        events = self.session.events
        events.comparison.connect(self._on_comparison)
        events.errors.connect(self._on_errors)
        events.corrected.connect(self._on_corrected)
        events.models_compared.connect(self._on_models_compared)
        for panel in (self.errors.steps, self.views, self.correction):
            for key, (description, action) in panel.keys.items():
                bind_key(self.context, key, description, action)
        self.native.destroyed.connect(self.review.flush)
        slider = self.viewer.dims.events.current_step
        connect_while_alive(self.native, slider, lambda _event: follow_time(self.viewer))

    def _lay_out(self) -> None:
        self.section = Section("What to inspect", self.source, is_open=True)
        self.train_section = Section("Fine-tune with the corrections", self.fine_tuning)
        above = self.section, self.scores
        self.correction_section = Section("Correct", self.correction, is_open=True)
        errors = self.views, self.errors, self.cursor_info, self.correction_section
        self.lay_out(*above, *errors, self.train_section, self.export)
        self.lay_out(Section("Compare two predictions", self.two_predictions))
        self.pin(self.job_bar)
