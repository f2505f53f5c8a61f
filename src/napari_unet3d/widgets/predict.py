"""The Predict dock: a model applied to a layer, to files or to a test set, and where it was wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel, QPushButton

from napari_unet3d.configs import EvaluationConfig, PredictionConfig
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.prediction.events import EvaluationFinished, ModelLoaded, PredictionWritten, VolumeEvaluated
from napari_unet3d.widgets.base import Dock
from napari_unet3d.widgets.form import SettingsForm
from napari_unet3d.widgets.jobs import Progress
from napari_unet3d.widgets.layers import Place, sample_from_layers
from napari_unet3d.widgets.model_box import ModelBox
from napari_unet3d.widgets.parts import RunBar, heading
from napari_unet3d.widgets.predict_target import PredictionTarget, Target
from napari_unet3d.widgets.predictions import (
    FileOpened,
    Outcome,
    open_file,
    predict_sample,
    show_file,
    show_outcome,
    show_volume,
    update_outcome,
)
from napari_unet3d.widgets.runs import remember_run
from napari_unet3d.widgets.scores_table import ScoresTable

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_unet3d.widgets.jobs import Job

_MOST_KEPT_BYTES = 2**30
_THRESHOLD_PAUSE_MS = 150


@dataclass(frozen=True, slots=True)
class _Task:
    """What a job predicts, for the dock that shows its end: where the layer lies and which one holds the truth."""

    model: Path
    place: Place | None = None
    truth_layer: Labels | None = None
    sources: tuple[Path, ...] = ()


class PredictDock(Dock):
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
        self.model = ModelBox()
        self.target = PredictionTarget(self)
        self.forms = {
            Target.LAYER: SettingsForm(PredictionConfig, "prediction"),
            Target.TEST_SET: SettingsForm(EvaluationConfig, "evaluation"),
        }
        self.forms[Target.FILES] = self.forms[Target.LAYER]
        self.run_bar = RunBar("Predict", also=[self.model, self.target, *self.forms.values()], stop_text="Cancel")
        self.table = ScoresTable()
        self.show_button = QPushButton("Show the selected volume")
        self.legend = QLabel(
            "<span style='color:#ff5050'>■</span> extra: predicted, but not true &nbsp; "
            "<span style='color:#5080ff'>■</span> missed: true, but not predicted"
        )
        self._task: _Task | None = None
        self._shown: tuple[Outcome, Place] | None = None
        self._rows: dict[str, Callable[[], None]] = {}
        self._kept_bytes = 0
        self._notices: list[str] = []
        self._threshold_pause = QTimer(self)
        self._threshold_pause.setSingleShot(True)
        self._threshold_pause.setInterval(_THRESHOLD_PAUSE_MS)
        self._lay_out()
        self._connect()
        self._show_form()
        self.find_job()
        self._find_ended_job()

    def reset_choices(self, *args: Any) -> None:
        """Bring the layer menus up to date; napari calls it when layers come, go or are renamed."""
        super().reset_choices(*args)
        self.target.find_truth()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Offer the run that was made since the dock was last in view."""
        super().showEvent(event)
        self.model.refresh()

    def on_event(self, event: Any) -> None:
        """Show one event of a prediction or an evaluation."""
        match event:
            case _Task():
                self._begin(event)
            case ModelLoaded(device=device):
                self.message.show_message(f"Predicting on {device} …")
            case Notice(message=message):
                self._notices.append(message)
            case Outcome():
                self._show_outcome(event)
            case PredictionWritten():
                self._add_file(event)
            case VolumeEvaluated():
                self._add_evaluated(event)
            case EvaluationFinished():
                self._finish_evaluation(event)

    def on_ended(self, job: Job) -> None:
        """Say how it ended."""
        if job.message is not None:
            self.message.show_message("\n".join([job.message, *self._notices]), "error")
            return
        if self._task is not None and not job.stopped:
            remember_run(self._task.model)
        words = ["Cancelled."] if job.stopped else [self._done_words()]
        self.message.show_message("\n".join([*words, *self._notices]), "warning" if self._notices else "info")

    def _start(self) -> None:
        with self.message.explaining():
            task, events, measure = self._plan()

            def with_task() -> Iterator[Any]:
                yield task
                yield from events()

            self.jobs.start(
                self.kind, "Predicting", with_task, measure=measure, keep=(_Task, Outcome, EvaluationFinished)
            )

    def _plan(self) -> tuple[_Task, Callable[[], Iterator[Any]], Callable[[Any], Progress | None] | None]:
        model, out, config = self.model.require(), self.target.folder(), self.forms[self.target.kind].value
        match self.target.kind:
            case Target.LAYER:
                image, truth = self.target.image.value, self.target.truth.value
                sample = sample_from_layers(image, truth)
                return _Task(model, image, truth), partial(predict_sample, model, sample, config, out), None
            case Target.FILES:
                files = self.target.files()
                assert out is not None
                probability = self.target.probability.isChecked()
                events = partial(_predict_files, model, files, out, config, probability)
                return _Task(model, sources=files), events, _measure
            case Target.TEST_SET:
                dataset = self.target.dataset.require("the folder of a dataset")
                return _Task(model), partial(_evaluate, model, dataset, out, config), _measure

    def _begin(self, task: _Task) -> None:
        self._task, self._shown = task, None
        self._rows.clear()
        self._notices.clear()
        self._kept_bytes = 0
        self.table.clear_rows()
        self.show_button.hide()
        self.legend.hide()
        self.message.show_message("Loading PyTorch and the model …")

    def _show_outcome(self, outcome: Outcome) -> None:
        assert self._task is not None
        place = self._task.place
        assert place is not None
        if place not in self.viewer.layers:
            self._notices.append("The layer of the image left the viewer; its prediction lies at the origin.")
            place = outcome.prediction.voxel_size_um
        truth_layer = self._task.truth_layer if self._task.truth_layer in self.viewer.layers else None
        show_outcome(self.viewer, outcome, place, truth_layer)
        self._shown = outcome, place
        self._show_scores(outcome)

    def _show_scores(self, outcome: Outcome) -> None:
        if outcome.scores is not None:
            self.table.show_scores(outcome.scores)
        self.legend.setVisible(outcome.difference is not None)

    def _add_file(self, event: PredictionWritten) -> None:
        assert self._task is not None
        name, source = event.prediction.name, self._task.sources[event.n_written - 1]
        self.table.show_name(name)
        self._rows[name] = partial(self._open_file, source, event.files[0])
        self.show_button.show()

    def _open_file(self, source: Path, result: Path) -> None:
        job = self.jobs.start("open", f"Opening {source.name}", partial(open_file, source, result))
        job.reported.connect(self._show_opened)
        job.failed.connect(lambda message: self.message.show_message(message, "error"))

    def _show_opened(self, opened: FileOpened) -> None:
        show_file(self.viewer, opened)

    def _add_evaluated(self, event: VolumeEvaluated) -> None:
        self.table.show_scores(event.scores)
        size = event.image.nbytes + event.truth.nbytes + event.prediction.probability.nbytes * 2
        if self._kept_bytes + size > _MOST_KEPT_BYTES:
            return
        self._kept_bytes += size
        self._rows[event.scores.name] = partial(self._show_evaluated, event)

    def _show_evaluated(self, event: VolumeEvaluated) -> None:
        prediction = event.prediction
        sample = Sample(prediction.name, event.image, event.truth, prediction.voxel_size_um)
        outcome = Outcome(prediction, event.truth).at_threshold(self._threshold())
        self._shown = outcome, show_volume(self.viewer, sample, outcome)
        self._show_scores(outcome)

    def _finish_evaluation(self, event: EvaluationFinished) -> None:
        for scores in event.volumes:
            self.table.show_scores(scores)
        if len(event.volumes) > 1:
            self.table.show_mean(event.mean)
        worst = min(event.volumes, key=lambda scores: scores.dice).name
        self.show_button.setVisible(bool(self._rows))
        if worst in self._rows:
            self.table.selectRow(self.table.names.index(worst))
            self._rows[worst]()

    def _done_words(self) -> str:
        if self._task is None or self._task.place is None:
            shown = "the one with the lowest Dice is shown" if self.target.kind is Target.TEST_SET else "done"
            return f"{len(self.table.names)} volumes: {shown}."
        return "Done."

    def _show_selected(self, *_: Any) -> None:
        row = max(0, self.table.currentRow())
        with self.message.explaining():
            if (show := self._rows.get(self.table.names[row])) is not None:
                show()
            elif self.table.names[row] != "mean":
                raise UserError("This volume was not kept, to save memory; open it from the folder of the results.")

    def _threshold(self) -> float:
        return float(self.forms[self.target.kind].boxes["threshold"].value)

    def _apply_threshold(self) -> None:
        if self._shown is None or self.jobs.running(self.kind) is not None:
            return
        outcome, place = self._shown
        outcome = outcome.at_threshold(self._threshold())
        self._shown = outcome, place
        update_outcome(self.viewer, outcome, place)
        self._show_scores(outcome)

    def _find_ended_job(self) -> None:
        job = self.jobs.latest(self.kind)
        if job is not None and not job.is_running:
            for event in job.kept:
                self.on_event(event)
            self.on_ended(job)

    def _show_form(self) -> None:
        for form in self.forms.values():
            form.hide()
        self.forms[self.target.kind].show()

    def _connect(self) -> None:
        self.run_bar.start_button.clicked.connect(self._start)
        self.target.changed.connect(self._show_form)
        self.show_button.clicked.connect(self._show_selected)
        self.table.cellDoubleClicked.connect(self._show_selected)
        self._threshold_pause.timeout.connect(self._apply_threshold)
        for target in (Target.LAYER, Target.TEST_SET):
            self.forms[target].changed.connect(self._threshold_pause.start)
        self.jobs.started.connect(self._watch_training)

    def _watch_training(self, job: Job) -> None:
        if job.kind == "train":
            job.ended.connect(self.model.refresh)

    def _lay_out(self) -> None:
        for widget in (
            heading("Model"),
            self.model,
            heading("Apply to"),
            self.target,
            heading("Settings"),
            self.forms[Target.LAYER],
            self.forms[Target.TEST_SET],
            self.run_bar,
            self.message,
            self.table,
            self.show_button,
            self.legend,
        ):
            self.column.addWidget(widget)
        self.legend.setWordWrap(True)
        self.show_button.hide()
        self.legend.hide()


def _measure(event: Any) -> Progress | None:
    match event:
        case PredictionWritten(n_written=n, n_volumes=of) | VolumeEvaluated(n_evaluated=n, n_volumes=of):
            return Progress(n, of)
    return None


def _predict_files(
    model: Path, files: tuple[Path, ...], out: Path, config: PredictionConfig, probability: bool
) -> Iterator[Any]:
    from napari_unet3d.prediction.predict import predict_files

    yield from predict_files(model, files, out, config, probability=probability)


def _evaluate(model: Path, dataset: Path, out: Path | None, config: EvaluationConfig) -> Iterator[Any]:
    from napari_unet3d.prediction.test_set import evaluate

    yield from evaluate(model, dataset, out=out, config=config)
