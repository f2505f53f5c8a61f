"""The section of a dock that saves the scores, figures and pictures of what is in view."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from magicgui.widgets import Widget
from qtpy.QtWidgets import QSizePolicy

from napari_unet3d.configs import Axis
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.session.saving import FileSaved, save_figure, save_metrics
from napari_unet3d.widgets.components.containers import Panel, Section, button, row, sentence_row
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dialogs import ask_for_file
from napari_unet3d.widgets.export.view import SaveView
from napari_unet3d.widgets.forms.choices import EnumMenu, remembered
from napari_unet3d.widgets.forms.numbers import number_box


class SaveResults(Panel):
    """Saves scores as CSV or JSON, and slices of ground truth, prediction and difference as PNG, PDF or SVG.

    Parameters
    ----------
    context : Context
        The jobs and the message line.

    Attributes
    ----------
    n_slices : SpinBox
        The number of slices in the figure.
    axis : EnumMenu
        The axis that they are cut along.
    metrics_button, figure_button : PushButton
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._comparison: Comparison | None = None
        self._scores: tuple[Scores, ...] = ()
        self.metrics_button = button(
            "Save metrics…",
            "Save the scores as a table for spreadsheets (CSV), or for programs (JSON).",
            self.save_metrics,
        )
        self.figure_button = button(
            "Save figure…",
            "Save slices of ground truth, prediction and their difference, side by side, as PNG, PDF or SVG.",
            self.save_figure,
        )
        self.n_slices = remembered(number_box("Number of slices in the figure.", 1, 20, 5), "figure-slices")
        self.axis = EnumMenu(annotation=Axis, tooltip="The axis that the slices are cut along.")
        remembered(self.axis, "figure-axis")
        self.axis.native.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.lay_out(
            sentence_row(self.n_slices, "slices along", self.axis, "in the figure"),
            row(self.metrics_button, self.figure_button),
        )
        self.show_scores(())
        self.show_comparison(None)

    def show_scores(self, volumes: Sequence[Scores]) -> None:
        """Offer to save the scores of volumes; slow scores that are missing are computed for it."""
        self._scores = tuple(volumes)
        self.metrics_button.enabled = bool(volumes)

    def show_comparison(self, comparison: Comparison | None) -> None:
        """Offer to save a figure of the volume in view; without ground truth there is nothing to compare."""
        self._comparison = comparison
        self.figure_button.enabled = comparison is not None and comparison.truth is not None

    def save_metrics(self, path: Path | None = None) -> None:
        """Save the scores as CSV or JSON; asks for the file when no path is given."""
        if not self._scores:
            return
        with self._context.message.explaining():
            name = self._scores[0].name if len(self._scores) == 1 else "test set"
            path = path or ask_for_file(self.native, "Save metrics", f"{name} metrics", (".csv", ".json"))
            if path is not None:
                self._save(path, partial(save_metrics, self._scores, self._comparison, path))

    def save_figure(self, path: Path | None = None) -> None:
        """Save slices as PNG, PDF or SVG; asks for the file when no path is given."""
        comparison, axis = self._comparison, self.axis.value
        if comparison is None:
            return
        with self._context.message.explaining():
            name = f"{comparison.prediction.name} slices {axis.value}"
            path = path or ask_for_file(self.native, "Save figure", name, (".png", ".pdf", ".svg"))
            if path is not None:
                self._save(path, partial(save_figure, comparison, axis, self.n_slices.value, path))

    def _save(self, path: Path, events: Callable[[], Iterator[FileSaved]]) -> None:
        job = self._context.jobs.start("save", f"Saving {path.name}", events)
        job.reported.connect(self._on_saved)
        job.failed.connect(self._context.message.show_error)

    def _on_saved(self, event: FileSaved) -> None:
        if self._is_gone:  # the job outlives the dock
            return
        self._context.message.show_message(f"The {event.what} in {event.path}")


class SaveSection(Section):
    """Metrics, figure, screenshot and turntable below one heading.

    Parameters
    ----------
    context : Context
        The viewer, its jobs and the message line.
    *above : Widget
        What else the section holds, above these.

    Attributes
    ----------
    results : SaveResults
        Metrics and figure of the comparison that it is given.
    view : SaveView
        Screenshot and turntable.
    """

    def __init__(self, context: Context, *above: Widget) -> None:
        self.results, self.view = SaveResults(context), SaveView(context)
        super().__init__("Save metrics and pictures", *above, self.results, self.view)
