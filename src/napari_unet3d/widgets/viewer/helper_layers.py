"""Layers that the plugin made: helper layers, and those that are not needed any more."""

from __future__ import annotations

from typing import Any

from napari.layers import Image, Layer

from napari_unet3d.widgets.viewer.layers import is_ours

HELPER = "napari-unet3d aid"
"""Key of the metadata of helper layers, which no dock offers as a volume."""

# Endings of the names of Image layers that belong to another one.
_MADE_OF_VOLUMES = (" probability", " uncertainty", " before")


def is_helper(layer: Layer) -> bool:
    """Return whether a layer is only an aid to look at others."""
    return bool(layer.metadata.get(HELPER))


def layers_to_tidy(viewer: Any) -> list[Layer]:
    """List the hidden layers that the plugin made for volumes of which nothing is in view.

    Hidden ground truth and probability of a volume whose difference is in view are not listed.
    """
    group_of = _groups(viewer)
    in_view = {group_of[layer] for layer in viewer.layers if layer.visible}
    return [layer for layer in viewer.layers if is_ours(layer) and not layer.visible and group_of[layer] not in in_view]


def raise_volume(viewer: Any, name: str) -> None:
    """Move the layers of a volume to the top of the list, in their order."""
    group_of = _groups(viewer)
    for layer in [layer for layer in viewer.layers if group_of[layer] == name]:
        viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))


def _groups(viewer: Any) -> dict[Layer, str]:
    """Return the name of the volume that each layer belongs to: the longest name of an image that its own begins with.

    Without such an image it is its own name without the last word.
    """
    volumes = [
        layer.name for layer in viewer.layers if isinstance(layer, Image) and not layer.name.endswith(_MADE_OF_VOLUMES)
    ]
    groups = {}
    for layer in viewer.layers:
        fitting = [name for name in volumes if layer.name == name or layer.name.startswith(f"{name} ")]
        groups[layer] = max(fitting, key=len, default=layer.name.rpartition(" ")[0] or layer.name)
    return groups
