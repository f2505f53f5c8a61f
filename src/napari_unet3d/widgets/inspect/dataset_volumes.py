"""Volumes of a dataset: which are to be predicted and inspected, what is kept of each, and their scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_unet3d.data.formats.names import natural_order
from napari_unet3d.data.pairs import Pair, Subset, list_pairs
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.series import list_time_points
from napari_unet3d.data.time_points import series_of, split_name
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.metrics.types import Scores
from napari_unet3d.inference.events import EvaluationFinished, LargeVolumeEvaluated, VolumeEvaluated
from napari_unet3d.runs.run_files import read_run_files
from napari_unet3d.session.comparison import Comparison, encode, from_evaluation
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.components.containers import Panel, column
from napari_unet3d.widgets.components.scores_table import ScoresTable
from napari_unet3d.widgets.forms.choices import Menu
from napari_unet3d.widgets.forms.paths import ModelPicker, PathEdit
from napari_unet3d.widgets.inspect.volume_layers import VolumeLayers
from napari_unet3d.widgets.predict.show import show_volume
from napari_unet3d.widgets.viewer.channel_layers import siblings_of

_MOST_KEPT_BYTES = 2**30
_SUBSETS = {Subset.TEST: "Test set", Subset.TRAIN: "Training set"}


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
    asked_for_time : Signal(int)
        The time point of a series of layers that was clicked.
    """

    asked_for = Signal(str)
    asked_for_time = Signal(int)

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

    def add_large(self, event: LargeVolumeEvaluated) -> None:
        """Add a volume that does not fit into memory: only its scores are kept."""
        self._table.show_scores(event.scores)

    def finish(self, event: EvaluationFinished) -> str:
        """List the volumes again, the worst first, and return the name of the worst."""
        ranked = sorted(event.volumes, key=_quality)
        self._table.clear_rows()
        for scores in ranked:
            self._table.show_scores(scores)
        if len(ranked) > 1:
            self._table.show_mean(event.mean)
        return ranked[0].name

    def show_scores(self, scores: Scores, *, is_last: bool) -> None:
        """Show the scores of a time point of layers, unless it was inspected, which has measured more."""
        if scores.name not in self._table.names:
            self._table.show_scores(scores)
        if is_last:
            listed = sorted(self._table.volumes, key=lambda each: natural_order(each.name))
            self._table.clear_rows()
            for each in listed:
                self._table.show_scores(each)

    def names_of_series(self, series: str) -> list[str]:
        """Return the names of the listed time points of a series."""
        return [name for name in self._table.names if split_name(name) != (name, None) and series_of(name) == series]

    def kept(self, name: str) -> VolumeEvaluated | None:
        """Return the prediction of a volume, if it was kept."""
        return self._kept.get(name)

    def pair(self, name: str) -> Pair:
        """Return the files of a volume."""
        assert self.chosen is not None
        return next(pair for pair in self.chosen.pairs if pair.name == name)

    def show(self, viewer: Any, event: VolumeEvaluated, tolerance: float | None) -> tuple[VolumeLayers, Comparison]:
        """Show a volume in the viewer; return its layers and its comparison."""
        assert self.chosen is not None
        name, prediction = event.scores.name, event.prediction
        comparison = from_evaluation(event, tolerance)
        origin = VolumeOrigin(name, prediction.plan, self.chosen.model, self.chosen.dataset, self.chosen.subset)
        labels = encode(event.truth, prediction)
        arrays, mask = (event.image, labels), event.truth.label_mask
        geometry, names = prediction.geometry, event.channel_names
        sample = Sample(name, *arrays, label_mask=mask, geometry=geometry, channel_names=names)
        image, truth, predicted = show_volume(viewer, sample, comparison, origin)
        row = self._table.names.index(name)
        self._table.selectRow(row)
        further = tuple(siblings_of(viewer, image))
        return VolumeLayers(origin, image, image, truth, predicted, further), comparison

    def _on_click(self, row: int, _column: int) -> None:
        name = self._table.names[row]
        if self.chosen is not None and any(pair.name == name for pair in self.chosen.pairs):
            self.asked_for.emit(name)
        elif self.chosen is None and (time := split_name(name)[1]) is not None:
            self.asked_for_time.emit(time)


