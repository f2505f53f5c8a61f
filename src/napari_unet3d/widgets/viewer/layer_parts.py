"""Layers that are predicted block by block, as volumes of which parts are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Layer

from napari_unet3d.data.opening import OpenVolume
from napari_unet3d.data.volume_parts import exceeds_memory, open_arrays
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.viewer.channel_layers import names_of
from napari_unet3d.widgets.viewer.large_layers import channels_of, finest_level
from napari_unet3d.widgets.viewer.places import geometry_of, source_file

_N_SPACE = 3


def is_large(layer: Layer | None) -> bool:
    """Return whether a layer is predicted block by block: it has several resolutions, or does not fit into memory."""
    if not isinstance(layer, Image) or layer.rgb or layer.ndim < _N_SPACE:
        return False
    if layer.multiscale:
        return True
    if isinstance(layer.data, np.ndarray) and not isinstance(layer.data, np.memmap):
        return False
    array = finest_level(layer)
    while array.ndim > _N_SPACE:
        array = array[0]
    return exceeds_memory(open_arrays(layer.name, [array], geometry_of(layer)))


def open_layers(image: Image, channels: Sequence[Image] = (), *, has_channels: bool = False) -> OpenVolume:
    """Return the volume of an image layer, with further channels, of which parts can be read.

    Parameters
    ----------
    image : Image
        A layer of a 3D volume (z, y, x), or of several channels (channel, z, y, x), of one or several resolutions.
    channels : sequence of Image
        Layers of the same volume that are further channels.
    has_channels : bool
        Whether the user has said that the first axis of four are channels.

    Raises
    ------
    UserError
        When a layer is not a single volume, or channels are not of the same volume.
    """
    layers = [image, *channels]
    for layer in channels:
        if finest_level(layer).shape != finest_level(image).shape:
            raise UserError(
                f"The layer '{layer.name}' has shape {finest_level(layer).shape} and '{image.name}' "
                f"{finest_level(image).shape}; channels must be of the same volume."
            )
    parts = [part for layer in layers for part in _parts_of(layer, has_channels=has_channels)]
    name, names = names_of(layers)
    if len(parts) != len(layers):
        names = tuple(f"channel {number + 1}" for number in range(len(parts)))
    return open_arrays(name, parts, geometry_of(image), names if len(parts) > 1 else (), source_file(image))


def _parts_of(layer: Image, *, has_channels: bool) -> list[Any]:
    """Return the channels (z, y, x) of a layer, from which nothing is read yet."""
    import dask.array

    found = channels_of(layer, has_channels=has_channels)
    return [data if not index else dask.array.asarray(data)[index] for data, index in found]  # type: ignore[no-untyped-call]
