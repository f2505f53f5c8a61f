"""The volumes of a dataset that were predicted to be inspected: what is kept of each, and the table of their scores."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_unet3d.data.pairs import Pair
from napari_unet3d.data.sample import Sample
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.inference.events import EvaluationFinished, VolumeEvaluated
from napari_unet3d.session.comparison import Comparison, from_evaluation
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.components.scores_table import ScoresTable
from napari_unet3d.widgets.inspect.source import ChosenVolumes
from napari_unet3d.widgets.inspect.volume_layers import VolumeLayers
from napari_unet3d.widgets.predict.show import show_volume

_MOST_KEPT_BYTES = 2**30


class VolumeList(QObject):
    """Keeps the predictions of several volumes, up to a gigabyte, and lists their scores, the worst first.

    Parameters
    ----------
    table : ScoresTable
        The table of scores; a click opens a volume.

    Attributes
    ----------
    asked_for : Signal(str)
        The name of a volume that was clicked.
    """

    asked_for = Signal(str)

    def __init__(self, table: ScoresTable) -> None:
        super().__init__(table)
        self._table = table
        self.chosen: ChosenVolumes | None = None
        self._kept: dict[str, VolumeEvaluated] = {}
        table.cellClicked.connect(self._on_click)

    def begin(self, chosen: ChosenVolumes | None) -> None:
        """Start with other volumes, or with None for layers."""
        self.chosen = chosen
        self._kept.clear()
        self._table.clear_rows()

    def add(self, event: VolumeEvaluated) -> None:
        """Add a volume that was predicted; the earliest ones are dropped when they take too much memory."""
        self._table.show_scores(event.scores)
        self._kept[event.scores.name] = event
        while len(self._kept) > 1 and sum(map(_n_bytes, self._kept.values())) > _MOST_KEPT_BYTES:
            del self._kept[next(iter(self._kept))]

    def finish(self, event: EvaluationFinished) -> str:
        """List the volumes again, the worst first, and return the name of the worst."""
        ranked = sorted(event.volumes, key=_quality)
        self._table.clear_rows()
        for scores in ranked:
            self._table.show_scores(scores)
        if len(ranked) > 1:
            self._table.show_mean(event.mean)
        return ranked[0].name

    def kept(self, name: str) -> VolumeEvaluated | None:
        """Return the prediction of a volume, if it was kept."""
        return self._kept.get(name)

    def pair(self, name: str) -> Pair:
        """Return the files of a volume."""
        assert self.chosen is not None
        return next(pair for pair in self.chosen.pairs if pair.name == name)

    def show(self, viewer: Any, event: VolumeEvaluated, tolerance_um: float) -> tuple[VolumeLayers, Comparison]:
        """Show a volume in the viewer; return its layers and its comparison."""
        assert self.chosen is not None
        name, prediction = event.scores.name, event.prediction
        comparison = from_evaluation(event, tolerance_um)
        origin = VolumeOrigin(name, prediction.plan, self.chosen.model, self.chosen.dataset, self.chosen.subset)
        sample = Sample(name, event.image, event.truth.labels, prediction.voxel_size_um)
        image, truth, labels = show_volume(viewer, sample, comparison, origin)
        row = self._table.names.index(name)
        self._table.selectRow(row)
        return VolumeLayers(origin, image, image, truth, labels), comparison

    def _on_click(self, row: int, _column: int) -> None:
        name = self._table.names[row]
        if self.chosen is not None and any(pair.name == name for pair in self.chosen.pairs):
            self.asked_for.emit(name)


def _n_bytes(event: VolumeEvaluated) -> int:
    return event.image.nbytes + Comparison(event.prediction, event.truth).nbytes


def _quality(scores: Scores) -> float:
    if scores.instances is None or scores.instances.values["f1"] is None:  # all objects are at the border
        return scores.dice
    return scores.instances.f1
