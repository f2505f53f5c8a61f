"""The Predict dock: a model applied to a layer, to files or to a test set, and where it was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt

from napari_unet3d.configs import EvaluationConfig, PostProcessing, PredictionConfig, Task
from napari_unet3d.data.events import Notice
from napari_unet3d.evaluation.metrics.types import unit_notice
from napari_unet3d.inference.blockwise.preview import BlocksBegun
from napari_unet3d.inference.events import (
    EvaluationFinished,
    LargeVolumeEvaluated,
    ModelLoaded,
    PredictionWritten,
    VolumeEvaluated,
)
from napari_unet3d.inference.write import names
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.session.generator_thread import beginning_with
from napari_unet3d.session.large_prediction import LargePrediction
from napari_unet3d.widgets.components.containers import heading
from napari_unet3d.widgets.components.context import Kind
from napari_unet3d.widgets.components.copy_run import CopyButton
from napari_unet3d.widgets.components.dialogs import confirm
from napari_unet3d.widgets.components.dock import Dock
from napari_unet3d.widgets.components.hand_over import HandOver
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.export.model_panel import ExportModel
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.forms.paths import ModelPicker
from napari_unet3d.widgets.forms.preference_link import share_preferences
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.predict.large_results import LargeResults
from napari_unet3d.widgets.predict.live_prediction import LivePrediction
from napari_unet3d.widgets.predict.prediction_actions import KeepPrediction, SuggestNextAnnotation
from napari_unet3d.widgets.predict.request import PredictionRequest, Target
from napari_unet3d.widgets.predict.results_panel import ResultsPanel
from napari_unet3d.widgets.predict.target import PredictionTarget

_OBJECTS = "Single objects"  # the section of the settings that only instance segmentation has
_REPLAYED = PredictionRequest, Comparison, EvaluationFinished, BlocksBegun, LargePrediction  # for a dock opened again


class PredictDock(Dock):
    """Predicts volumes and compares them with ground truth; the difference is shown in the viewer, red and blue.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, as napari passes it to the widget of a plugin.

    Attributes
    ----------
    model : ModelPicker
        The run folder or model file.
    target : PredictionTarget
        What is predicted: ``target.kind`` is ``"layer"``, ``"files"`` or ``"test-set"``.
    image_layer, truth_layer, dataset, out : ComboBox, PathEdit
        The layers to predict and to compare with, the dataset whose test set is predicted, the folder for results.
    settings : ConfigForm of PredictionConfig, or of EvaluationConfig for a test set
        A widget per setting, such as ``settings.overlap``.
    label_settings : ConfigForm of PostProcessing
        The settings that labels are made with, also after predicting.
    live : LivePrediction
        The prediction in view.
    """

    kind = "predict"
    least_width = 337

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        live = PostProcessing.model_fields
        self.prediction_settings = ConfigForm(PredictionConfig, "prediction", without=live)
        self.evaluation_settings = ConfigForm(EvaluationConfig, "test", without=live)
        settings = self.prediction_settings, self.evaluation_settings
        for form in settings:
            share_preferences(form, {"device": form.editors["device"]}, form.changed)
        self.model, self.target = ModelPicker(), PredictionTarget(self.context, *settings)
        self.image_layer, self.truth_layer = self.target.image_layer, self.target.truth_layer
        self.dataset, self.out = self.target.dataset, self.target.out
        self.label_settings = ConfigForm(PostProcessing, "labels")
        self.live = LivePrediction(self.native, self.context)
        self.results = ResultsPanel(self.live, self.context)
        self.large = LargeResults(self.native, self.context)
        self.suggest_button = SuggestNextAnnotation(self.live, self.context)
        self.keep_button = KeepPrediction(self.live, self.context)
        self.export_model = ExportModel(self.context, lambda: self.label_settings.value)
        self.copy_button = CopyButton(self.message, lambda: self.target.snippet(self.model.require(), self._config()))
        self._end, self._notices = "Done.", list[str]()
        self._lay_out()
        self._connect()
        self._show_form()
        self._offer_export()
        self.live.follow(self.label_settings.value)
        self.attach_to_job(ended_too=True)

    @property
    def settings(self) -> ConfigForm[Any]:
        """The settings of a prediction for the chosen target."""
        return self.evaluation_settings if self.target.kind.value is Target.TEST_SET else self.prediction_settings

    def predict(self) -> None:
        """Apply the model; results are shown or written to the folder, after a question where they replace others."""
        with self.message.explaining():
            config = self._config()
            if not self._may_replace(self.target.results_to_replace(config)):
                self.message.show_message("Nothing was predicted; choose another folder for the results.")
                return
            self.results.tolerance = getattr(config, "tolerance", None)
            request, events = self.target.request(self.model.require(), config, self.label_settings.value)
            self.jobs.start(self.kind, "Predicting", beginning_with(request, events), replay=_REPLAYED)

    def keep_prediction(self) -> None:
        """Copy the predicted labels in view to a layer of its own."""
        self.keep_button.keep()

    def suggest_annotation(self) -> None:
        """Go to the next most uncertain place of the prediction in view."""
        self.suggest_button.go_to_next()

    def inspect(self) -> None:
        """Open the dock Inspect, and find the errors of the volume in view."""
        self.results.inspect()

    def use_run(self, run: Path) -> None:
        """Choose the model of a run folder."""
        self.model.choose(run)

    def receive(self, subject: HandOver) -> None:
        """Choose the model, and the image with its ground truth, that another dock passes on."""
        if subject.run is not None:
            self.use_run(subject.run)
        if subject.image is not None:
            self.target.use_layers(subject.image, subject.truth, subject.channels)

    def on_event(self, event: Any) -> None:
        """Show one event of a prediction or an evaluation."""
        self.large.on_event(event)
        match event:
            case PredictionRequest():
                self._begin(event)
            case ModelLoaded(device=device):
                self.message.show_message(f"Predicting on {device} …")
            case Notice(message=message):
                self._notices.append(message)
            case Comparison():
                self._show_comparison(event)
            case PredictionWritten(n_written=n, n_volumes=of, files=files, source=source):
                assert source is not None
                self.results.add_file(event, source)
                self._end = f"{n} of {of} predictions are in {files[0].parent}"
            case VolumeEvaluated() | LargeVolumeEvaluated():
                self.results.add_evaluated(event)
            case EvaluationFinished():
                worst = self.results.finish_evaluation(event)
                if notice := unit_notice(event.volumes):
                    self._notices.append(notice)
                f1_of_objects = event.mean.instances and event.mean.instances.values["f1"]
                f1 = f", mean F1 of objects {f1_of_objects:.3f}" if isinstance(f1_of_objects, float) else ""
                self._end = f"Mean Dice {event.mean.dice:.3f}{f1}; the lowest Dice is that of '{worst.name}'."
                if event.metrics_file is not None:
                    self._end += f" Predictions, differences, figures and metrics are in {event.metrics_file.parent}"

    def on_ended(self, job: Job) -> None:
        """Show how it ended; a model that worked is offered first from then on."""
        self.large.settle()
        end = job.message or (f"Cancelled.{self.large.kept}" if job.stopped else self.large.end or self._end)
        if job.message is None and not job.stopped and self.results.request is not None:
            self.remember_model(job, self.results.request.model)
            self.out.keep()  # which exists now, if results were written
        notices = [*self._notices, *filter(None, [self.results.series.dropped_notice])]
        kind: Kind = "error" if job.message else "warning" if notices else "info"
        self.message.show_message("\n".join([end, *notices]), kind)
        if job.message is None and not job.stopped:
            self.scroll_area.bring_to_top(self.results.native)

    def _may_replace(self, results: Sequence[Path]) -> bool:
        """Ask whether results that exist may be replaced; without any, there is nothing to ask."""
        if not results:
            return True
        what = f"{results[0]} exists already"
        if self.target.kind.value is Target.TEST_SET:
            what = f"{results[0]} contains an evaluation, which is replaced as a whole"
        elif len(results) > 1:
            what = f"{results[0].parent} already contains {names(results)}"
        return confirm(self.native, "Replace results?", f"{what}. Replace {'it' if len(results) == 1 else 'them'}?")

    def _config(self) -> Any:
        return self.settings.value.model_copy(update=self.label_settings.value.model_dump())

    def _begin(self, request: PredictionRequest) -> None:
        self._end = "Done."
        self._notices.clear()
        self.results.begin(request)
        self.large.begin(request)
        self.message.show_message("Loading PyTorch and the model …")

    def _show_comparison(self, comparison: Comparison) -> None:
        request = self.results.request
        assert request is not None
        assert request.image is not None
        if request.series is not None:
            self.results.show_time_point(comparison, request.series, request.truth)
            self._end = f"{self.results.n_times_shown} of {request.series.n_times} time points are predicted."
        else:
            self.results.show_layer(comparison, request.image, request.truth)
            self._end = f"'{comparison.prediction.name}' is predicted."
        if request.out is not None:
            self._end += f" The results are in {request.out}"

    def _on_relabelled(self) -> None:
        """Show what does not follow the settings, after labels were computed again."""
        request, unchanged = self.results.request, []
        if request is not None and request.out is not None:
            unchanged.append(f"The files in {request.out} keep the labels of the prediction.")
        if len(set(self.results.table.names)) > 1:
            unchanged.append("The scores of the other volumes are those of the prediction.")
        if unchanged:
            self.message.show_message(" ".join(["The volume in view follows the settings.", *unchanged]))

    def _show_section(self) -> None:
        """Show the settings of single objects unless the chosen model is known to have none."""
        shown = self.live.shown
        is_of_model = shown is not None and shown.origin.run is not None and shown.origin.run == self.model.value
        task = shown.comparison.prediction.task if shown is not None and is_of_model else None
        self.label_settings.offer(_OBJECTS, task in (None, Task.INSTANCE))
        if task is Task.INSTANCE:
            self.label_settings.expand(_OBJECTS)

    def _show_form(self) -> None:
        for form in (self.prediction_settings, self.evaluation_settings):
            form.visible = form is self.settings

    def _offer_export(self) -> None:
        self.export_model.offer(self.model.value)

    def _watch_training(self, job: Job) -> None:
        if job.kind == "train" and not self._is_gone:
            # Queued: the dock Train adds the run to the recent ones at the end of the job, maybe after this slot.
            job.ended.connect(self._refresh_model, Qt.ConnectionType.QueuedConnection)

    def _refresh_model(self) -> None:
        if not self._is_gone:  # the job outlives the dock
            self.model.refresh()

    def _connect(self) -> None:
        self.target.kind_changed.connect(self._show_form)
        self.label_settings.changed.connect(lambda form: self.live.follow(form.value))
        self.live.changed.connect(self._show_section)
        self.live.relabelled.connect(self._on_relabelled)
        self.model.changed.connect(self._show_section)
        self.model.changed.connect(self._offer_export)
        for signal in (self.model.changed, self.target.kind_changed, self.image_layer.changed):
            signal.connect(self.message.withdraw_refusal)
        self.jobs.started.connect(self._watch_training)
        self.scroll_area.shown.connect(self.model.refresh)
        self.scroll_area.shown.connect(self.target.test_voxel_size.refresh)

    def _lay_out(self) -> None:
        self.job_bar = JobBar(
            "Predict",
            "Apply the model; results are shown in the viewer, or written to the folder.",
            self.predict,
            (self.model, self.target, self.prediction_settings, self.evaluation_settings, self.label_settings),
            "Cancel",
            beside=self.copy_button,
        )
        above = heading("Model"), self.model, heading("Apply to"), self.target, heading("Prediction")
        settings = self.prediction_settings, self.evaluation_settings
        labels = heading("Labels · can be changed after predicting"), self.label_settings
        self.lay_out(*above, *settings, *labels, self.results, self.suggest_button, self.keep_button, self.export_model)
        self.pin(self.job_bar)
