"""Buttons that save the results of a comparison with ground truth: the scores, and a figure of slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QHBoxLayout, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_unet3d.configs import Axis
from napari_unet3d.evaluation.metrics.types import Scores, mean_scores
from napari_unet3d.evaluation.reports.score_files import write_metrics
from napari_unet3d.session.comparison import Comparison
from napari_unet3d.session.preferences import load_preference, save_preference
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.dialogs import ask_for_file
from napari_unet3d.widgets.components.run_bar import add_row

_KEY = "slices-figure"
_MOST_SLICES = 20


@dataclass(frozen=True, slots=True)
class _Saved:
    what: str
    path: Path


class SaveResults(QWidget):
    """Saves scores as CSV or JSON, and slices of ground truth, prediction and difference as PNG, PDF or SVG.

    Parameters
    ----------
    context : Context
        The jobs and the message line.

    Attributes
    ----------
    metrics_button, figure_button : QPushButton
    n_slices : QSpinBox
    axis : QComboBox
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._comparison: Comparison | None = None
        self._scores: tuple[Scores, ...] = ()
        self.metrics_button = QPushButton("Save metrics…")
        self.metrics_button.setToolTip("Save the scores as a table for spreadsheets (CSV), or for programs (JSON).")
        self.metrics_button.clicked.connect(self._save_metrics)
        self.figure_button = QPushButton("Save figure…")
        self.figure_button.setToolTip(
            "Save slices of ground truth, prediction and their difference, side by side, as PNG, PDF or SVG."
        )
        self.figure_button.clicked.connect(self._save_figure)
        self._make_figure_boxes()
        self._lay_out()
        self.show_scores(())
        self.show_comparison(None)

    def show_scores(self, volumes: Sequence[Scores]) -> None:
        """Offer to save the scores of volumes; slow scores that are missing are computed for it."""
        self._scores = tuple(volumes)
        self.metrics_button.setEnabled(bool(volumes))

    def show_comparison(self, comparison: Comparison | None) -> None:
        """Offer to save a figure of the volume in view; without ground truth there is nothing to compare."""
        self._comparison = comparison
        self.figure_button.setEnabled(comparison is not None and comparison.truth is not None)

    def _save_metrics(self) -> None:
        with self._context.message.explaining():
            name = self._scores[0].name if len(self._scores) == 1 else "test set"
            path = ask_for_file(self, "Save metrics", f"{name} metrics", (".csv", ".json"))
            if path is not None:
                self._save(path, partial(_measure_and_write, self._scores, self._comparison, path))

    def _save_figure(self) -> None:
        comparison = self._comparison
        if comparison is None:
            return
        axis = Axis(self.axis.currentData())
        with self._context.message.explaining():
            name = f"{comparison.prediction.name} slices {axis.value}"
            path = ask_for_file(self, "Save figure", name, (".png", ".pdf", ".svg"))
            if path is not None:
                self._save(path, partial(_draw, comparison, axis, self.n_slices.value(), path))

    def _save(self, path: Path, events: Callable[[], Iterator[_Saved]]) -> None:
        job = self._context.jobs.start("save", f"Saving {path.name}", events)
        job.reported.connect(self._on_saved)
        job.failed.connect(self._show_failure)

    def _on_saved(self, event: _Saved) -> None:
        self._context.message.show_message(f"The {event.what} in {event.path}")

    def _show_failure(self, message: str) -> None:
        self._context.message.show_message(message, "error")

    def _make_figure_boxes(self) -> None:
        self.n_slices = number_box("Number of slices in the figure.", 1, _MOST_SLICES, 5)
        self.axis = QComboBox()
        for axis in Axis:
            self.axis.addItem(axis.value, axis.value)
        self.axis.setToolTip("The axis that the slices are cut along.")
        known = load_preference(_KEY)
        known = known if isinstance(known, dict) else {}
        n_slices = known.get("slices")
        if isinstance(n_slices, int):
            self.n_slices.setValue(n_slices)
        self.axis.setCurrentIndex(max(0, self.axis.findData(known.get("axis"))))
        self.n_slices.valueChanged.connect(self._remember)
        self.axis.currentIndexChanged.connect(self._remember)

    def _remember(self, *_: object) -> None:
        save_preference(_KEY, {"slices": self.n_slices.value(), "axis": self.axis.currentData()})

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        sentence_row(column, self.n_slices, "slices along", self.axis, "in the figure")
        add_row(column, self.metrics_button, self.figure_button)


def _measure_and_write(scores: Sequence[Scores], comparison: Comparison | None, path: Path) -> Iterator[_Saved]:
    volumes = list(scores)
    for place, each in enumerate(volumes):
        if each.nsd is None and comparison is not None and comparison.prediction.name == each.name:
            volumes[place] = comparison.measured().scores or each
    write_metrics(path, volumes, mean_scores(volumes) if len(volumes) > 1 else None)
    yield _Saved("metrics are", path)


def _draw(comparison: Comparison, axis: Axis, n_slices: int, path: Path) -> Iterator[_Saved]:
    from napari_unet3d.evaluation.reports.figure import slices_figure, write_figure  # imports matplotlib, which is slow

    assert comparison.truth is not None
    title = comparison.prediction.name
    if comparison.scores is not None:
        title += f" · Dice {comparison.scores.dice:.3f}"
    figure = slices_figure(
        comparison.truth, comparison.prediction.labels, axis, n_slices, comparison.prediction.voxel_size_um, title
    )
    write_figure(path, figure)
    yield _Saved("figure is", path)


# Napari's style sheet leaves space for buttons in such boxes and makes them 70 pixels wide at least.
_STYLE = "QSpinBox { min-width: 38px; max-width: 38px; padding-left: 4px; padding-right: 4px; }"


def number_box(tooltip: str, low: int, high: int, value: int) -> QSpinBox:
    """Make a box for an integer that is as wide as its digits; wheel and arrow keys change it."""
    box = QSpinBox()
    box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
    box.setStyleSheet(_STYLE)
    box.setRange(low, high)
    box.setValue(value)
    box.setToolTip(tooltip)
    return box


def sentence_row(column: QVBoxLayout, *items: QWidget | str) -> None:
    """Add a row of texts and boxes to a column, one after the other like a sentence."""
    row = QHBoxLayout()
    row.setSpacing(6)
    for item in items:
        row.addWidget(QLabel(item) if isinstance(item, str) else item)
    row.addStretch(1)
    column.addLayout(row)
