"""Where layers come from, kept with the layers themselves, so that another dock can go on from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import ref

from napari.layers import Layer

from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.viewer.layers import OWNED

_KEY, _COMPANIONS = f"{OWNED} origin", f"{OWNED} companions"  # of the layers' metadata


def mark_origin(layers: Iterable[Layer], origin: VolumeOrigin) -> None:
    """Keep where layers come from in their metadata."""
    for layer in layers:
        layer.metadata[_KEY] = origin


def origin_of(layer: Layer) -> VolumeOrigin | None:
    """Return where a layer comes from, or None when nobody kept it."""
    origin = layer.metadata.get(_KEY)
    return origin if isinstance(origin, VolumeOrigin) else None


def mark_companions(prediction: Layer, **companions: Any) -> None:
    """Keep the layers that belong to a prediction in its metadata, which does not keep them alive.

    Parameters
    ----------
    prediction : Layer
        The layer of the predicted labels.
    **companions : Any
        The layers by what they are, such as ``truth``; whatever is no layer is left out.
    """
    prediction.metadata[_COMPANIONS] = {
        role: ref(layer) for role, layer in companions.items() if isinstance(layer, Layer)
    }


def companion_of(prediction: Layer, role: str) -> Layer | None:
    """Return the layer that belongs to a prediction, as `mark_companions` kept it, or None when it is not known."""
    kept = prediction.metadata.get(_COMPANIONS, {}).get(role)
    return None if kept is None else kept()


def copy_origin(old: Layer, new: Layer) -> None:
    """Keep with a layer what another one of the same prediction knows of its origin and companions."""
    for key in (_KEY, _COMPANIONS):
        if key in old.metadata:
            new.metadata[key] = old.metadata[key]
