"""The part of the Inspect dock that compares two predictions: of two models, or of one model at two times."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet3d.configs import Task
from napari_unet3d.data.ground_truth import decode_labels
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.disagreement import BOTH, FIRST, SECOND, Disagreement, compare_predictions
from napari_unet3d.widgets.components.run_bar import add_row
from napari_unet3d.widgets.forms.form import compact_form_layout
from napari_unet3d.widgets.inspect.view_switcher import SideBySideButton
from napari_unet3d.widgets.jobs.latest_only import LatestOnly
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.layer_metadata import origin_of
from napari_unet3d.widgets.viewer.layers import show_labels, show_on_top
from napari_unet3d.widgets.viewer.side_by_side import Arrangement, Cell

if TYPE_CHECKING:
    from napari_unet3d.widgets.inspect.dock import InspectDock
    from napari_unet3d.widgets.inspect.inspection import Inspection

# Green, magenta and orange can be told apart by everybody, and from the red, blue and yellow of mistakes.
_COLOURS: dict[int | None, str] = {FIRST: "#00c896", SECOND: "#f060d0", BOTH: "#ff8c1a"}
_LAYER_COLOURS = {None: "transparent", 0: "transparent", **_COLOURS}


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """What is compared, as it was chosen."""

    first: Labels
    second: Labels
    truth: Labels | None
    volume: str
    task: Task
    ignore_label: int | None

    @property
    def layers(self) -> tuple[Labels, Labels, Labels | None]:
        """Both predictions and the truth."""
        return self.first, self.second, self.truth

    @property
    def names(self) -> tuple[str, str]:
        """What the two are called, without the name of the volume."""
        first, second = (
            layer.name.removeprefix(self.volume).strip(" –") or layer.name for layer in (self.first, self.second)
        )
        return first, second


class ComparePanel(QWidget):
    """Chooses two predictions of one volume, and shows in numbers and in a layer ``A ≠ B`` where they disagree.

    Parameters
    ----------
    dock : InspectDock
        Its menus of layers, what its labels mean, jobs and message line.
    """

    def __init__(self, dock: InspectDock) -> None:
        super().__init__()
        self._dock = dock
        self.first = dock.layer_box(Labels | None, "A prediction, such as that of an epoch or of a model.")
        self.second = dock.layer_box(Labels | None, "Another prediction of the same volume.")
        self.truth = dock.layer_box(Labels | None, "The true labels, if you have them: then it is told who is right.")
        self.compare_button = QPushButton("Show where they differ")
        self.compare_button.setToolTip("Make a layer that shows the voxels on which they differ, and count them.")
        self.side_button = SideBySideButton(dock, self._arrangement)
        self.side_button.setToolTip(
            "Show both, where they differ, and the truth if it is chosen, beside each other in one view."
        )
        self.result = QLabel()
        self.result.setWordWrap(True)
        self._work = LatestOnly(self, dock.jobs, "disagreement")
        self._shown: tuple[_Pair, Labels] | None = None
        self._lay_out()
        self.compare_button.clicked.connect(self._compare)
        self._work.failed.connect(self._on_failed)
        dock.connect_viewer(dock.viewer.layers.events.removed, self._forget_removed)
        dock.inspection_changed.connect(self._choose_inspected)

    def _compare(self, *_: object) -> None:
        with self._dock.message.explaining():
            pair = self._chosen()
            arrays = [None if layer is None else sample_from_layers(layer).image for layer in pair.layers]
            self.compare_button.setEnabled(False)
            self._work.request(
                f"Comparing {pair.first.name} and {pair.second.name}",
                partial(_find, arrays, pair.task, pair.ignore_label),
                partial(self._show, pair),
            )

    def _chosen(self) -> _Pair:
        first, second, truth = self.first.value, self.second.value, self.truth.value
        if first is None or second is None:
            raise UserError("Choose two predictions; 'Keep this prediction' in the dock Predict makes a second one.")
        if first is second or truth in (first, second):
            twice = first if first is second else truth
            raise UserError(f"The layer '{twice.name}' is chosen twice; choose different layers.")
        source = self._dock.source
        known = [origin for origin in map(origin_of, (first, second)) if origin is not None]
        plan = next((origin.plan for origin in known if origin.plan is not None), None)
        task = source.task.currentData() if plan is None else plan.task
        ignore_label = source.ignore_label.value if plan is None else plan.ignore_label
        image = source.image.value
        volume = known[0].name if known else "" if image is None else image.name
        return _Pair(first, second, truth, volume, task, ignore_label)

    def _show(self, pair: _Pair, found: Disagreement) -> None:
        self.compare_button.setEnabled(True)
        viewer = self._dock.viewer
        there = [layer for layer in pair.layers if layer in viewer.layers]
        name = f"{pair.first.name} ≠ {pair.names[1]}"
        layer = show_labels(viewer, name, found.labels, pair.first, colormap=_LAYER_COLOURS, opacity=0.9)
        layer.features = {"index": [0, *_COLOURS], "who": ["", *_meanings(pair)]}
        if not self.side_button.is_on:
            show_on_top(viewer, layer, instead_of=there)
        self._shown = (pair, layer)
        self.side_button.setEnabled(len(there) == len([each for each in pair.layers if each is not None]))
        self.result.setText(_words(pair, found))
        self.result.show()

    def _arrangement(self) -> Arrangement | None:
        if self._shown is None:
            return None
        pair, layer = self._shown
        one, other = pair.names
        cells = [Cell(one, pair.first), Cell(other, pair.second), Cell("where they differ", layer)]
        if pair.truth is not None:
            cells.insert(0, Cell("truth", pair.truth))
        image = self._dock.source.image.value
        fits = image is not None and image in self._dock.viewer.layers and np.shape(image.data) == layer.data.shape
        return Arrangement(image if fits else None, tuple(cells))

    def _forget_removed(self, *_: object) -> None:
        layers = self._dock.viewer.layers
        if self._shown is not None:
            pair, layer = self._shown
            if any(each is not None and each not in layers for each in (*pair.layers, layer)):
                self._shown = None
                self.side_button.setEnabled(False)

    def _choose_inspected(self, seen: Inspection) -> None:
        for box, layer in ((self.first, seen.prediction), (self.truth, seen.truth)):
            if box.value is None and layer in box.choices:
                box.value = layer

    def _on_failed(self, message: str) -> None:
        self.compare_button.setEnabled(True)
        self._dock.message.show_message(message, "error")

    def _lay_out(self) -> None:
        self.side_button.setEnabled(False)
        self.result.hide()
        rows = compact_form_layout()
        rows.addRow("A", self.first.native)
        rows.addRow("B", self.second.native)
        rows.addRow("Truth (optional)", self.truth.native)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(rows)
        add_row(column, self.compare_button, self.side_button)
        column.addWidget(self.result)


def _find(arrays: Sequence[NDArray[Any] | None], task: Task, ignore_label: int | None) -> Iterator[Disagreement]:
    first, second, painted = arrays
    assert first is not None
    assert second is not None
    truth = None if painted is None else decode_labels(painted, task, ignore_label)
    yield compare_predictions(first, second, task, truth)


def _meanings(pair: _Pair) -> list[str]:
    """Say what the values of the layer mean, in the order of `_COLOURS`."""
    one, other = pair.names
    if pair.truth is not None:
        return [f"only {one} is right", f"only {other} is right", "both are wrong, differently"]
    return [f"only {one} has something", f"only {other} has something", "different classes"]


def _words(pair: _Pair, found: Disagreement) -> str:
    one, other = (html.escape(name) for name in pair.names)
    where = "voxels" if found.n_compared == found.labels.size else "annotated voxels"
    lines = [f"They differ on {found.fraction:.2%} of the {where}; Dice between them {found.dice:.3f}."]
    if found.first_dice is not None and found.second_dice is not None:
        lines.append(f"Dice with the truth: {one} {found.first_dice:.3f}, {other} {found.second_dice:.3f}.")
    counts = (found.n_first, found.n_second, found.n_both)
    for colour, meaning, count in zip(_COLOURS.values(), _meanings(pair), counts, strict=True):
        if count or meaning.startswith("only"):
            share = count / max(1, found.n_compared)
            lines.append(f"<span style='color:{colour}'>■</span> {html.escape(meaning)}: {share:.2%}")
    return "<br>".join(lines)
