"""What the Train dock offers before anything is trained: Check, summary, patches, and the run as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_unet3d.configs.snippets import RunSnippet, training_snippet
from napari_unet3d.errors import UserError
from napari_unet3d.session.training_job import TrainingRequest, check, summarise_for
from napari_unet3d.training.events import Preflight
from napari_unet3d.widgets.components.copy_run import CopyButton
from napari_unet3d.widgets.train.augmentation_preview import AugmentationPreview
from napari_unet3d.widgets.train.report_windows import FindingsWindow, SummaryWindow

if TYPE_CHECKING:
    from napari_unet3d.widgets.components.qt_dock import QtDock as Dock


_CHECK, _SUMMARY = "Check", "Model summary"


class PreRunActions(QWidget):
    """Buttons: two run a job that ends in a window, one copies the run as text, one shows augmented patches.

    Parameters
    ----------
    dock : Dock
        Has the jobs and the message line.
    order : callable
        Gives what would be trained; it raises a `UserError` when something is missing.
    sketch : callable
        Gives the same, but with no data where there is none.
    """

    def __init__(self, dock: Dock, order: Callable[[], TrainingRequest], sketch: Callable[[], TrainingRequest]) -> None:
        super().__init__()
        self._dock, self._order, self._sketch = dock, order, sketch
        self.check_button, self.summary_button = QPushButton(_CHECK), QPushButton(_SUMMARY)
        self.check_button.setToolTip("What goes wrong or could be better, what a step sees, and how long it takes.")
        self.summary_button.setToolTip("Layers, shapes, parameters and memory of this network.")
        self.copy_button = CopyButton(dock.message, self._as_text)
        self.augmented = AugmentationPreview(dock, order)
        column, row = QVBoxLayout(self), QHBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.augmented)
        row.addWidget(self.check_button, 1)
        row.addWidget(self.summary_button, 1)
        row.addWidget(self.copy_button)
        self.check_button.clicked.connect(self._check)
        self.summary_button.clicked.connect(self._summarise)

    def _as_text(self) -> RunSnippet:
        order = self._order()
        if not isinstance(order.data, Path):
            raise UserError(
                "A text cannot name layers. Add them to a dataset folder (dock Dataset, 'Add as train'), "
                "choose that folder above, and copy again."
            )
        return training_snippet(order.data, order.run_folder, order.config, start_from=order.start_from)

    def _check(self) -> None:
        with self._dock.message.explaining():
            self._run("check", partial(check, self._order()), self.check_button, self._show_findings)

    def _summarise(self) -> None:
        with self._dock.message.explaining():
            self._run("summary", partial(summarise_for, self._sketch()), self.summary_button, self._show_summary)

    def _show_findings(self, event: Any) -> None:
        if isinstance(event, Preflight):
            FindingsWindow(self._dock, event).show()

    def _show_summary(self, summary: Any) -> None:
        SummaryWindow(self._dock, summary.text).show()

    def _run(
        self, kind: str, events: Callable[[], Iterator[Any]], button: QPushButton, show: Callable[[Any], None]
    ) -> None:
        words = button.text()
        job = self._dock.jobs.start(kind, words, events)
        button.setEnabled(False)
        button.setText(f"{words} …")
        job.reported.connect(show)
        job.failed.connect(self._dock.show_failure)
        job.ended.connect(self._on_ended)

    def _on_ended(self) -> None:
        for kind, button, words in (("check", self.check_button, _CHECK), ("summary", self.summary_button, _SUMMARY)):
            if self._dock.jobs.running(kind) is None:
                button.setEnabled(True)
                button.setText(words)
