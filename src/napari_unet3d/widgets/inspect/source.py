"""What is to be inspected: layers of the viewer, or volumes of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from magicgui.widgets import Container, Widget
from napari.layers import Labels

from napari_unet3d.configs.base import ChoiceEnum
from napari_unet3d.data.pairs import Pair, Subset, list_pairs
from napari_unet3d.errors import UserError
from napari_unet3d.runs.run_files import read_run_files
from napari_unet3d.widgets.components.containers import column
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.forms.choices import Menu
from napari_unet3d.widgets.forms.model_picker import ModelPicker
from napari_unet3d.widgets.forms.path_edit import PathEdit
from napari_unet3d.widgets.forms.radio_choice import RadioChoice
from napari_unet3d.widgets.inspect.layer_source import LayerSource


class SourceKind(ChoiceEnum):
    """What is inspected."""

    LAYERS = "layers"
    DATASET = "dataset"


_TOOLTIPS = {
    SourceKind.LAYERS: "Compare two layers that are in the viewer: a prediction and its ground truth.",
    SourceKind.DATASET: "Predict volumes of a dataset with a model and compare them with their labels.",
}


class InspectSource(Container[Widget]):
    """Choice between layers and the volumes of a dataset.

    Parameters
    ----------
    context : Context
        The viewer.

    Attributes
    ----------
    kind : RadioChoice
        ``"layers"`` or ``"dataset"``.
    layers : LayerSource
        The choice of layers.
    volumes : DatasetSource
        The choice of model and volumes.
    """

    def __init__(self, context: Context) -> None:
        self.kind = RadioChoice(_TOOLTIPS, "inspect-source")
        self.layers, self.volumes = LayerSource(context), DatasetSource()
        super().__init__(widgets=[self.kind, self.layers, self.volumes], labels=False)
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(4)
        self.kind.changed.connect(self._show_chosen)
        self._show_chosen()

    def choose(self, kind: SourceKind) -> None:
        """Choose one of them, without remembering it."""
        self.kind.prefer(kind)
        self._show_chosen()

    def choose_prediction(self, prediction: Labels) -> None:
        """Choose a layer with the layers that belong to it, and its model and dataset should volumes be chosen next."""
        self.choose(SourceKind.LAYERS)
        self.layers.choose(prediction)
        origin = self.layers.origin
        self.volumes.offer(origin.run, origin.dataset, origin.subset)

    def _show_chosen(self) -> None:
        self.layers.visible = self.kind.value is SourceKind.LAYERS
        self.volumes.visible = self.kind.value is SourceKind.DATASET


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


class DatasetSource(Container[Widget]):
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
            tooltip="Test volumes, which the model has never seen, or its training volumes.",
        )
        self.volume = Menu(
            choices=self._volumes,
            label="Volume",
            tooltip="<qt>Predict all volumes and open the worst, or only one, with the settings of the Predict dock."
            "</qt>",
        )
        rows = column(self.model, self.dataset, self.subset, self.volume, labels=True, spacing=4)
        super().__init__(widgets=[rows], labels=False)
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
            self.dataset.value = dataset
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
