"""The part of the Predict dock below its buttons: scores, what the colours mean, and which volume is shown."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet3d.configs import PostProcessing, Task
from napari_unet3d.data.pairs import Subset
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.colours import EXTRA_COLOUR, MISSED_COLOUR, WRONG_CLASS_COLOUR
from napari_unet3d.session.comparison import DEFAULT_TOLERANCE_UM, Comparison, from_evaluation
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.components.scores_table import ScoresTable
from napari_unet3d.widgets.export.section import SaveSection
from napari_unet3d.widgets.predict.live_prediction import LivePrediction, VisiblePrediction
from napari_unet3d.widgets.predict.show import (
    FileOpened,
    open_file,
    show_comparison_of_layer,
    show_labels_of_file,
    show_volume,
)
from napari_unet3d.widgets.predict.suggest_next import SuggestNextAnnotation
from napari_unet3d.widgets.viewer.layers import Reference, colour_of

if TYPE_CHECKING:
    from napari_unet3d.evaluation.metrics.types import Scores
    from napari_unet3d.inference.events import EvaluationFinished, Prediction, PredictionWritten, VolumeEvaluated
    from napari_unet3d.model.plan import Plan
    from napari_unet3d.widgets.components.qt_dock import QtDock as Dock

_MOST_KEPT_BYTES = 2**30


class ResultsPanel(QWidget):
    """Shows results in a table, and in the viewer the one that the user asks for.

    Parameters
    ----------
    dock : Dock
        Its viewer, its jobs (to read files again) and its message line.

    Attributes
    ----------
    live : LivePrediction
        The prediction in view, which follows the settings of labels.
    save : SaveSection
        Saves numbers and pictures.
    annotate_button : SuggestNextAnnotation
        Leads to its uncertain places; the dock gives it a place.
    made_with : PostProcessing
        The settings that the labels of the running prediction are made with.
    tolerance_um : float
        Distance in µm within which two surfaces count as the same.
    model, dataset : Path or None
        What predicts, and the dataset whose test set is predicted.
    """

    def __init__(self, dock: Dock) -> None:
        super().__init__()
        self.table = ScoresTable()
        self.save = SaveSection(dock.context)
        self.show_button = QPushButton("Show the selected volume")
        self.show_button.setToolTip(
            "Bring the volume of the selected row into the viewer; so does a double click on it."
        )
        self.table.setToolTip("The scores of each volume; what a score means stands in the tooltip of its heading.")
        self.legend = QLabel()
        self.legend.setWordWrap(True)
        self.live = LivePrediction(dock)
        self.annotate_button = SuggestNextAnnotation(dock, self.live)
        self.made_with, self.tolerance_um = PostProcessing(), DEFAULT_TOLERANCE_UM
        self.model: Path | None = None
        self.dataset: Path | None = None
        self.inspect_button = QPushButton("Inspect these errors")
        self.inspect_button.setToolTip("List every error of the volume in view, and go from one to the next.")
        self.inspect_button.clicked.connect(self._inspect)
        self._dock = dock
        self._rows: dict[str, Callable[[], None]] = {}
        self._kept_bytes = 0
        self.show_button.clicked.connect(self.show_selected)
        self.table.cellDoubleClicked.connect(lambda row, _column: self._show_row(row))
        self.live.changed.connect(self._on_changed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.legend, self.table, self.show_button, self.inspect_button, self.save):
            column.addWidget(widget)
        self.clear()

    def clear(self) -> None:
        """Forget everything; layers stay in the viewer."""
        self.live.forget()
        self._rows.clear()
        self._kept_bytes = 0
        self.table.clear_rows()
        self.annotate_button.refresh()
        self._offer_to_save(None)
        for widget in (self.show_button, self.inspect_button, self.legend, self.annotate_button, self.save):
            widget.hide()

    def show_layer(self, outcome: Comparison, image: Reference, truth: Labels | None) -> None:
        """Show the prediction of a layer in its place, or at the origin when the layer left the viewer."""
        layers = self._dock.viewer.layers
        place = image if image in layers else outcome.prediction.voxel_size_um
        truth = truth if truth in layers else None
        labels = show_comparison_of_layer(self._dock.viewer, outcome, place, truth, self._origin(outcome))
        self.live.show(VisiblePrediction(outcome, place, truth, labels), self.made_with)

    def add_file(self, event: PredictionWritten, source: Path) -> None:
        """Add a file whose prediction is written; its arrays are kept until they fill a gigabyte."""
        name = event.prediction.name
        self.table.show_name(name)
        kept = event.prediction if self._has_room(Comparison(event.prediction).nbytes) else None
        self._rows[name] = partial(self._open_file, source, event.files[0], event.prediction.plan, kept)
        self.show_button.show()

    def add_evaluated(self, event: VolumeEvaluated) -> None:
        """Add a volume of a test set; its arrays are kept until they fill a gigabyte."""
        self.table.show_scores(event.scores)
        if self._has_room(event.image.nbytes + Comparison(event.prediction, event.truth).nbytes):
            self._rows[event.scores.name] = partial(self._show_evaluated, event)

    def finish_evaluation(self, event: EvaluationFinished) -> Scores:
        """Show all numbers and, of the volumes that were kept, the worst; return the numbers of the worst of all."""
        for scores in event.volumes:
            self.table.show_scores(scores)
        if len(event.volumes) > 1:
            self.table.show_mean(event.mean)
        self._offer_to_save(None)
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

    def _has_room(self, n_bytes: int) -> bool:
        has_room = self._kept_bytes + n_bytes <= _MOST_KEPT_BYTES
        self._kept_bytes += n_bytes * has_room
        return has_room

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

    def _show_evaluated(self, event: VolumeEvaluated) -> None:
        truth, voxel_size_um = event.truth, event.prediction.voxel_size_um
        sample = Sample(event.scores.name, event.image, truth.labels, voxel_size_um, truth.label_mask)
        self._show_volume(sample, from_evaluation(event, self.tolerance_um))

    def _open_file(self, source: Path, result: Path, plan: Plan | None, kept: Prediction | None) -> None:
        opening = partial(open_file, source, result, plan, kept)
        job = self._dock.jobs.start("open", f"Opening {source.name}", opening)
        job.reported.connect(self._show_opened)
        job.failed.connect(self._dock.show_failure)

    def _show_opened(self, opened: FileOpened) -> None:
        if opened.prediction is not None:
            self._show_volume(opened.sample, Comparison(opened.prediction))
            return
        self.live.forget()
        self._offer_to_save(None)
        self.annotate_button.refresh()
        self.legend.hide()
        self.inspect_button.hide()
        show_labels_of_file(self._dock.viewer, opened, VolumeOrigin(opened.sample.name, opened.plan, self.model))
        self._dock.message.show_message(
            f"'{opened.sample.name}' is shown with the labels of its file. More was not kept, since the volumes "
            "before it fill a gigabyte of memory; predict it alone to change its labels with the settings."
        )

    def _show_volume(self, sample: Sample, outcome: Comparison) -> None:
        place, truth, labels = show_volume(self._dock.viewer, sample, outcome, self._origin(outcome))
        self.live.show(VisiblePrediction(outcome, place, truth, labels), self.made_with)

    def _on_changed(self, outcome: Comparison) -> None:
        if outcome.scores is not None:
            self.table.show_scores(outcome.scores)
        lines = [_difference_words(outcome)] if outcome.difference is not None else []
        lines.append(self._labels_words(outcome) + (" · updating …" if self.live.is_working else ""))
        self.legend.setText("<br>".join(lines))
        self.legend.show()
        self.annotate_button.show()
        self.inspect_button.setVisible(outcome.difference is not None)
        self._offer_to_save(outcome)
        self.save.show()

    def _origin(self, outcome: Comparison) -> VolumeOrigin:
        prediction, part = outcome.prediction, None if self.dataset is None else Subset.TEST
        return VolumeOrigin(prediction.name, prediction.plan, self.model, self.dataset, part)

    def _inspect(self, *_: object) -> None:
        labels, shown = self.live.labels_layer(), self.live.shown
        assert shown is not None
        is_painted = self.dataset is None and shown.truth in self._dock.viewer.layers  # else it was read from a file
        self._dock.open_dock("Inspect").inspect_prediction(labels, None if is_painted else shown.comparison)

    def _offer_to_save(self, outcome: Comparison | None) -> None:
        self.save.results.show_comparison(outcome)
        self.save.results.show_scores(self.table.volumes)

    def _labels_words(self, outcome: Comparison) -> str:
        labels, plan = outcome.prediction.labels, outcome.prediction.plan
        if outcome.prediction.task is Task.INSTANCE:
            n_objects = int(labels.max(initial=0))
            return f"{n_objects} object{'' if n_objects == 1 else 's'}"
        if outcome.prediction.task is Task.SEMANTIC and plan is not None:
            layers, name = self._dock.viewer.layers, f"{outcome.prediction.name} prediction"
            if name not in layers or not isinstance(layers[name], Labels):  # removed or renamed by the user
                return ", ".join(each.name for each in plan.classes)
            return _in_colours({colour_of(layers[name], each.value): each.name for each in plan.classes})
        return f"Foreground: {np.count_nonzero(labels) / max(1, labels.size):.1%} of the volume"


def _difference_words(outcome: Comparison) -> str:
    if outcome.prediction.task is Task.SEMANTIC:
        return _in_colours({EXTRA_COLOUR: "extra", MISSED_COLOUR: "missed", WRONG_CLASS_COLOUR: "wrong class"})
    return _in_colours({EXTRA_COLOUR: "extra voxels", MISSED_COLOUR: "missed voxels"})


def _in_colours(meanings: dict[str, str]) -> str:
    return " &nbsp;&nbsp; ".join(
        f"<span style='color:{colour}'>■</span> {html.escape(words)}" for colour, words in meanings.items()
    )
