"""The Predict dock: a model applied to a layer, to files or to a test set, and where it was wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import Qt, QTimer

from napari_unet3d.configs import EvaluationConfig, PostProcessing, PredictionConfig, Task
from napari_unet3d.data.events import Notice
from napari_unet3d.inference.events import (
    EvaluationFinished,
    ModelLoaded,
    PredictionWritten,
    VolumeEvaluated,
)
from napari_unet3d.session.comparison import DEFAULT_TOLERANCE_UM, Comparison
from napari_unet3d.session.progress import prediction_progress
from napari_unet3d.widgets.components.copy_run import CopyButton
from napari_unet3d.widgets.components.qt_dock import QtDock
from napari_unet3d.widgets.components.run_bar import Kind, RunBar, heading
from napari_unet3d.widgets.forms.form import ConfigForm
from napari_unet3d.widgets.forms.model_picker import ModelPicker
from napari_unet3d.widgets.predict.keep_prediction import KeepPrediction
from napari_unet3d.widgets.predict.results_panel import ResultsPanel
from napari_unet3d.widgets.predict.show import evaluate_dataset, predict_paths, predict_sample
from napari_unet3d.widgets.predict.target import PredictionTarget, Target
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.layers import Reference

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_unet3d.widgets.jobs.jobs import Job

_LAYOUT_MS = 300  # for which the dock grows after the end, more than it takes
_OBJECTS = "Single objects"  # the section of the settings that only they have


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """What a job works on, for the dock that shows its end.

    Attributes
    ----------
    model : Path
        The model or run folder.
    made_with : PostProcessing
        The settings that labels are made with.
    image, truth : layer or None
        The layers that are predicted and compared with.
    files : tuple of Path
        The files that are predicted.
    out : Path or None
        The folder for results.
    dataset : Path or None
        The dataset whose test set is predicted.
    """

    model: Path
    made_with: PostProcessing
    image: Reference | None = None
    truth: Labels | None = None
    files: tuple[Path, ...] = ()
    out: Path | None = None
    dataset: Path | None = None


class PredictDock(QtDock):
    """Predicts and compares; the difference with the truth comes into the viewer, red and blue.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, as napari hands it to a plugin's widget.
    """

    kind = "predict"

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.setMinimumWidth(350)
        self.model = ModelPicker()
        self.target = PredictionTarget(self)
        live = PostProcessing.model_fields
        for_volumes = ConfigForm(PredictionConfig, "prediction", without=live)
        for_test_set = ConfigForm(EvaluationConfig, "test", without=live)
        self.labels_form = ConfigForm(PostProcessing, "labels")
        self.forms: dict[Target, ConfigForm[Any]] = {
            Target.LAYER: for_volumes,
            Target.FILES: for_volumes,
            Target.TEST_SET: for_test_set,
        }
        forms = (for_volumes, for_test_set, self.labels_form)
        not_meanwhile = [self.model.native, self.target, *(form.native for form in forms)]
        self.copy_button = CopyButton(self.message, lambda: self.target.as_text(self.model.require(), self._config()))
        self.run_bar = RunBar("Predict", also=not_meanwhile, stop_text="Cancel", beside=self.copy_button)
        self.run_bar.start_button.setToolTip("Apply the model; results come into the viewer, or into the folder.")
        self.results = ResultsPanel(self)
        self._order: PredictionRequest | None = None
        self.keep_button = KeepPrediction(self, self.results.live, lambda: self._order.model if self._order else None)
        self._done = "Done."
        self._notices: list[str] = []
        self._growing = QTimer(self)  # new rows get their place one after the other
        self._growing.setSingleShot(True)
        self._growing.setInterval(_LAYOUT_MS)
        self._lay_out()
        self._connect()
        self.target.find_truth()
        self._show_form()
        self._apply_settings()
        self.attach_to_job(ended_too=True)

    @property
    def form(self) -> ConfigForm[Any]:
        """The settings of a prediction for the chosen target."""
        return self.forms[self.target.kind]

    def follow_layers(self) -> None:
        """Bring the layer menus up to date, and find the truth of the chosen image."""
        super().follow_layers()
        self.target.find_truth()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Offer the run that was made since the dock was last in view."""
        super().showEvent(event)
        self.model.refresh()

    def use_run(self, run: Path) -> None:
        """Choose the model of a run folder."""
        self.model.choose(run)

    def on_event(self, event: Any) -> None:
        """Show one event of a prediction or an evaluation."""
        match event:
            case PredictionRequest():
                self._begin(event)
            case ModelLoaded(device=device):
                self.message.show_message(f"Predicting on {device} …")
            case Notice(message=message):
                self._notices.append(message)
            case Comparison():
                self._show_outcome(event)
            case PredictionWritten(n_written=n, n_volumes=of, files=files):
                assert self._order is not None
                self.results.add_file(event, self._order.files[n - 1])
                self._done = f"{n} of {of} predictions are in {files[0].parent}"
            case VolumeEvaluated():
                self.results.add_evaluated(event)
            case EvaluationFinished():
                worst = self.results.finish_evaluation(event)
                f1 = f", mean F1 of objects {event.mean.instances.f1:.3f}" if event.mean.instances else ""
                self._done = f"Mean Dice {event.mean.dice:.3f}{f1}; the lowest Dice is that of '{worst.name}'."
                if event.metrics_file is not None:
                    self._done += f" Predictions, differences, figures and metrics are in {event.metrics_file.parent}"

    def on_ended(self, job: Job) -> None:
        """Say how it ended; a model that worked is offered first from then on."""
        words = job.message or ("Cancelled." if job.stopped else self._done)
        if job.message is None and not job.stopped and self._order is not None:
            self.remember_model(job, self._order.model)
        kind: Kind = "error" if job.message else "warning" if self._notices else "info"
        self.message.show_message("\n".join([words, *self._notices]), kind)
        if job.message is None:
            self._growing.start()

    def _start(self) -> None:
        with self.message.explaining():
            order, events = self._plan()

            def with_order() -> Iterator[Any]:
                yield order
                yield from events()

            keep = (PredictionRequest, Comparison, EvaluationFinished)
            self.jobs.start(self.kind, "Predicting", with_order, progress=prediction_progress, replay=keep)

    def _plan(self) -> tuple[PredictionRequest, Callable[[], Iterator[Any]]]:
        model, out, made_with = self.model.require(), self.target.folder(), self.labels_form.value
        config = self._config()
        self.results.tolerance_um = getattr(config, "tolerance_um", DEFAULT_TOLERANCE_UM)
        match self.target.kind:
            case Target.LAYER:
                image, truth = self.target.image.value, self.target.truth.value
                sample = sample_from_layers(image, truth)
                order = PredictionRequest(model, made_with, image, truth, out=out)
                return order, partial(predict_sample, model, sample, config, out)
            case Target.FILES:
                files, probability = self.target.files(), self.target.probability.isChecked()
                assert out is not None
                events = partial(predict_paths, model, files, out, config, probability)
                return PredictionRequest(model, made_with, files=files, out=out), events
            case Target.TEST_SET:
                dataset = self.target.dataset.require("the folder of a dataset")
                order = PredictionRequest(model, made_with, out=out, dataset=dataset)
                return order, partial(evaluate_dataset, model, dataset, out, config)

    def _config(self) -> Any:
        return self.form.value.model_copy(update=self.labels_form.value.model_dump())

    def _begin(self, order: PredictionRequest) -> None:
        self._order, self._done = order, "Done."
        self._notices.clear()
        self.results.clear()
        self.keep_button.refresh()
        self.results.made_with = order.made_with
        self.results.model, self.results.dataset = order.model, order.dataset
        self.message.show_message("Loading PyTorch and the model …")

    def _show_outcome(self, outcome: Comparison) -> None:
        assert self._order is not None
        assert self._order.image is not None
        self.results.show_layer(outcome, self._order.image, self._order.truth)
        self._done = f"'{outcome.prediction.name}' is predicted."
        if self._order.out is not None:
            self._done += f" The results are in {self._order.out}"

    def _apply_settings(self) -> None:
        self.results.live.follow(self.labels_form.value)

    def _say_what_stays(self) -> None:
        """Tell what does not follow the settings, after labels were made again."""
        stays = []
        if self._order is not None and self._order.out is not None:
            stays.append(f"The files in {self._order.out} keep the labels of the prediction.")
        if len(set(self.results.table.names)) > 1:
            stays.append("The scores of the other volumes are those of the prediction.")
        if stays:
            self.message.show_message(" ".join(["The volume in view follows the settings.", *stays]))

    def _show_results(self, *_: Any) -> None:
        if self._growing.isActive():
            self.ensureWidgetVisible(self.results)

    def _show_section(self, *_: Any) -> None:
        """Show the settings of single objects unless the model in question is known to have none."""
        shown = self.results.live.shown
        is_known = shown is not None and self._order is not None and self._order.model == self.model.value
        task = shown.comparison.prediction.task if shown is not None and is_known else None
        self.labels_form.offer(_OBJECTS, task in (None, Task.INSTANCE))
        if task is Task.INSTANCE:
            self.labels_form.expand(_OBJECTS)

    def _show_form(self) -> None:
        for form in self.forms.values():
            form.visible = form is self.form

    def _watch_training(self, job: Job) -> None:
        if job.kind == "train":
            # Queued: the dock Train puts the run among the recent ones when it hears of the end, maybe after this one.
            job.ended.connect(self.model.refresh, Qt.ConnectionType.QueuedConnection)

    def _connect(self) -> None:
        self.run_bar.start_button.clicked.connect(self._start)
        self.target.changed.connect(self._show_form)
        if (bar := self.verticalScrollBar()) is not None:
            bar.rangeChanged.connect(self._show_results)
        self.labels_form.changed.connect(self._apply_settings)
        self.results.live.changed.connect(self._show_section)
        self.results.live.relabelled.connect(self._say_what_stays)
        self.model.changed.connect(self._show_section)
        self.jobs.started.connect(self._watch_training)

    def _lay_out(self) -> None:
        for widget in (
            heading("Model"),
            self.model.native,
            heading("Apply to"),
            self.target,
            heading("Prediction"),
            self.forms[Target.LAYER].native,
            self.forms[Target.TEST_SET].native,
            self.run_bar,
            self.results.annotate_button,
            self.keep_button,
            self.message,
            heading("Labels · can be changed after predicting"),
            self.labels_form.native,
            self.results,
        ):
            self.column.addWidget(widget)
