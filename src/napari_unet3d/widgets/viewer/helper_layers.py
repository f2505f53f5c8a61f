"""The layers that the plugin made: those that only help to look, and those that are of no use any more."""

from __future__ import annotations

from typing import Any

from napari.layers import Image, Layer

from napari_unet3d.widgets.viewer.layers import is_ours

HELPER = "napari-unet3d aid"
"""Key of the metadata of layers that only help to look; no dock offers them as a volume to work on."""

# How Image layers end that show something of another one.
_MADE_OF_VOLUMES = (" probability", " uncertainty", " before")


def is_helper(layer: Layer) -> bool:
    """Return whether a layer only helps to look."""
    return bool(layer.metadata.get(HELPER))


def layers_to_tidy(viewer: Any) -> list[Layer]:
    """List our hidden layers of volumes of which nothing is in view.

    The hidden truth and probability beside a difference in view belong to the same volume, and stay.
    """
    group_of = _groups(viewer)
    in_view = {group_of[layer] for layer in viewer.layers if layer.visible}
    return [layer for layer in viewer.layers if is_ours(layer) and not layer.visible and group_of[layer] not in in_view]


def raise_volume(viewer: Any, name: str) -> None:
    """Bring the layers of a volume to the top of the list, in the order that they have among themselves."""
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
