"""What the Inspect dock looks at: layers of the viewer, or volumes of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet3d.configs.base import Choice
from napari_unet3d.widgets.inspection.layer_source import LayerSource
from napari_unet3d.widgets.inspection.set_source import SetSource
from napari_unet3d.widgets.kit.choice_row import ChoiceRow

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_unet3d.widgets.kit.base import Dock


class SourceKind(Choice):
    """What is inspected."""

    LAYERS = "layers"
    DATASET = "dataset"


_TOOLTIPS = {
    SourceKind.LAYERS: "Compare two layers that are in the viewer: a prediction and the truth.",
    SourceKind.DATASET: "Predict volumes of a dataset with a model and compare them with their labels.",
}


class InspectSource(QWidget):
    """Choice between layers and the volumes of a dataset.

    Parameters
    ----------
    dock : Dock
        Makes the menus of layers and keeps them fresh.

    Attributes
    ----------
    layers : LayerSource
        The choice of layers.
    volumes : SetSource
        The choice of model and volumes.
    """

    def __init__(self, dock: Dock) -> None:
        super().__init__()
        self.layers, self.volumes = LayerSource(dock), SetSource()
        self._choice = ChoiceRow(_TOOLTIPS, "inspect-source")
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
        """Which of them is chosen."""
        return self._choice.value

    def choose(self, kind: SourceKind) -> None:
        """Choose the other one."""
        self._choice.value = kind
        self._show_chosen()

    def choose_prediction(self, prediction: Labels) -> None:
        """Choose a layer with the layers that belong to it, and its model and dataset should volumes be chosen next."""
        self.choose(SourceKind.LAYERS)
        self.layers.choose(prediction)
        origin = self.layers.origin
        self.volumes.offer(origin.run, origin.dataset, origin.part)

    def _show_chosen(self) -> None:
        self.layers.setVisible(self.kind is SourceKind.LAYERS)
        self.volumes.setVisible(self.kind is SourceKind.DATASET)
