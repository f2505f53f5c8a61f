"""Volumes, positions and objects read from layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Points
from numpy.typing import NDArray

from napari_unet3d.data.geometry import UNKNOWN, VoxelSize
from napari_unet3d.data.sample import Sample
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.viewer.channel_layers import names_of
from napari_unet3d.widgets.viewer.places import (
    CHANNEL_LABELS,
    TIME_LABELS,
    array_of,
    geometry_of,
    labels_onto,
    micrometres,
)

_MOST_CHANNELS = 16


def sample_from_layers(
    image: Image | Labels | None,
    labels: Labels | None = None,
    channels: Sequence[Image] = (),
    *,
    has_channels: bool = False,
) -> Sample:
    """Read a volume from the viewer.

    Parameters
    ----------
    image : Image, Labels or None
        A 3D greyscale layer, or one of several channels (channel, z, y, x), also with leading axes of length 1; None
        (nothing is chosen) is explained to the user.
    labels : Labels, optional
        A layer of the same volume, with its mask, if it has one; labels whose axes are swapped or flipped in the viewer
        are turned onto the image.
    channels : sequence of Image
        Layers of the same volume that are further channels.
    has_channels : bool
        Whether the user has said that the first axis of four are channels.

    Returns
    -------
    Sample
        Named like the image layer, with its geometry, and with a notice if the labels lie elsewhere; of several layers,
        with what their names have in common, and channels named after the rest.

    Raises
    ------
    UserError
        When the layer is not a single 3D greyscale volume, or the labels do not belong to it.
    """
    if image is None:
        raise UserError("No image layer is chosen; open a volume or generate one, then choose its layer.")
    layers = [image, *channels]
    for layer in layers:
        if getattr(layer, "rgb", False):
            raise UserError(f"The layer '{layer.name}' is a colour image; convert it to a single channel first.")
        if layer is not image and np.shape(layer.data) != np.shape(image.data):
            raise UserError(
                f"The layer '{layer.name}' has shape {np.shape(layer.data)} and '{image.name}' {np.shape(image.data)}; "
                "channels must be of the same volume."
            )
    array = np.stack([array_of(layer) for layer in layers]) if channels else _channels_first(image, has_channels)
    placed = None if labels is None else labels_onto(image, labels)
    name, channel_names = names_of(layers)
    return Sample(
        name=name,
        image=array,
        labels=None if placed is None else placed.labels,
        label_mask=None if placed is None else placed.label_mask,
        geometry=geometry_of(image) if array.ndim in (3, 4) else UNKNOWN,  # Sample explains 2D and 5D
        channel_names=channel_names,
        notices=(() if has_channels else _notices(image, array, channels)) + (() if placed is None else placed.notices),
    )


def is_channel_axis(layer: Image | Labels, n_channels: int) -> bool:
    """Return whether the axis before z of a layer is taken as channels: it is named so, or is short and has no name."""
    name = str(layer.axis_labels[-4]).strip().lower()
    return name in CHANNEL_LABELS or (name not in TIME_LABELS and n_channels <= _MOST_CHANNELS)


def channels_notice(layer: Image | Labels, n_channels: int) -> str:
    """Return a message if the axis before z is taken as channels without being named so; else an empty text."""
    if str(layer.axis_labels[-4]).strip().lower() in CHANNEL_LABELS:
        return ""
    return (
        f"The layer '{layer.name}' does not name its axes; the {n_channels} volumes along the first one are taken as "
        "channels. If they are time points, choose these as fourth axis."
    )


def _notices(image: Image | Labels, array: NDArray[Any], channels: Sequence[Image]) -> tuple[str, ...]:
    notice = "" if array.ndim < 4 or channels else channels_notice(image, len(array))
    return (notice,) if notice else ()


def _channels_first(layer: Image | Labels, has_channels: bool) -> NDArray[Any]:
    """Return the data of a layer, of which the first of four axes are channels."""
    array = array_of(layer)
    if has_channels and not isinstance(layer, Labels):
        return array
    if array.ndim == 4 and (isinstance(layer, Labels) or str(layer.axis_labels[-4]).strip().lower() in TIME_LABELS):
        raise UserError(
            f"The layer '{layer.name}' has {len(array)} time points {array.shape}; choose a single one, for example "
            "with 'Split Stack' in the menu of the layer."
        )
    if array.ndim == 4 and not is_channel_axis(layer, len(array)):
        raise UserError(
            f"The layer '{layer.name}' has 4 dimensions {array.shape}, and {len(array)} along the first one are too "
            "many for channels; choose time points as fourth axis if they are these, or a 3D volume (z, y, x)."
        )
    return array


def positions_from_points(points: Points, voxel_size_um: VoxelSize) -> list[tuple[int, int, int]]:
    """Return the voxels (z, y, x) of a volume at the origin that a 3D Points layer points at.

    Parameters
    ----------
    points : Points
        The layer; its scale and translation count, so that an object is placed where the point is seen.
    voxel_size_um : tuple of float
        Voxel size of the volume along z, y, x in µm.

    Raises
    ------
    UserError
        When the layer is not 3D or holds no points.
    """
    if points.ndim != 3 or not len(points.data):
        raise UserError(
            f"The points layer '{points.name}' holds {len(points.data)} points in {points.ndim} dimensions; "
            "add at least one point to a 3D layer."
        )
    voxels_per_unit = np.array([micrometres(unit) or 1.0 for unit in points.units]) / voxel_size_um
    voxels = np.array([points.data_to_world(point) for point in points.data], dtype=float) * voxels_per_unit
    return [(round(z), round(y), round(x)) for z, y, x in voxels.tolist()]


def objects_from_layer(layer: Image | Labels) -> list[NDArray[Any]]:
    """Return the objects of a layer as small volumes, 0 outside of the object.

    Parameters
    ----------
    layer : Image or Labels
        Of a Labels layer every id is an object, 255 inside; of an Image layer the whole image is one.

    Returns
    -------
    list of ndarray, each of shape (z, y, x)
        In the order of the ids.

    Raises
    ------
    UserError
        When the layer is not a single 3D volume, or holds only 0.
    """
    array = sample_from_layers(layer).image
    if not array.any():
        raise UserError(f"The layer '{layer.name}' holds no objects. Choose another one, or none.")
    if not isinstance(layer, Labels):
        return [array]
    from scipy import ndimage  # which takes its time, so not when a dock opens

    ids = np.unique(array)
    compact = np.searchsorted(ids, array) + (ids[0] != 0)  # 0 stays 0, also when every voxel is labelled
    boxes = ndimage.find_objects(compact)
    return [((compact[box] == number) * np.uint8(255)) for number, box in enumerate(boxes, start=1) if box is not None]
