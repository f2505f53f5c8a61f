"""What the Inspect dock looks at: layers of the viewer, or volumes of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QRadioButton, QVBoxLayout, QWidget

from napari_unet3d.configs.base import Choice
from napari_unet3d.widgets.inspection.layer_source import LayerSource
from napari_unet3d.widgets.inspection.set_source import SetSource
from napari_unet3d.widgets.kit.memory import recall, remember

if TYPE_CHECKING:
    from napari_unet3d.widgets.kit.base import Dock

_KEY = "inspect-source"


class SourceKind(Choice):
    """What is inspected."""

    LAYERS = "layers"
    DATASET = "dataset"

    @property
    def tooltip(self) -> str:
        """What happens with it."""
        return {
            "layers": "Compare two layers that are in the viewer: a prediction and the truth.",
            "dataset": "Predict volumes of a dataset with a model and compare them with their labels.",
        }[self.value]


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
        self.buttons = {kind: QRadioButton(kind.words) for kind in SourceKind}
        choice, group = QHBoxLayout(), QButtonGroup(self)
        for kind, button in self.buttons.items():
            button.setToolTip(kind.tooltip)
            group.addButton(button)
            choice.addWidget(button)
        choice.addStretch(1)
        group.buttonClicked.connect(self._on_choice)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(choice)
        column.addWidget(self.layers)
        column.addWidget(self.volumes)
        known = recall(_KEY)
        self.choose(SourceKind(known) if known in tuple(SourceKind) else SourceKind.LAYERS)

    @property
    def kind(self) -> SourceKind:
        """Which of them is chosen."""
        return next(kind for kind, button in self.buttons.items() if button.isChecked())

    def choose(self, kind: SourceKind) -> None:
        """Choose the other one."""
        self.buttons[kind].setChecked(True)
        self.layers.setVisible(kind is SourceKind.LAYERS)
        self.volumes.setVisible(kind is SourceKind.DATASET)

    def _on_choice(self, *_: Any) -> None:
        remember(_KEY, self.kind.value)
        self.choose(self.kind)
