"""Origin and companions of layers, kept in their metadata, so that another dock can continue with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import ref

from napari.layers import Layer

from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.viewer.layers import OWNED

_KEY, _COMPANIONS = f"{OWNED} origin", f"{OWNED} companions"  # of the layers' metadata


def mark_origin(layers: Iterable[Layer], origin: VolumeOrigin) -> None:
    """Store the origin of layers in their metadata."""
    for layer in layers:
        layer.metadata[_KEY] = origin


def origin_of(layer: Layer) -> VolumeOrigin | None:
    """Return the origin of a layer, or None when it is not known."""
    origin = layer.metadata.get(_KEY)
    return origin if isinstance(origin, VolumeOrigin) else None


def mark_companions(prediction: Layer, **companions: Any) -> None:
    """Store the layers that belong to a prediction in its metadata, as weak references.

    Parameters
    ----------
    prediction : Layer
        The layer of the predicted labels.
    **companions : Any
        The layers by their roles, such as ``truth``; what is not a layer is left out.
    """
    prediction.metadata[_COMPANIONS] = {
        role: ref(layer) for role, layer in companions.items() if isinstance(layer, Layer)
    }


def companion_of(prediction: Layer, role: str) -> Layer | None:
    """Return the layer with a role for a prediction, or None when it is not known."""
    kept = prediction.metadata.get(_COMPANIONS, {}).get(role)
    return None if kept is None else kept()


def copy_origin(old: Layer, new: Layer) -> None:
    """Copy origin and companions from one layer of a prediction to another."""
    for key in (_KEY, _COMPANIONS):
        if key in old.metadata:
            new.metadata[key] = old.metadata[key]
