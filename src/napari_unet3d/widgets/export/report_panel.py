"""The button that writes the report on a run, after an evaluation of its model on the test set if that is chosen."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from magicgui.widgets import CheckBox
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices

from napari_unet3d.errors import UserError
from napari_unet3d.inference.events import ModelLoaded
from napari_unet3d.session.saving import FileSaved, dataset_with_test_set, report_on_run
from napari_unet3d.session.shared_preferences import shared_preferences
from napari_unet3d.widgets.components.containers import Panel, button, row
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dialogs import ask_for_file
from napari_unet3d.widgets.components.job_bar import JobBar
from napari_unet3d.widgets.forms.choices import remembered
from napari_unet3d.widgets.jobs.jobs import Job


class ReportPanel(Panel):
    """Writes the report on a run as a job, and opens it in the browser; hidden while there is no run.

    Parameters
    ----------
    context : Context
        The jobs and the message line.

    Attributes
    ----------
    job_bar : JobBar
        *Report…*, and its progress.
    with_test_set : CheckBox
        Whether the model is evaluated first; hidden where the dataset has no test volumes.
    open_button : PushButton
        Opens the report that was written.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._run: Path | None = None
        self._dataset: Path | None = None
        self._written: Path | None = None
        self._job: Job | None = None
        tooltip = "Predict the test volumes of the dataset first; metrics, figures and errors stay in the run folder."
        self.with_test_set = CheckBox(value=True, text="with an evaluation of the test set", tooltip=tooltip)
        remembered(self.with_test_set, "report")
        self.job_bar = JobBar(
            "Report…",
            "Write a report on this run on one page: curves, settings, metrics, slices and the worst errors.",
            self.write,
            (self.with_test_set,),
            "Cancel",
        )
        self.open_button = button("Open the report", "Open the report in the browser.", self.open)
        self.lay_out(row(self.job_bar, self.open_button), self.with_test_set)
        self.offer(None)

    def offer(self, run: Path | None) -> None:
        """Offer a report on a run.

        Parameters
        ----------
        run : Path, optional
            The run folder or its model file; without it, or when it is not a run, nothing is offered.
        """
        folder = run if run is None or os.path.isdir(run) else run.parent
        if folder != self._run:
            self._written = None
        self._run, self._dataset = folder, None
        if folder is not None:
            try:
                self._dataset = dataset_with_test_set(folder)
            except UserError:
                self._run = None
        self.with_test_set.visible = self._dataset is not None
        self.open_button.visible = self._written is not None
        self.visible = self._run is not None

    def write(self, path: Path | None = None) -> None:
        """Write the report to an HTML file; asks for the file when no path is given."""
        run = self._run
        if run is None:
            return
        with self._context.message.explaining():
            path = path or ask_for_file(self.native, "Save report", "report", (".html",), run)
            if path is None:
                return
            dataset = self._dataset if self.with_test_set.value else None
            events = partial(report_on_run, run, dataset, path, shared_preferences().value.device)
            job = self._context.jobs.start("report", f"Report on {run.name}", events)
            self._written = None
            self.open_button.hide()
            self.job_bar.watch(job)
            job.reported.connect(self._on_event)
            job.failed.connect(self._context.message.show_error)
            self._job = job  # no partial: PySide would call that for a closed dock, too
            job.ended.connect(self._on_ended)

    def _on_event(self, event: Any) -> None:
        if self._is_gone:  # the job outlives the dock
            return
        match event:
            case ModelLoaded(device=device):
                self._context.message.show_message(f"Evaluating the test set on {device} …")
            case FileSaved(path=path):
                self._written = path
                self.open_button.show()
                self._context.message.show_message(f"The report is in {path}")

    def _on_ended(self) -> None:
        if self._is_gone:  # the job outlives the dock
            return
        if self._job is not None and self._job.stopped and self._written is None:
            self._context.message.show_message("Cancelled; no report was written.")

    def open(self) -> None:
        """Open the report in the browser."""
        if self._written is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._written)))
