"""Volumes of layers whose data do not fit into memory, such as arrays of dask or zarr, which are read in parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_unet3d.data.chunk_cache import ChunkCache
from napari_unet3d.data.lazy_array import LazyArray, as_array, is_lazy
from napari_unet3d.data.part_sources import ArraySource
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.viewer.annotation_info import annotation_info
from napari_unet3d.widgets.viewer.channel_layers import names_of
from napari_unet3d.widgets.viewer.from_layers import channels_notice, is_channel_axis
from napari_unet3d.widgets.viewer.layer_metadata import mask_layer_of
from napari_unet3d.widgets.viewer.places import TIME_LABELS, geometry_of, is_turned, labels_onto

_N_SPACE = 3


def finest_level(layer: Layer) -> Any:
    """Return the data of a layer, of several resolutions the finest."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def stays_in_parts(layers: Sequence[Layer], n_bytes_free: int) -> bool:
    """Return whether layers are read part by part: those of several resolutions, and what does not fit into memory.

    Parameters
    ----------
    layers : sequence of Layer
        The layers of a volume.
    n_bytes_free : int
        How many bytes volumes may take in memory.
    """
    if any(getattr(layer, "multiscale", False) for layer in layers):
        return True
    elsewhere = [data for data in map(finest_level, layers) if not isinstance(data, np.ndarray)]
    n_bytes = sum(math.prod(np.shape(data)) * np.dtype(data.dtype).itemsize for data in elsewhere)
    return bool(elsewhere) and n_bytes > n_bytes_free


def large_sample(
    image: Image | Labels, labels: Labels, channels: Sequence[Image], cache: ChunkCache, *, has_channels: bool = False
) -> Sample:
    """Return a volume with labels whose arrays are read part by part.

    Parameters
    ----------
    image, labels, channels, has_channels
        As for `sample_from_layers`.
    cache : ChunkCache
        Keeps what was read last.

    Raises
    ------
    UserError
        As `sample_from_layers`, and where the whole volume would have to be read.
    """
    layers = [image, *channels]
    parts = [part for layer in layers for part in channels_of(layer, has_channels=has_channels)]
    if len({array.shape[-_N_SPACE:] for array, _ in parts}) > 1:
        raise UserError(
            f"The layers {', '.join(repr(layer.name) for layer in layers)} have different shapes; channels must be of "
            "the same volume."
        )
    name, channel_names = names_of(layers)
    notices = [f"'{name}' is read in parts from its layers, as they are needed."]
    if len(parts) > 1 and not channels and not has_channels and (notice := channels_notice(image, len(parts))):
        notices.append(notice)
    truth, mask, of_place = _labels(image, labels, cache)
    return Sample(
        name=name,
        image=as_array(LazyArray(ArraySource(parts, image.name, cache), has_channel_axis=len(parts) > 1)),
        labels=truth,
        label_mask=mask,
        geometry=geometry_of(image),
        channel_names=channel_names,
        notices=(*notices, *of_place),
    )


def channels_of(layer: Image | Labels, *, has_channels: bool = False) -> list[tuple[Any, tuple[int, ...]]]:
    """Return each channel of a layer: its data, of which nothing is read, and the index before z, y and x.

    Raises
    ------
    UserError
        When the layer is not a volume of one or several channels.
    """
    data = finest_level(layer)
    if getattr(layer, "rgb", False):
        raise UserError(f"The layer '{layer.name}' is a colour image; convert it to a single channel first.")
    shape = np.shape(data)
    before = (0,) * max(0, len(shape) - _N_SPACE - 1)
    if len(shape) < _N_SPACE or any(length != 1 for length in shape[: len(before)]):
        raise UserError(f"The layer '{layer.name}' has the shape {shape}; choose a 3D volume (z, y, x).")
    if len(shape) == _N_SPACE:
        return [(data, ())]
    n_channels = shape[-_N_SPACE - 1]
    is_time = isinstance(layer, Labels) or str(layer.axis_labels[-_N_SPACE - 1]).strip().lower() in TIME_LABELS
    if n_channels > 1 and not has_channels and (is_time or not is_channel_axis(layer, n_channels)):
        raise UserError(
            f"The layer '{layer.name}' has {n_channels} volumes along its first axis {shape}; choose a 3D volume "
            "(z, y, x), for example with 'Split Stack' in the menu of the layer."
        )
    return [(data, (*before, number)) for number in range(n_channels)]


def _labels(
    image: Image | Labels, labels: Labels, cache: ChunkCache
) -> tuple[NDArray[Any], NDArray[np.bool_] | None, tuple[str, ...]]:
    """Return labels and their mask on the grid of the image, as lazy arrays, and notices of their place."""
    if is_turned(image, labels):
        raise UserError(
            f"The axes of '{labels.name}' are swapped or flipped against those of '{image.name}', which can only be "
            "turned in volumes that fit into memory. Save both in the same direction."
        )
    data = finest_level(labels)
    if isinstance(data, np.ndarray):
        array = data[(0,) * (data.ndim - _N_SPACE)]
    else:
        if annotation_info(labels) is not None or mask_layer_of(labels) is not None:
            raise UserError(
                f"'{labels.name}' is an annotation or has a mask, and does not fit into memory. Save image, labels and "
                "mask to a dataset folder, and train on that."
            )
        parts = channels_of(labels, has_channels=False)
        array = as_array(LazyArray(ArraySource(parts, labels.name, cache)))
    placed = labels_onto(image, labels, array)
    truth, mask = (_lazy(each, labels.name, cache) for each in (placed.labels, placed.label_mask))
    assert truth is not None
    return truth, mask, placed.notices


def _lazy(array: NDArray[Any] | None, name: str, cache: ChunkCache) -> NDArray[Any] | None:
    if array is None or is_lazy(array):
        return array  # type: ignore[return-value]
    return as_array(LazyArray(ArraySource([(array, ())], name, cache)))
