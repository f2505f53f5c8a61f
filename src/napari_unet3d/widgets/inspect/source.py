"""What is to be inspected: layers of the viewer, or volumes of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari.layers import Labels
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.pairs import Pair, Subset, list_pairs
from napari_unet3d.errors import UserError
from napari_unet3d.runs.run_files import read_run_files
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.run_bar import compact_form_layout
from napari_unet3d.widgets.forms.model_picker import ModelPicker
from napari_unet3d.widgets.forms.path_edit import PathEdit
from napari_unet3d.widgets.forms.radio_row import RadioRow
from napari_unet3d.widgets.inspect.layer_source import LayerSource


class SourceKind(ChoiceEnum):
    """What is inspected."""

    LAYERS = "layers"
    DATASET = "dataset"


_TOOLTIPS = {
    SourceKind.LAYERS: "Compare two layers that are in the viewer: a prediction and its ground truth.",
    SourceKind.DATASET: "Predict volumes of a dataset with a model and compare them with their labels.",
}


class InspectSource(QWidget):
    """Choice between layers and the volumes of a dataset.

    Parameters
    ----------
    context : Context
        The viewer.

    Attributes
    ----------
    layers : LayerSource
        The choice of layers.
    volumes : DatasetSource
        The choice of model and volumes.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.layers, self.volumes = LayerSource(context), DatasetSource()
        self._choice = RadioRow(_TOOLTIPS, "inspect-source")
        self.buttons = self._choice.buttons
        self._choice.chosen.connect(self._show_chosen)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self._choice)
        column.addWidget(self.layers)
        column.addWidget(self.volumes)
        self._show_chosen()

    @property
    def kind(self) -> SourceKind:
        """Which is chosen."""
        return self._choice.value

    def choose(self, kind: SourceKind) -> None:
        """Choose one of them."""
        self._choice.value = kind
        self._show_chosen()

    def choose_prediction(self, prediction: Labels) -> None:
        """Choose a layer with the layers that belong to it, and its model and dataset should volumes be chosen next."""
        self.choose(SourceKind.LAYERS)
        self.layers.choose(prediction)
        origin = self.layers.origin
        self.volumes.offer(origin.run, origin.dataset, origin.subset)

    def _show_chosen(self) -> None:
        self.layers.setVisible(self.kind is SourceKind.LAYERS)
        self.volumes.setVisible(self.kind is SourceKind.DATASET)


_SUBSETS = {Subset.TEST: "Test set", Subset.TRAIN: "Training set"}


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


class DatasetSource(QWidget):
    """The choice of a model, a dataset, one of its subsets, and all of its volumes or one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.model = ModelPicker()
        self.dataset = PathEdit("d", "dataset", "The folder of a dataset.")
        self.subset, self.volume = QComboBox(), QComboBox()
        self.subset.setToolTip("Test volumes, which the model has never seen, or its training volumes.")
        for subset, label in _SUBSETS.items():
            self.subset.addItem(label, subset)
        self.volume.setToolTip(
            "<qt>Predict all volumes and open the worst, or only one, with the settings of the Predict dock.</qt>"
        )
        rows = compact_form_layout()
        for label, widget in (
            ("Model", self.model),
            ("Dataset", self.dataset.native),
            ("Subset", self.subset),
            ("Volume", self.volume),
        ):
            rows.addRow(label, widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(rows)
        self.dataset.changed.connect(self.list_volumes)
        self.subset.currentIndexChanged.connect(self.list_volumes)
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
        self.volume.setCurrentIndex(0)  # all of them

    def offer(self, run: Path | None, dataset: Path | None, subset: Subset | None) -> None:
        """Choose what is known of a model and its volumes; what is None stays as it is."""
        if run is not None:
            self.model.choose(run)
        if dataset is not None:
            self.dataset.value = dataset
        if subset is not None:
            self.subset.setCurrentIndex(self.subset.findData(subset))

    def list_volumes(self, *_: object) -> None:
        """Update the menu of volumes."""
        known = self.volume.currentText()
        self.volume.clear()
        self.volume.addItem("All", None)
        for pair in _pairs_in(self.dataset.value, self.subset.currentData()):
            self.volume.addItem(pair.name, pair)
        self.volume.setCurrentIndex(max(0, self.volume.findText(known)))

    def chosen(self) -> ChosenVolumes:
        """Return what is chosen.

        Raises
        ------
        UserError
            When there is no model or no dataset, or this subset of it is empty.
        """
        model, dataset = self.model.require(), self.dataset.require("the folder of a dataset")
        subset: Subset = self.subset.currentData()
        pair: Pair | None = self.volume.currentData()
        pairs = list_pairs(dataset, subset) if pair is None else [pair]
        if not pairs:
            raise UserError(
                f"The {_SUBSETS[subset].lower()} of {dataset} holds no volumes; choose another subset or dataset."
            )
        return ChosenVolumes(model, dataset, subset, tuple(pairs))


def _pairs_in(folder: Path | None, subset: Subset) -> list[Pair]:
    if folder is None:
        return []
    try:
        return list_pairs(folder, subset)
    except UserError:  # explained when it is used
        return []
