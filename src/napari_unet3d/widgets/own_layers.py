"""The layers that the plugin made: those that only help to look, and those that are of no use any more."""

from __future__ import annotations

from typing import Any

from napari.layers import Layer

from napari_unet3d.widgets.layers import OWNED

AID = "napari-unet3d aid"
"""Key of the metadata of layers that only help to look; no dock offers them as a volume to work on."""


def is_ours(layer: Layer) -> bool:
    """Tell whether the plugin made a layer."""
    return bool(layer.metadata.get(OWNED))


def is_aid(layer: Layer) -> bool:
    """Tell whether a layer only helps to look."""
    return bool(layer.metadata.get(AID))


def layers_to_tidy(viewer: Any) -> list[Layer]:
    """List our hidden layers of volumes of which nothing is in view.

    Layers belong to one volume when the name of one begins with that of the other: 'a prediction' and 'a labels' with
    'a'. So the hidden truth and probability beside a difference in view stay, and with it whatever might belong to it.
    """
    names = [layer.name for layer in viewer.layers]
    in_view = {_volume_of(layer.name, names) for layer in viewer.layers if layer.visible}
    return [
        layer
        for layer in viewer.layers
        if is_ours(layer) and not layer.visible and _volume_of(layer.name, names) not in in_view
    ]


def _volume_of(name: str, names: list[str]) -> str:
    return min((other for other in names if name == other or name.startswith(f"{other} ")), key=len)
