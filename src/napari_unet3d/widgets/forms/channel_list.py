"""A list of the layers that are further channels of a chosen image."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import ComboBox, Select
from napari.layers import Image, Layer

from napari_unet3d.widgets.viewer.channel_layers import fitting_layers, siblings_of
from napari_unet3d.widgets.viewer.label_images import holds_labels

_ROW_HEIGHT, _MOST_ROWS = 22, 4


class ChannelList(Select):
    """The Image layers of the same shape in the same place, of which some can be chosen as further channels.

    Those that show the same volume or were read from the same file are chosen from the start. The list is hidden while
    no layer fits. Images that hold labels are no channels.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer of the layers.
    image_layer : ComboBox
        The menu of the image.
    """

    def __init__(self, viewer: Any, image_layer: ComboBox) -> None:
        self._viewer, self._image_layer = viewer, image_layer
        self._fitting: list[Layer] = []
        super().__init__(
            choices=self._layers,
            label="More channels",
            tooltip="<qt>Layers of the same volume to use as further channels, after the image above: one for each "
            "stain or contrast. Hold Ctrl to choose or leave out several.</qt>",
        )
        image_layer.changed.connect(self._choose_siblings)
        self.reset_choices()
        self._choose_siblings()

    @property
    def layers(self) -> list[Image]:
        """The image and its further channels, in the order of the viewer; empty without an image."""
        image = self._image_layer.value
        if image is None:
            return []
        present = [layer for layer in self.value if layer in self._viewer.layers and layer is not image]
        return [image, *sorted(present, key=self._viewer.layers.index)]

    def choose(self, layers: list[Image]) -> None:
        """Choose further channels, as far as they fit."""
        self.reset_choices()
        self.value = [layer for layer in layers if layer in self._fitting]

    def reset_choices(self, *_: Any) -> None:
        """Update the list; layers that are new and belong to the same volume are chosen."""
        before = list(self._fitting)
        super().reset_choices()
        fitting = list(self._fitting)
        if new := [layer for layer in siblings_of(self._viewer, self._image_layer.value) if layer not in before]:
            self.value = [*self.value, *(layer for layer in new if layer in fitting and layer not in self.value)]
        self.visible = bool(fitting)
        self.native.setFixedHeight(6 + _ROW_HEIGHT * min(_MOST_ROWS, max(1, len(fitting))))

    def _layers(self, _list: object) -> list[Layer]:
        image = self._image_layer.value
        siblings = siblings_of(self._viewer, image)
        fitting = fitting_layers(self._viewer, image)
        self._fitting = [layer for layer in fitting if layer in siblings or not holds_labels(layer)]
        return self._fitting

    def _choose_siblings(self, *_: Any) -> None:
        self._fitting = []
        self.reset_choices()
        self.value = [layer for layer in siblings_of(self._viewer, self._image_layer.value) if layer in self._fitting]
