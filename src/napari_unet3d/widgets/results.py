"""The part of the Predict dock below its buttons: scores, what the colours mean, and which volume is shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.layers import EXTRA_COLOUR, MISSED_COLOUR, WRONG_CLASS_COLOUR, Place
from napari_unet3d.widgets.predictions import (
    DEFAULT_TOLERANCE_UM,
    FileOpened,
    Outcome,
    from_evaluation,
    measure,
    open_file,
    show_file,
    show_outcome,
    show_volume,
    update_outcome,
)
from napari_unet3d.widgets.scores_table import ScoresTable

if TYPE_CHECKING:
    from napari_unet3d.evaluation.scores import Scores
    from napari_unet3d.prediction.events import EvaluationFinished, PredictionWritten, VolumeEvaluated
    from napari_unet3d.widgets.base import Dock

_MOST_KEPT_BYTES = 2**30


class Results(QWidget):
    """Shows results in a table, and in the viewer the one that the user asks for.

    Parameters
    ----------
    dock : Dock
        Its viewer, its jobs (to read files again) and its message line.
    """

    def __init__(self, dock: Dock) -> None:
        super().__init__()
        self.table = ScoresTable()
        self.show_button = QPushButton("Show the selected volume")
        self.legend = QLabel()
        self._dock = dock
        self._shown: tuple[Outcome, Place] | None = None
        self._rows: dict[str, Callable[[], None]] = {}
        self._kept_bytes = 0
        self.threshold, self.tolerance_um = 0.5, DEFAULT_TOLERANCE_UM
        self._being_measured: Outcome | None = None
        self.show_button.clicked.connect(self.show_selected)
        self.table.cellDoubleClicked.connect(lambda row, _column: self._show_row(row))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.table, self.show_button, self.legend):
            column.addWidget(widget)
        self.clear()

    def clear(self) -> None:
        """Forget everything; layers stay in the viewer."""
        self._shown = None
        self._rows.clear()
        self._kept_bytes = 0
        self.table.clear_rows()
        self.show_button.hide()
        self.legend.hide()

    def show_layer(self, outcome: Outcome, image: Place, truth: Labels | None) -> None:
        """Show the prediction of a layer in its place, or at the origin when the layer left the viewer."""
        layers = self._dock.viewer.layers
        place = image if image in layers else outcome.prediction.voxel_size_um
        show_outcome(self._dock.viewer, outcome, place, truth if truth in layers else None)
        self._take(outcome, place)

    def add_file(self, event: PredictionWritten, source: Path) -> None:
        """Add a file whose prediction is written."""
        name = event.prediction.name
        self.table.show_name(name)
        self._rows[name] = partial(self._open_file, source, event.files[0])
        self.show_button.show()

    def add_evaluated(self, event: VolumeEvaluated) -> None:
        """Add a volume of a test set; its arrays are kept until they fill a gigabyte."""
        self.table.show_scores(event.scores)
        answer, truth = event.prediction, event.truth
        arrays = (
            event.image,
            truth.labels,
            truth.annotated,
            answer.labels,
            answer.probability,
            answer.maps,
            answer.uncertainty,
        )
        size = sum(array.nbytes for array in arrays if array is not None)
        if self._kept_bytes + size <= _MOST_KEPT_BYTES:
            self._kept_bytes += size
            self._rows[event.scores.name] = partial(self._show_evaluated, event)

    def finish_evaluation(self, event: EvaluationFinished) -> Scores:
        """Show all numbers and, of the volumes that were kept, the worst; return the numbers of the worst of all."""
        for scores in event.volumes:
            self.table.show_scores(scores)
        if len(event.volumes) > 1:
            self.table.show_mean(event.mean)
        self.show_button.setVisible(bool(self._rows))
        ranked = sorted(event.volumes, key=lambda scores: scores.dice)
        shown = next((scores.name for scores in ranked if scores.name in self._rows), None)
        if shown is not None:
            self.table.selectRow(self.table.names.index(shown))
            self._rows[shown]()
        return ranked[0]

    def show_selected(self, *_: object) -> None:
        """Show the volume of the table's selected row in the viewer."""
        self._show_row(max(0, self.table.currentRow()))

    def _show_row(self, row: int) -> None:
        name = self.table.names[row]
        with self._dock.message.explaining():
            if name in self._rows:
                self._rows[name]()
            elif name != "mean":
                raise UserError(
                    f"'{name}' was not kept, since the volumes before it fill a gigabyte of memory; "
                    "write the results to a folder and open it from there."
                )

    def apply_threshold(self, threshold: float) -> None:
        """Draw the shown labels again with another threshold; the model is not asked again.

        Scores that take long follow from a thread.
        """
        self.threshold = threshold
        if self._shown is not None:
            outcome, place = self._shown
            outcome = outcome.at_threshold(threshold)
            update_outcome(self._dock.viewer, outcome, place)
            self._take(outcome, place)
            self._measure_shown()

    def _measure_shown(self) -> None:
        jobs = self._dock.jobs
        if self._shown is None or self._shown[0].is_measured or jobs.running("measure") is not None:
            return
        self._being_measured = outcome = self._shown[0]
        job = jobs.start("measure", f"Measuring {outcome.prediction.name}", partial(measure, outcome))
        job.reported.connect(self._show_measured)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_measured)

    def _show_measured(self, measured: Outcome) -> None:
        if self._shown is not None and self._shown[0] is self._being_measured:
            self._take(measured, self._shown[1])

    def _on_measured(self) -> None:
        measured, self._being_measured = self._being_measured, None
        if self._shown is not None and self._shown[0] is not measured:  # the threshold was moved on meanwhile
            self._measure_shown()

    def _take(self, outcome: Outcome, place: Place) -> None:
        self._shown = outcome, place
        if outcome.scores is not None:
            self.table.show_scores(outcome.scores)
        if outcome.difference is not None:
            self.legend.setText(_legend(with_classes=outcome.scores is not None and bool(outcome.scores.classes)))
        self.legend.setVisible(outcome.difference is not None)

    def _show_evaluated(self, event: VolumeEvaluated) -> None:
        prediction = event.prediction
        sample = Sample(prediction.name, event.image, event.truth.labels, prediction.voxel_size_um)
        outcome = from_evaluation(event, self.tolerance_um).at_threshold(self.threshold)
        self._take(outcome, show_volume(self._dock.viewer, sample, outcome))
        self._measure_shown()

    def _open_file(self, source: Path, result: Path) -> None:
        job = self._dock.jobs.start("open", f"Opening {source.name}", partial(open_file, source, result))
        job.reported.connect(self._show_opened)
        job.failed.connect(self._on_failed)

    def _show_opened(self, opened: FileOpened) -> None:
        show_file(self._dock.viewer, opened)

    def _on_failed(self, message: str) -> None:
        self._dock.message.show_message(message, "error")


def _legend(*, with_classes: bool) -> str:
    meanings = {EXTRA_COLOUR: "extra voxels", MISSED_COLOUR: "missed voxels"}
    if with_classes:
        meanings[WRONG_CLASS_COLOUR] = "wrong class"
    return " &nbsp;&nbsp; ".join(f"<span style='color:{colour}'>■</span> {words}" for colour, words in meanings.items())
