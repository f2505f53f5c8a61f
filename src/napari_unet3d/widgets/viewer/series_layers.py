"""Results of series as layers of several time points, which are filled one time point after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.label_values import to_label_dtype
from napari_unet3d.data.sample import Sample
from napari_unet3d.widgets.viewer.channel_layers import COLOURMAPS, mark_channels
from napari_unet3d.widgets.viewer.layer_metadata import OWNED, is_ours
from napari_unet3d.widgets.viewer.layers import DIFFERENCE_COLOURS, spatial_kwargs
from napari_unet3d.widgets.viewer.places import TimePoint, time_of

_N_SPACE = 3
_SPATIAL = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
_HIDDEN = "napari-unet3d hidden"
"""Key of the metadata of layers that are hidden since another time point is in view."""


def find_series(viewer: Any, name: str, kind: type[Layer]) -> Any:
    """Return the layer of several time points with a name and type that the plugin made, or None."""
    for layer in viewer.layers:
        if layer.name == name and isinstance(layer, kind) and is_ours(layer) and layer.ndim == _N_SPACE + 1:
            return layer
    return None


def show_time_point(
    viewer: Any, name: str, kind: type[Layer], data: NDArray[Any], like: TimePoint, **options: Any
) -> Any:
    """Show a volume as a time point of a layer, whose other time points stay; a new layer is 0 at these.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it.
    name : str
        Name of the layer; one of this name that the plugin made is updated in place.
    kind : type
        Image or Labels.
    data : ndarray, shape (z, y, x)
        The values.
    like : TimePoint
        Which time point, and the layer in whose place it is shown.
    **options
        Appearance of a new layer, such as ``colormap``; an existing layer keeps what the user chose.
    """
    data = data.astype(np.uint8) if data.dtype == bool else data
    shape = (np.shape(like.layer.data)[like.axis], *data.shape)
    layer = find_series(viewer, name, kind)
    if layer is not None and np.shape(layer.data) != shape:
        viewer.layers.remove(layer)
        layer = None
    if layer is None:
        values = np.zeros(shape, data.dtype)
        values[like.time] = data
        options = {"metadata": {OWNED: True}, **_place_of_series(like), **options}
        add = viewer.add_labels if issubclass(kind, Labels) else viewer.add_image
        return add(values, name=name, **options)
    wider = np.promote_types(layer.data.dtype, data.dtype)
    if wider != layer.data.dtype:
        layer.data = layer.data.astype(wider)
    layer.data[like.time] = data
    layer.refresh()
    return layer


def show_series(
    viewer: Any, name: str, samples: Sequence[Sample], time_step_s: float | None = None
) -> tuple[Image, Labels | None]:
    """Show the time points of a series as Image layers, one for each channel, and a Labels layer ``NAME labels``.

    Layers of this name that the plugin made are replaced.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it.
    name : str
        Name of the image layer.
    samples : sequence of Sample
        The time points, of the same shape.
    time_step_s : float, optional
        Seconds from one time point to the next.

    Returns
    -------
    Image, Labels or None
        The layers of the first channel and of the labels, if there are any.
    """
    first, place = samples[0], place_in_time(samples[0].geometry, time_step_s)
    channels = [f"{name} {channel}" for channel in first.channel_names] if first.n_channels > 1 else [name]
    images = []
    for number, each in enumerate(channels):
        values = np.stack([sample.channels[number] for sample in samples])
        looks = {"blending": "additive", "colormap": COLOURMAPS[number % len(COLOURMAPS)]} if len(channels) > 1 else {}
        images.append(_replace(viewer, each, Image, values, {**looks, **place}))
    if len(images) > 1:
        mark_channels(images, name, first.channel_names)
    if first.labels is None:
        return images[0], None
    values = np.stack([to_label_dtype(sample.name, np.asarray(sample.labels)) for sample in samples])
    return images[0], _replace(viewer, f"{name} labels", Labels, values, place)


def _replace(viewer: Any, name: str, kind: type[Layer], values: NDArray[Any], options: dict[str, Any]) -> Any:
    if (old := find_series(viewer, name, kind)) is not None:
        viewer.layers.remove(old)
    add = viewer.add_labels if issubclass(kind, Labels) else viewer.add_image
    return add(values, name=name, metadata={OWNED: True}, **options)


def place_in_time(geometry: Geometry, time_step_s: float | None = None) -> dict[str, Any]:
    """Return the spatial properties of a layer (t, z, y, x) where a volume lies; its step in time is 1 if unknown."""
    place, affine = spatial_kwargs(geometry), np.eye(5)
    affine[1:, 1:] = place["affine"]
    scale, units, labels = (place[key] for key in ("scale", "units", "axis_labels"))
    unit = "pixel" if time_step_s is None else "s"
    return {"scale": (time_step_s or 1.0, *scale), "units": (unit, *units), "axis_labels": ("t", *labels)} | {
        "affine": affine
    }


def show_difference_at(viewer: Any, name: str, difference: NDArray[np.uint8], like: TimePoint) -> Labels:
    """Show where the prediction of a time point differs from the ground truth; see `show_difference`."""
    small = difference.astype(np.uint8, copy=False)
    options = {"colormap": DIFFERENCE_COLOURS, "opacity": 0.9}
    layer: Labels = show_time_point(viewer, name, Labels, small, like, **options)
    return layer


def copy_series(viewer: Any, name: str, layer: Labels) -> Labels:
    """Add a hidden copy of a layer of several time points with another name."""
    place = {key: getattr(layer, key) for key in _SPATIAL}
    looks = {"opacity": layer.opacity, "visible": False, "metadata": {OWNED: True}}
    kept: Labels = viewer.add_labels(np.array(layer.data), name=name, **looks, **place)
    return kept


def _place_of_series(like: TimePoint) -> dict[str, Any]:
    """Return the spatial properties of a layer (t, z, y, x) in the place of another one, which may have channels."""
    layer, n_axes = like.layer, _N_SPACE + 1
    if layer.ndim == n_axes:
        return {key: getattr(layer, key) for key in _SPATIAL}
    kept = [like.axis, *range(layer.ndim - _N_SPACE, layer.ndim)]
    corner = np.array(layer.data_to_world(np.zeros(layer.ndim)))
    steps = np.array([layer.data_to_world(unit) for unit in np.eye(layer.ndim)[kept]]) - corner
    affine, scale = np.eye(n_axes + 1), np.linalg.norm(steps[:, kept], axis=1)
    affine[:n_axes, :n_axes], affine[:n_axes, n_axes] = (steps[:, kept] / scale[:, None]).T, corner[kept]
    named = {key: tuple(getattr(layer, key)[axis] for axis in kept) for key in ("units", "axis_labels")}
    return {"scale": scale, "affine": affine, **named}


def follow_time(viewer: Any) -> None:
    """Hide the volumes that show another time point than the slider, and show them again where they belong."""
    for layer in viewer.layers:
        at = time_of(layer)
        if at is None or at.layer not in viewer.layers:
            continue
        is_here = at.is_shown(viewer)
        if not is_here and layer.visible:
            layer.visible, layer.metadata[_HIDDEN] = False, True
        elif is_here and layer.metadata.pop(_HIDDEN, False):
            layer.visible = True
