"""Layers that are the channels of one volume: which belong together, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Layer

from napari_unet3d.data.channels import name_channels
from napari_unet3d.evaluation.colours import CHANNEL_COLOURS
from napari_unet3d.session.channel_image import ChannelImage
from napari_unet3d.widgets.viewer.layer_metadata import CHANNEL, is_helper, is_made_of_volume
from napari_unet3d.widgets.viewer.places import TIME_LABELS

_SEPARATORS = " _-.:/[("
COLOURMAPS = tuple(CHANNEL_COLOURS)


def mark_channels(layers: Sequence[Layer], volume: str, names: Sequence[str]) -> None:
    """Store in the metadata of layers which channels of which volume they show."""
    for layer, name in zip(layers, names, strict=True):
        layer.metadata[CHANNEL] = (volume, name)


def volume_of(layer: Layer) -> str:
    """Return the name of the volume that a layer shows, or a channel of it: that of the layer if nothing is stored."""
    volume, _ = layer.metadata.get(CHANNEL, (layer.name, ""))
    return str(volume)


def siblings_of(viewer: Any, layer: Layer | None) -> list[Image]:
    """Return the other channels of the same volume: those that the plugin shows, or that were read from the same file.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer of the layers.
    layer : Layer or None
        One of the channels.
    """
    if layer is None:
        return []
    stored = layer.metadata.get(CHANNEL)
    path = layer.source.path
    return [
        other
        for other in fitting_layers(viewer, layer)
        if (stored is not None and other.metadata.get(CHANNEL, ("",))[0] == stored[0])
        or (stored is None and path is not None and other.source.path == path)
    ]


def fitting_layers(viewer: Any, layer: Layer | None) -> list[Image]:
    """Return the other Image layers that can be channels of the same volume: of the same shape, in the same place."""
    if not isinstance(layer, Image) or layer.rgb or layer.multiscale or not _is_single_channel(layer):
        return []
    return [
        other
        for other in viewer.layers
        if isinstance(other, Image)
        and other is not layer
        and not (other.rgb or other.multiscale or is_helper(other) or is_made_of_volume(other))
        and other.data.shape == layer.data.shape
        and _is_in_same_place(other, layer)
    ]


def _is_single_channel(layer: Layer) -> bool:
    """Return whether a layer is a volume, or a series of volumes in time, of one channel."""
    return layer.ndim == 3 or (layer.ndim == 4 and str(layer.axis_labels[0]).strip().lower() in TIME_LABELS)


def _is_in_same_place(one: Layer, other: Layer) -> bool:
    corners = np.array([np.zeros(one.ndim), *np.eye(one.ndim)])
    first, second = (np.array([layer.data_to_world(corner) for corner in corners]) for layer in (one, other))
    has_same_units = [str(unit) for unit in one.units] == [str(unit) for unit in other.units]
    return has_same_units and bool(np.allclose(first, second, rtol=1e-6, atol=1e-6))


def names_of(layers: Sequence[Layer]) -> tuple[str, tuple[str, ...]]:
    """Return the name of a volume and those of its channels: what the names of its layers have in common, and the rest.

    Of layers without a common beginning, the volume has the name of the first one. A single layer is a volume whose
    channel has no name, unless the plugin knows it.
    """
    stored = [layer.metadata.get(CHANNEL) for layer in layers]
    if all(stored) and len({volume for volume, _ in stored}) == 1:
        return stored[0][0], tuple(name for _, name in stored)
    if len(layers) == 1:
        return layers[0].name, ()
    names = [layer.name for layer in layers]
    is_same = [len({*letters}) == 1 for letters in zip(*names, strict=False)]
    common = names[0][: (*is_same, False).index(False)]
    end = max((common.rfind(separator) for separator in _SEPARATORS), default=-1) + 1
    volume = common[:end].rstrip(_SEPARATORS)
    if not volume or any(not name[end:].strip(_SEPARATORS + "])") for name in names):
        return names[0], name_channels(names, len(names))
    return volume, name_channels([name[end:].strip(_SEPARATORS + "])") for name in names], len(names))


def image_of_layers(layers: Sequence[Image]) -> Any:
    """Return the data of a layer, or of several channels as an image that is put together when it is read."""
    if len(layers) == 1:
        return layers[0].data
    return ChannelImage([layer.data for layer in layers], names_of(layers)[1])


def show_channels(viewer: Any, layer: Layer) -> None:
    """Make a layer visible, and the other channels of its volume that the plugin shows."""
    layer.visible = True
    for other in siblings_of(viewer, layer) if CHANNEL in layer.metadata else ():
        other.visible = True
