"""The part of the Inspect dock that brings corrections into a dataset, trains the model on, and tells the gain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_unet3d.configs import PostProcessing
from napari_unet3d.data.pairs import Pair
from napari_unet3d.errors import UserError
from napari_unet3d.session.add_to_dataset import Adding, CorrectedTestVolumes
from napari_unet3d.session.fine_tuning import (
    ComparisonInput,
    CorrectionsAdded,
    ModelsCompared,
    add_corrections,
    compare_models,
    dataset_of_run,
    remove_corrections,
    train_with_corrections,
)
from napari_unet3d.session.progress import prediction_progress
from napari_unet3d.session.recent_runs import new_run_folder, remember_run
from napari_unet3d.widgets.components.dialogs import confirm
from napari_unet3d.widgets.components.run_bar import MessageLine, RunBar, add_row
from napari_unet3d.widgets.forms.path_edit import PathEdit
from napari_unet3d.widgets.inspect.volume_list import remembered_config
from napari_unet3d.widgets.train.start_training import TRAIN, begin_training
from napari_unet3d.widgets.viewer.layer_metadata import mark_companions, mark_origin
from napari_unet3d.widgets.viewer.layers import show_labels
from napari_unet3d.widgets.viewer.view_state import kept_selection

if TYPE_CHECKING:
    from napari_unet3d.session.training_run import TrainingRun
    from napari_unet3d.widgets.inspect.correction_panel import CorrectionPanel
    from napari_unet3d.widgets.inspect.correction_session import CorrectionSession
    from napari_unet3d.widgets.inspect.dock import InspectDock
    from napari_unet3d.widgets.jobs.jobs import Job

_KIND = "correct"


class FineTunePanel(QWidget):
    """Adds corrections to a dataset, takes them out again, trains on, and says what that gained.

    Parameters
    ----------
    dock : InspectDock
        Its inspection and jobs.
    part : CorrectionPanel
        What is corrected.
    """

    def __init__(self, dock: InspectDock, part: CorrectionPanel) -> None:
        super().__init__()
        self._dock, self._part = dock, part
        self.dataset = PathEdit("d", "dataset", "The dataset folder that corrections go into, as training volumes.")
        self.add_button = QPushButton("Add to dataset")
        self.remove_button = QPushButton("Take out again")
        self.run_bar = RunBar("Train on", also=[self.add_button, self.remove_button, self.dataset], stop_text="Stop")
        self.message = MessageLine()
        self._trains_next = False  # after adding
        self._asks: CorrectedTestVolumes | None = None
        self._about: CorrectionSession | None = None  # what the latest job is about; another prediction may be in view
        self._trained: tuple[Path, TrainingRun] | None = None
        self._job: Job | None = None
        self._lay_out()
        self._connect()
        self._refresh()

    def add(self) -> None:
        """Write the corrections into the dataset, after a question if they show one of its test volumes."""
        with self.message.explaining():
            self._add(self._required(), trains_next=False)

    def remove(self) -> None:
        """Delete the files that the corrections were written to."""
        correcting = self._part.correcting
        if correcting is not None and correcting.added is not None:
            with self.message.explaining():
                self._run("Taking corrections out", partial(remove_corrections, correcting.added), correcting)

    def fine_tune(self) -> None:
        """Add what is not in the dataset yet, and train the model on with it."""
        with self.message.explaining():
            correcting = self._required()
            self._model(correcting)  # it must be known before anything is written
            if correcting.is_changed:
                self._add(correcting, trains_next=True)
            else:
                self._train(correcting)

    def _train(self, correcting: CorrectionSession) -> None:
        dataset, model = self.dataset.require("a dataset folder"), self._model(correcting)
        run_folder = new_run_folder(dataset)
        work = partial(train_with_corrections, dataset, model, run_folder)
        record = begin_training(self._dock.jobs, work, run_folder, start_from=model)
        job = self._dock.jobs.running(TRAIN)
        assert job is not None  # just started
        self._trained = dataset, record
        self._watch(job, correcting)
        job.ended.connect(self._on_trained)  # no partial: PySide would call that for a closed dock, too
        self._dock.viewer.window.add_plugin_dock_widget("napari-unet3d", "Train")

    def _add(self, correcting: CorrectionSession, *, trains_next: bool) -> None:
        elsewhere, image = self._part.controls.form.value.unedited_regions, self._dock.source.image.value
        dataset, done = self.dataset.require("a dataset folder"), tuple(correcting.corrections.done)
        sample = correcting.sample(elsewhere, image)
        self._trains_next = trains_next
        self._write(correcting, Adding(dataset, sample, done, correcting.added, correcting.origin))

    def _write(
        self, correcting: CorrectionSession, adding: Adding, accepted: CorrectedTestVolumes | None = None
    ) -> None:
        self._asks = None
        job = self._run("Adding corrections", partial(add_corrections, adding, accepted), correcting)
        job.ended.connect(self._on_added)

    def _on_added(self) -> None:
        asks, correcting, job = self._asks, self._about, self._job
        assert correcting is not None
        assert job is not None
        if job.stopped or job.message is not None:
            return
        with self.message.explaining():
            if asks is not None and confirm(self, "Train on a test volume?", asks.question):
                self._write(correcting, asks.adding, asks)
            elif asks is None and self._trains_next and not correcting.is_changed:
                self._train(correcting)

    def _required(self) -> CorrectionSession:
        correcting = self._part.correcting
        if correcting is None or not correcting.corrections.done:
            raise UserError("Nothing is corrected yet. Correct an error first.")
        return correcting

    def _model(self, correcting: CorrectionSession) -> Path:
        if correcting.origin.run is None:
            raise UserError(
                "It is not known which model made this prediction. Predict the volume in the dock Predict, and "
                "inspect that; or add the corrections and choose the model in the dock Train."
            )
        return correcting.origin.run

    def _run(self, title: str, events: Callable[[], Iterator[Any]], about: CorrectionSession) -> Job:
        job = self._dock.jobs.start(_KIND, title, events, progress=prediction_progress)
        self._watch(job, about)
        job.ended.connect(self._refresh)
        return job

    def _watch(self, job: Job, about: CorrectionSession) -> None:
        self._job, self._about = job, about
        self.run_bar.watch(job)
        job.reported.connect(self._on_event)
        job.failed.connect(self._show_failure)

    def _on_event(self, event: Any) -> None:
        correcting = self._about
        match event:
            case CorrectedTestVolumes():
                self._asks = event  # once the job has ended
            case CorrectionsAdded(pair=pair, corrections=held) if correcting is not None:
                correcting.added, correcting.held = pair, held
                words = _count(len(held))
                self.message.show_message(f"'{pair.name}' is a training volume of the dataset now, with {words}.")
            case Pair() if correcting is not None:
                correcting.added, correcting.held = None, ()
                self.message.show_message(f"'{event.name}' is out of the dataset again.")
            case ModelsCompared():
                self._show_gain(event)
        self._refresh()

    def _show_failure(self, message: str) -> None:
        self.message.show_message(message, "error")

    def _on_trained(self) -> None:
        self._refresh()
        job, correcting = self._job, self._about
        if self._trained is None or correcting is None or job is None or job.message is not None:
            return
        dataset, record = self._trained
        if not record.has_model:
            return
        remember_run(record.run_folder)
        with self.message.explaining():
            sample = correcting.image_sample(self._dock.source.image.value)
            inspection = self._dock.inspection
            judged = ComparisonInput(
                sample,
                correcting.corrections.ground_truth(),
                self._model(correcting),
                record.run_folder,
                dataset,
                inspection.errors.tolerance_um if inspection is not None else 0.0,
                PostProcessing(**remembered_config().model_dump(include=set(PostProcessing.model_fields))),
            )
            self._run("Comparing both models", partial(compare_models, judged), correcting)
            self.message.show_message("Training is done. Comparing both models …")

    def _show_gain(self, event: ModelsCompared) -> None:
        correcting = self._about
        assert correcting is not None
        self.message.show_message(f"{event.summary}\nPress Inspect to see the errors that are left.")
        origin = replace(correcting.origin, plan=event.prediction.plan, run=event.run)
        name, labels = f"{origin.name} new prediction", event.prediction.labels
        with kept_selection(self._dock.viewer):
            layer = show_labels(self._dock.viewer, name, labels, correcting.layers.shown.place, opacity=0.5)
            correcting.layers.bring_out(layer)
        mark_origin([layer], origin)
        mark_companions(layer, image=correcting.layers.shown.image, truth=correcting.layers.shown.truth)
        self._dock.source.prediction.value = layer
        self._dock.raise_tab()
        self._dock.ensureWidgetVisible(self.message)

    def _refresh(self, *_: Any) -> None:
        correcting = self._part.correcting
        n_done = 0 if correcting is None else len(correcting.corrections.done)
        if self._job is not None and self._job.is_running:
            correcting = None  # one thing after the other
        self.add_button.setEnabled(correcting is not None and correcting.is_changed)
        self.remove_button.setEnabled(correcting is not None and correcting.added is not None)
        self.run_bar.start_button.setEnabled(n_done > 0)

    def _on_inspection(self, *_: Any) -> None:
        correcting = self._part.correcting
        if correcting is not None:
            folder = correcting.origin.dataset or dataset_of_run(correcting.origin.run)
            if folder is not None and correcting.added is None:
                self.dataset.value = folder
        self._refresh()

    def _connect(self) -> None:
        self.add_button.clicked.connect(self.add)
        self.remove_button.clicked.connect(self.remove)
        self.run_bar.start_button.clicked.connect(self.fine_tune)
        self._part.changed.connect(self._refresh)
        self._dock.inspection_changed.connect(self._on_inspection)

    def _lay_out(self) -> None:
        self.add_button.setToolTip(
            "Write the corrected places as a new training volume; asks first if they are part of a test volume."
        )
        self.remove_button.setToolTip("Delete exactly the files that were added.")
        self.run_bar.start_button.setToolTip(
            "Train the model that made this prediction on, with the corrections: half as many epochs as before at 0.3 "
            "times the learning rate, into a new run folder. Then both models are compared."
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.dataset)
        add_row(column, self.add_button, self.remove_button)
        column.addWidget(self.run_bar)
        column.addWidget(self.message)


def _count(n: int) -> str:
    return f"{n} correction{'' if n == 1 else 's'}"
