"""The panel that adds corrections to a dataset, fine-tunes the model with them, and compares both models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from napari_unet3d.configs import EvaluationConfig, PostProcessing
from napari_unet3d.data.pairs import Pair
from napari_unet3d.data.trash import TrashedVolumes
from napari_unet3d.errors import UserError
from napari_unet3d.formatting import describe_names, format_count
from napari_unet3d.session.add_to_dataset import (
    CorrectedTestVolumes,
    CorrectionsAdded,
    DatasetAddition,
    add_corrections,
    corrections_folder,
    dataset_of_run,
    is_dataset,
    remove_corrections,
    trash_corrections,
)
from napari_unet3d.session.correction import CorrectionSession
from napari_unet3d.session.fine_tuning import (
    ComparisonInput,
    compare_models,
    require_run,
    train_with_corrections,
)
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.models_compared import ModelsCompared
from napari_unet3d.session.recent_runs import new_run_folder, remember_run
from napari_unet3d.session.shared_preferences import load_evaluation_config
from napari_unet3d.session.training_run import TrainingRun
from napari_unet3d.widgets.components.containers import Panel, button, row, single_shot, wrapping_label
from napari_unet3d.widgets.components.context import Context, MessageLine
from napari_unet3d.widgets.components.dialogs import confirm
from napari_unet3d.widgets.components.dock_window import open_dock
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.forms.paths import PathEdit
from napari_unet3d.widgets.jobs.jobs import Job
from napari_unet3d.widgets.train.run_job import TRAIN, begin_training

_KIND = "correct"
_NEW_DATASET = (
    "A new dataset: fine-tuning learns from the corrections alone. If the volumes that the model was trained on are in "
    "a dataset, choose that."
)
_REMOVE = "Take the corrections that were added out of the dataset again."


class FineTunePanel(Panel):
    """Adds corrections to a dataset and removes them, fine-tunes the model, and shows what that improved.

    Parameters
    ----------
    session : InspectionSession
        What is corrected.
    context : Context
        The viewer and its jobs.

    Attributes
    ----------
    dataset : PathEdit
        The dataset folder.
    message : MessageLine
        Messages for the user.
    add_button, remove_button : PushButton
    job_bar : JobBar
        *Fine-tune*, and its progress.
    """

    def __init__(self, session: InspectionSession, context: Context) -> None:
        super().__init__()
        self._session, self._context = session, context
        self.dataset = PathEdit("d", "dataset", "The dataset folder that corrections are added to.")
        self.add_button = button(
            "Add to dataset",
            "Write the corrected places as a new training volume; asks first if they are part of a test volume.",
            self.add_to_dataset,
        )
        self.remove_button = button("Remove again", _REMOVE, self.remove_from_dataset)
        self.job_bar = JobBar(
            "Fine-tune",
            "Fine-tune the model that made this prediction with the corrections: half as many epochs as before at 0.3 "
            "times the learning rate, into a new run folder. Then both models are compared.",
            self.fine_tune,
            (self.add_button, self.remove_button, self.dataset),
        )
        self.message = MessageLine()
        self._trains_next = False  # after adding
        self._question: CorrectedTestVolumes | None = None
        # What the latest job is about, since another prediction may be inspected by now.
        self._about: CorrectionSession | None = None
        self._additions: list[CorrectionSession] = []  # in the order in which they were added
        self._trained: tuple[Path, TrainingRun] | None = None
        self._job: Job | None = None
        self._asking = single_shot(self.native, self._ask)
        self.hint = wrapping_label(_NEW_DATASET)
        self.lay_out(self.dataset, self.hint, row(self.add_button, self.remove_button), self.job_bar, self.message)
        self._connect()
        self._refresh()

    def add_to_dataset(self) -> None:
        """Write the corrections into the dataset, after a question if they were made in one of its test volumes."""
        with self.message.explaining():
            self._add(self._required(), trains_next=False)

    def remove_from_dataset(self) -> None:
        """Remove the corrections from the dataset: those of this inspection, or else those that were added last.

        Those of this inspection are deleted, since they can be added again; earlier ones go to the trash of the
        dataset.
        """
        about = self._removable()
        if about is not None and about.added is not None:
            remove = remove_corrections if about is self._session.corrections else trash_corrections
            with self.message.explaining():
                self._run("Removing corrections", partial(remove, about.added), about)

    def fine_tune(self) -> None:
        """Add what is not in the dataset yet, and fine-tune the model with it."""
        with self.message.explaining():
            about = self._required()
            require_run(about)  # before anything is written
            if about.is_changed:
                self._add(about, trains_next=True)
            else:
                self._train(about)

    def _train(self, about: CorrectionSession) -> None:
        dataset, model = self.dataset.require("a dataset folder"), require_run(about)
        run_folder = new_run_folder(dataset)
        work = partial(train_with_corrections, dataset, model, run_folder)
        record = begin_training(self._context.jobs, work, run_folder, start_from=model)
        job = self._context.jobs.running(TRAIN)
        assert job is not None  # just started
        self._trained = dataset, record
        self._watch(job, about)
        job.ended.connect(self._on_trained)  # no partial: PySide would call that for a closed dock, too
        open_dock(self._context.viewer, "Train")  # which shows the run that has just begun

    def _add(self, about: CorrectionSession, *, trains_next: bool) -> None:
        dataset = self.dataset.require("a dataset folder")
        addition = DatasetAddition.of(about, dataset, self._session.settings.unedited_regions)
        self._trains_next = trains_next
        self._write(about, addition)

    def _write(
        self, about: CorrectionSession, addition: DatasetAddition, accepted: CorrectedTestVolumes | None = None
    ) -> None:
        self._question = None
        job = self._run("Adding corrections", partial(add_corrections, addition, accepted), about)
        job.ended.connect(self._on_added)

    def _on_added(self) -> None:
        about, job = self._about, self._job
        assert about is not None
        assert job is not None
        if self._is_gone or job.stopped or job.message is not None:
            return
        if self._question is not None:
            self._asking.start()
        elif self._trains_next and not about.is_changed:
            with self.message.explaining():
                self._train(about)

    def _ask(self) -> None:
        """Ask what is in the way; not in a slot of the job, since a dialog handles other events of Qt."""
        question, about = self._question, self._about
        if question is None or about is None:
            return
        with self.message.explaining():
            if confirm(self.native, "Train on a test volume?", question.question):
                self._write(about, question.addition, question)

    def _required(self) -> CorrectionSession:
        about = self._session.corrections
        if about is None or not about.done:
            raise UserError("There are no corrections yet. Correct an error first.")
        return about

    def _run(self, title: str, events: Callable[[], Iterator[Any]], about: CorrectionSession) -> Job:
        job = self._context.jobs.start(_KIND, title, events)
        self._watch(job, about)
        job.ended.connect(self._refresh)
        return job

    def _watch(self, job: Job, about: CorrectionSession) -> None:
        self._job, self._about = job, about
        self.job_bar.watch(job)
        job.reported.connect(self._on_event)
        job.failed.connect(self.message.show_error)

    def _on_event(self, event: Any) -> None:
        if self._is_gone:  # the job outlives the dock
            return
        about = self._about
        match event:
            case CorrectedTestVolumes():
                self._question = event  # once the job has ended
            case CorrectionsAdded(pair=pair, corrections=added) if about is not None:
                about.added, about.added_corrections = pair, added
                self._additions = [*(each for each in self._additions if each is not about), about]
                count = format_count(len(added), "correction")
                self.message.show_message(f"'{pair.name}' is a training volume of the dataset now, with {count}.")
            case Pair() if about is not None:
                about.added, about.added_corrections = None, ()
                self.message.show_message(f"'{event.name}' is removed from the dataset.")
            case TrashedVolumes() if about is not None:
                about.added, about.added_corrections = None, ()
                where = event.folder.relative_to(event.dataset).as_posix()
                self.message.show_message(
                    f"{describe_names(event.names)} moved to '{where}' in the dataset; the dock Dataset can restore it."
                )
            case ModelsCompared():
                hint = "\nPress Inspect to see the errors that are left." if event.has_truth else ""
                self.message.show_message(event.summary + hint)
                self._session.announce_compared_models(event)
        self._refresh()

    def _on_trained(self) -> None:
        self._refresh()
        job, about = self._job, self._about
        if self._is_gone or self._trained is None or about is None or job is None or job.message is not None:
            return
        dataset, record = self._trained
        if not record.has_model:
            return
        remember_run(record.run_folder)
        with self.message.explaining():
            errors, settings = self._session.errors, load_evaluation_config()
            config = EvaluationConfig(
                **settings.model_dump(include={*PostProcessing.model_fields, "device"}),
                ignore_border_objects=errors is not None and errors.ignores_border,
            )
            tolerance = None if errors is None else errors.tolerance
            given = ComparisonInput.of(about, record.run_folder, dataset, tolerance, config)
            self._run("Comparing both models", partial(compare_models, given), about)
            self.message.show_message("The training is finished. Comparing both models …")

    def _refresh(self, *_: Any) -> None:
        if self._is_gone:
            return
        about = self._session.corrections
        removable = self._removable()
        n_done = 0 if about is None else len(about.done)
        if self._job is not None and self._job.is_running:
            about = removable = None  # one thing after the other
        self.add_button.enabled = about is not None and about.is_changed
        self._show_hint()
        self.remove_button.enabled = removable is not None
        if removable is not None and removable.added is not None:
            self.remove_button.tooltip = f"Take '{removable.added.name}' out of the dataset again."
        self.job_bar.start_button.enabled = n_done > 0

    def _removable(self) -> CorrectionSession | None:
        """Return the corrections that can be removed from their dataset: those in view, or those added last."""
        about = self._session.corrections
        if about is not None and about.added is not None:
            return about
        there = [
            each for each in self._additions if each.added and each.added.image and os.path.exists(each.added.image)
        ]
        return there[-1] if there else None

    def _choose_dataset(self, *_: Any) -> None:
        """Choose the dataset that the volume is from, or the model was trained on; else a new one."""
        about = self._session.corrections
        if about is not None and about.added is None:
            run = about.origin.run
            folder = about.origin.dataset or dataset_of_run(run)
            if folder is None and run is not None and self.dataset.value is None:
                folder = corrections_folder(run)
            if folder is not None:
                self.dataset.offer(folder)
        self._refresh()

    def _show_hint(self, *_: Any) -> None:
        folder = self.dataset.value
        self.hint.visible = folder is not None and not is_dataset(folder)

    def _connect(self) -> None:
        events = self._session.events
        for signal in (events.errors, events.corrections):
            signal.connect(self._choose_dataset)
        events.corrected.connect(self._refresh)
        self.dataset.changed.connect(self._show_hint)
        self._show_hint()
