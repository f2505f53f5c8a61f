"""The panel that adds proofread objects to a dataset as corrections, and removes them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from napari_unet3d.configs import UneditedRegions
from napari_unet3d.data.pairs import Pair
from napari_unet3d.errors import UserError
from napari_unet3d.formatting import format_count
from napari_unet3d.session.add_to_dataset import (
    CorrectedTestVolumes,
    CorrectionsAdded,
    DatasetAddition,
    add_corrections,
    dataset_of_run,
    remove_corrections,
)
from napari_unet3d.session.object_labels import ObjectLabels, Proofread
from napari_unet3d.session.proofread_corrections import count_corrections, proofread_corrections
from napari_unet3d.session.proofreading import ProofreadingSession
from napari_unet3d.widgets.components.containers import Panel, button, row, wrapping_label
from napari_unet3d.widgets.components.context import Context, MessageLine
from napari_unet3d.widgets.components.dialogs import confirm
from napari_unet3d.widgets.forms.paths import PathEdit
from napari_unet3d.widgets.jobs.jobs import Job

_KIND = "objects-dataset"


class DatasetPanel(Panel):
    """Adds what was edited and reviewed to a dataset as a training volume.

    Parameters
    ----------
    session : ProofreadingSession
        What is proofread.
    context : Context
        The viewer and its jobs.
    image : callable
        Returns the image of the labels, or None.

    Attributes
    ----------
    dataset : PathEdit
        The dataset folder.
    add_button, remove_button : PushButton
    counts : Label
        How much was edited and reviewed.
    message : MessageLine
        Messages for the user.
    """

    def __init__(self, session: ProofreadingSession, context: Context, image: Callable[[], Any]) -> None:
        super().__init__()
        self._session, self._context, self._image = session, context, image
        self._about: Proofread | None = None  # what the latest job is about
        self._question: CorrectedTestVolumes | None = None
        self._job: Job | None = None
        self.dataset = PathEdit("d", "dataset", "The dataset folder that the corrections are added to.")
        self.add_button = button(
            "Add to dataset",
            "<qt>Write the boxes around the edited and the reviewed objects, with their image, as a training volume. "
            "All labels in these boxes are taken as right, those of neighbours, too; nothing else is learnt from. Asks "
            "first if they are part of a test volume.</qt>",
            self.add_to_dataset,
        )
        self.remove_button = button(
            "Remove again", "Delete exactly the files that were added.", self.remove_from_dataset
        )
        self.counts, self.message = wrapping_label(), MessageLine()
        self.lay_out(self.counts, self.dataset, row(self.add_button, self.remove_button), self.message)
        events = session.events
        for signal in (events.edited, events.reviewed):
            signal.connect(self._refresh)
        events.opened.connect(self._on_opened)
        self._refresh()

    def add_to_dataset(self) -> None:
        """Write the corrections into the dataset, after a question if they were made in one of its test volumes."""
        with self.message.explaining():
            labels, done = self._session.labels, self._session.done
            if labels is None:
                raise UserError(
                    "No layer of objects is chosen. Predict a volume or open its labels, then choose them above."
                )
            corrections = proofread_corrections(labels, done, self._image())
            dataset = self.dataset.require("a dataset folder")
            self._write(done, DatasetAddition.of(corrections, dataset, UneditedRegions.IGNORE))

    def remove_from_dataset(self) -> None:
        """Delete the files that the corrections were written to."""
        done = self._session.done
        if done.added is not None:
            with self.message.explaining():
                self._run("Removing corrections", partial(remove_corrections, done.added), done)

    def _write(self, about: Proofread, addition: DatasetAddition, accepted: CorrectedTestVolumes | None = None) -> None:
        self._question = None
        job = self._run("Adding corrections", partial(add_corrections, addition, accepted), about)
        job.ended.connect(self._on_added)

    def _run(self, title: str, events: Callable[[], Iterator[Any]], about: Proofread) -> Job:
        self._about = about
        self._job = job = self._context.jobs.start(_KIND, title, events)
        job.reported.connect(self._on_event)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._refresh)
        self._refresh()
        return job

    def _on_event(self, event: Any) -> None:
        about = self._about
        if about is None or self._is_gone:  # the job outlives the dock
            return
        match event:
            case CorrectedTestVolumes():
                self._question = event  # once the job has ended
            case CorrectionsAdded(pair=pair, corrections=added):
                about.added = pair
                count = format_count(len(added), "correction")
                self.message.show_message(f"'{pair.name}' is a training volume of the dataset now, with {count}.")
            case Pair():
                about.added = None
                self.message.show_message(f"'{event.name}' is removed from the dataset.")

    def _on_failed(self, message: str) -> None:
        if not self._is_gone:
            self.message.show_error(message)

    def _on_added(self) -> None:
        question, about, job = self._question, self._about, self._job
        if self._is_gone or question is None or about is None or job is None or job.message is not None:
            return
        with self.message.explaining():
            if confirm(self.native, "Train on a test volume?", question.question):
                self._write(about, question.addition, question)

    def _on_opened(self, labels: ObjectLabels | None) -> None:
        origin = None if labels is None else labels.origin
        folder = None if origin is None else origin.dataset or dataset_of_run(origin.run)
        if folder is not None:
            self.dataset.value = folder
        self.message.clear()
        self._refresh()

    def _refresh(self, *_: Any) -> None:
        if self._is_gone:
            return
        labels, done = self._session.labels, self._session.done
        n_edits, n_reviewed = (0, 0) if labels is None else count_corrections(labels, done)
        is_busy = self._job is not None and self._job.is_running
        self.add_button.enabled = n_edits + n_reviewed > 0 and not is_busy
        self.remove_button.enabled = done.added is not None and not is_busy
        self.counts.value = (
            f"{format_count(n_edits, 'edit')}, and {format_count(n_reviewed, 'object')} reviewed as they were"
            if n_edits + n_reviewed
            else "Nothing is edited or reviewed yet."
        )