def _n_bytes(event: VolumeEvaluated) -> int:
    return event.image.nbytes + Comparison(event.prediction, event.truth).nbytes


def _quality(scores: Scores) -> float:
    if scores.instances is None or scores.instances.values["f1"] is None:  # all objects are at the border
        return scores.dice
    return scores.instances.f1


@dataclass(frozen=True, slots=True)
class ChosenVolumes:
    """Volumes of a dataset and the model to predict them with.

    Attributes
    ----------
    model, dataset : Path
        The model or run folder, and the dataset folder.
    subset : Subset
        Their subset of the dataset.
    pairs : tuple of Pair
        The volumes.
    """

    model: Path
    dataset: Path
    subset: Subset
    pairs: tuple[Pair, ...]


class DatasetSource(Panel):
    """The choice of a model, a dataset, one of its subsets, and all of its volumes or one of them.

    Attributes
    ----------
    model : ModelPicker
        The run folder or model file.
    dataset : PathEdit
        The dataset folder.
    subset : Menu
        ``"test"`` or ``"train"``.
    volume : Menu
        One of its volumes, or None for all.
    """

    def __init__(self) -> None:
        self._pairs: list[Pair] = []
        self.model = ModelPicker(label="Model")
        self.dataset = PathEdit("d", "dataset", "The folder of a dataset.", label="Dataset")
        self.subset = Menu(
            choices=[(label, subset) for subset, label in _SUBSETS.items()],
            label="Subset",
            tooltip="The test set or the training set; the table says which volumes the model has seen.",
        )
        self.volume = Menu(
            choices=self._volumes,
            label="Volume",
            tooltip="<qt>Predict all volumes and open the worst, or only one, with the settings of the Predict dock."
            "</qt>",
        )
        rows = column(self.model, self.dataset, self.subset, self.volume, labels=True, spacing=4)
        super().__init__(rows)
        self.margins = (0, 2, 0, 2)
        self.dataset.changed.connect(self.list_volumes)
        self.subset.changed.connect(self.list_volumes)
        self.list_volumes()

    def use_run(self, run: Path) -> None:
        """Choose the model of a run folder and the test volumes of its dataset, or else its training volumes.

        Raises
        ------
        UserError
            When the dataset of the run cannot be read from its folder.
        """
        dataset = read_run_files(run).dataset
        if dataset is None:
            raise UserError(f"{run} was not trained on a dataset folder. Choose the volumes to inspect.")
        has_test = bool(_pairs_in(dataset, Subset.TEST))
        self.offer(run, dataset, Subset.TEST if has_test else Subset.TRAIN)
        self.volume.value = None  # all of them

    def offer(self, run: Path | None, dataset: Path | None, subset: Subset | None) -> None:
        """Choose what is known of a model and its volumes; what is None stays as it is."""
        if run is not None:
            self.model.choose(run)
        if dataset is not None:
            self.dataset.offer(dataset)
        if subset is not None:
            self.subset.value = subset

    def list_volumes(self) -> None:
        """Update the menu of volumes; the chosen one stays, if there is one of that name."""
        name = self.volume.current_choice
        self._pairs = _pairs_in(self.dataset.value, Subset(self.subset.value))
        self.volume.native.clear()  # also for their order
        self.volume.reset_choices()
        self.volume.value = next((pair for pair in self._pairs if pair.name == name), None)

    def _volumes(self, _menu: object) -> list[tuple[str, Pair | None]]:
        return [("All", None), *((pair.name, pair) for pair in self._pairs)]

    def chosen(self) -> ChosenVolumes:
        """Return what is chosen.

        Raises
        ------
        UserError
            When there is no model or no dataset, or this subset of it is empty.
        """
        model, dataset = self.model.require(), self.dataset.require("the folder of a dataset")
        subset, pair = Subset(self.subset.value), self.volume.value
        pairs = list_time_points(list_pairs(dataset, subset)) if pair is None else [pair]
        if not pairs:
            raise UserError(
                f"The {_SUBSETS[subset].lower()} of {dataset} holds no volumes; choose another subset or dataset."
            )
        return ChosenVolumes(model, dataset, subset, tuple(pairs))


def _pairs_in(folder: Path | None, subset: Subset) -> list[Pair]:
    if folder is None:
        return []
    try:
        return list_time_points(list_pairs(folder, subset))
    except UserError:  # explained when it is used
        return []
