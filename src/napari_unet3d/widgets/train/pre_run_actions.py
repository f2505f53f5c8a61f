"""What the Train dock offers before a training: Check, model summary, augmented patches, and the run as text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from magicgui.widgets import Container, PushButton, Widget

from napari_unet3d.configs.snippets import RunSnippet, training_snippet
from napari_unet3d.errors import UserError
from napari_unet3d.session.training_job import TrainingRequest, check, summarise_for
from napari_unet3d.training.events import Preflight
from napari_unet3d.widgets.components.containers import row
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.copy_run import CopyButton
from napari_unet3d.widgets.components.qt_widget import QtWidget
from napari_unet3d.widgets.jobs.latest_only import LatestOnly
from napari_unet3d.widgets.train.augmentation_preview import AugmentationPreview
from napari_unet3d.widgets.train.report_windows import IssuesWindow, SummaryWindow

_CHECK, _SUMMARY = "Check", "Model summary"


class PreRunActions(Container[Widget]):
    """Buttons: two run a job that ends in a window, one copies the run as text, one shows augmented patches.

    Parameters
    ----------
    context : Context
        Jobs and message line.
    request : callable
        Returns what would be trained; it raises a `UserError` when something is missing.
    draft : callable
        Returns the same, but without data where there is none.
    """

    def __init__(
        self, context: Context, request: Callable[[], TrainingRequest], draft: Callable[[], TrainingRequest]
    ) -> None:
        self._message, self._request, self._draft = context.message, request, draft
        self.check_button = PushButton(
            text=_CHECK, tooltip="What is wrong or could be better, what a step sees, and how long it takes."
        )
        self.summary_button = PushButton(
            text=_SUMMARY, tooltip="Layers, shapes, parameters and memory of this network."
        )
        self.augmented = AugmentationPreview(context, request)
        self.copy_button = CopyButton(context.message, self._snippet)
        buttons = row(self.check_button, self.summary_button, QtWidget(self.copy_button))
        buttons.native.layout().setStretch(2, 0)
        super().__init__(widgets=[buttons, self.augmented], labels=False)
        self.margins = (0, 0, 0, 0)
        self._check, self._summary = (LatestOnly(self.native, context.jobs, kind) for kind in ("check", "summary"))
        for work in (self._check, self._summary):
            work.failed.connect(context.message.show_error)
            work.settled.connect(self._show_state)
        self.check_button.clicked.connect(self.check)
        self.summary_button.clicked.connect(self.summarise)

    def check(self) -> None:
        """Check data and settings, and show what was found in a window."""
        with self._message.explaining():
            self._check.request(_CHECK, partial(check, self._request()), self._on_checked)
            self._show_state()

    def summarise(self) -> None:
        """Show layers, parameters and memory of the network in a window."""
        with self._message.explaining():
            self._summary.request(_SUMMARY, partial(summarise_for, self._draft()), self._on_summary)
            self._show_state()

    def _snippet(self) -> RunSnippet:
        request = self._request()
        if not isinstance(request.data, Path):
            raise UserError(
                "A text cannot name layers. Add them to a dataset folder (dock Dataset, 'Add as train'), "
                "choose that folder above, and copy again."
            )
        return training_snippet(request.data, request.run_folder, request.config, start_from=request.start_from)

    def _on_checked(self, event: Any) -> None:
        if isinstance(event, Preflight):
            IssuesWindow(self.native, event).show()

    def _on_summary(self, summary: Any) -> None:
        SummaryWindow(self.native, summary.text).show()

    def _show_state(self) -> None:
        for work, button, text in (
            (self._check, self.check_button, _CHECK),
            (self._summary, self.summary_button, _SUMMARY),
        ):
            button.enabled = not work.is_busy
            button.text = f"{text} …" if work.is_busy else text
