"""Layers of several time points: which axis is time, and each time point as a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_unet3d.configs import FourthAxis
from napari_unet3d.data.formats.registry import is_volume
from napari_unet3d.data.opening import open_volume
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.time_points import time_point_name
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.viewer.from_layers import sample_from_layers
from napari_unet3d.widgets.viewer.layer_metadata import keep_mask, mask_layer_of
from napari_unet3d.widgets.viewer.places import CHANNEL_LABELS, TIME_LABELS, TimePoint, source_file, spatial_3d

_N_SPACE = 3
_FILE_AXES = "napari-unet3d axes of the file"
"""Key of the metadata of layers with whether the file that a layer was read from has time points."""


def time_axis(
    layer: Layer | None, chosen: FourthAxis = FourthAxis.AUTO, labels: Layer | None = None, viewer: Any = None
) -> int | None:
    """Return which axis of a layer is time; None if it has a single time point.

    Parameters
    ----------
    layer : Image, Labels or None
        The layer. Labels have no channels, so that a fourth axis of them is time.
    chosen : FourthAxis
        What the user says; by default what the names of the axes in layer or viewer say, the file that it was read
        from, or its labels.
    labels : Labels, optional
        The labels of an image; if they have as many volumes along the axis, it is time.
    viewer : napari.Viewer, optional
        Whose sliders may have names.
    """
    if layer is None or getattr(layer, "rgb", False) or getattr(layer, "multiscale", False):
        return None
    shape = np.shape(layer.data)
    long = [axis for axis in range(len(shape) - _N_SPACE) if shape[axis] > 1]
    if not long or chosen is FourthAxis.CHANNELS:
        return None
    names = _names_of_axes(layer, viewer)
    named = next((axis for axis in long if names[axis] in TIME_LABELS), None)
    if named is not None:
        return named
    is_other = len(long) == 1 and names[long[0]] in CHANNEL_LABELS and not isinstance(layer, Labels)
    if chosen is FourthAxis.TIME_POINTS or (isinstance(layer, Labels) and len(long) == 1):
        return long[0]
    if is_other or len(long) > 1:
        return None
    has_labels = labels is not None and np.shape(labels.data)[:-_N_SPACE][-1:] == (shape[long[0]],)
    return long[0] if has_labels or _n_times_in_file(layer) == shape[long[0]] else None


def _names_of_axes(layer: Layer, viewer: Any) -> list[str]:
    """Return the names of the axes of a layer, and where it has none those of the sliders of the viewer."""
    names = [str(label).strip().lower() for label in layer.axis_labels]
    if viewer is None or viewer.dims.ndim < layer.ndim:
        return names
    sliders = [str(label).strip().lower() for label in viewer.dims.axis_labels[-layer.ndim :]]
    return [slider if name.lstrip("-").isdecimal() else name for name, slider in zip(names, sliders, strict=True)]


def _n_times_in_file(layer: Layer) -> int | None:
    """Return the number of time points in the file that a layer was read from, if its format names time."""
    if _FILE_AXES not in layer.metadata:
        path, found = source_file(layer), None
        if path is not None and is_volume(path):
            try:
                with open_volume(path) as opened:
                    found = opened.n_times
            except UserError:
                found = None
        layer.metadata[_FILE_AXES] = found
    number: int | None = layer.metadata[_FILE_AXES]
    return number


def layer_at(layer: Any, axis: int, time: int) -> Any:
    """Return a time point of a layer as a layer of its own, in the same place, which is in no viewer.

    Parameters
    ----------
    layer : Image or Labels
        A layer of several time points.
    axis : int
        Which of its axes is time.
    time : int
        The time point.
    """
    data = layer.data[(slice(None),) * axis + (time,)]
    place = spatial_3d(layer)
    n_more = np.ndim(data) - _N_SPACE
    while n_more > 0 and data.shape[0] == 1:
        data, n_more = data[0], n_more - 1
    if n_more:  # channels
        place = {
            "scale": (1.0, *place["scale"]),
            "affine": _with_leading(place["affine"]),
            "units": ("pixel", *place["units"]),
            "axis_labels": ("c", *place["axis_labels"]),
        }
    common = {"name": layer.name, "metadata": dict(layer.metadata), **place}
    if not isinstance(layer, Labels):
        return Image(data, contrast_limits=layer.contrast_limits, **common)
    one = Labels(data, **common)
    mask = mask_layer_of(layer)
    keep_mask(one, None if mask is None else layer_at(mask, axis, time))
    return one


def _with_leading(affine: Any) -> Any:
    larger = np.eye(len(affine) + 1)
    larger[1:, 1:] = affine
    return larger


def layers_at(at: TimePoint, *layers: Any) -> list[Any]:
    """Return layers at a time point, each as a layer of its own; those of a single time point as they are.

    Raises
    ------
    UserError
        If one has other time points.
    """
    n_times, found = int(np.shape(at.layer.data)[at.axis]), []
    for layer in layers:
        axis = time_axis(layer, FourthAxis.TIME_POINTS)
        if axis is None and layer.ndim == _N_SPACE:
            raise UserError(
                f"The layer '{at.layer.name}' has {n_times} time points and '{layer.name}' has a single volume. Choose "
                "a layer with as many."
            )
        if axis is not None and (n_own := int(np.shape(layer.data)[axis])) != n_times:
            raise UserError(
                f"The layer '{at.layer.name}' has {n_times} time points and '{layer.name}' has {n_own}. Choose a layer "
                "with as many."
            )
        found.append(layer if axis is None else layer_at(layer, axis, at.time))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class LayerSeries:
    """The time points of an image layer with its labels, each of which is read when it is needed.

    Attributes
    ----------
    layers : tuple of layer
        The image and its further channels.
    labels : Labels or None
        Labels with as many time points.
    axes : tuple of int
        Which axis of each of the layers is time, that of the labels last.
    n_times : int
        Number of time points.
    """

    layers: tuple[Any, ...]
    labels: Labels | None
    axes: tuple[int, ...]
    n_times: int

    @property
    def image(self) -> Any:
        """The layer of the image."""
        return self.layers[0]

    def at(self, time: int) -> TimePoint:
        """Return where volumes of a time point are placed."""
        return TimePoint(self.image, self.axes[0], time)

    def sample(self, time: int) -> Sample:
        """Return a time point, named ``NAME t=3``; raises as `sample_from_layers`."""
        image, *channels = (layer_at(each, axis, time) for each, axis in zip(self.layers, self.axes, strict=False))
        labels = None if self.labels is None else layer_at(self.labels, self.axes[-1], time)
        sample = sample_from_layers(image, labels, channels)
        return replace(sample, name=time_point_name(sample.name, time))


def series_of_layers(
    image: Any,
    labels: Labels | None = None,
    channels: Sequence[Image] = (),
    chosen: FourthAxis = FourthAxis.AUTO,
    viewer: Any = None,
) -> LayerSeries | None:
    """Return the time points of layers; None if they show a single volume.

    Parameters
    ----------
    image, labels, channels
        As for `sample_from_layers`.
    chosen, viewer
        As for `time_axis`.

    Raises
    ------
    UserError
        If labels or channels have other time points than the image.
    """
    find = partial(time_axis, chosen=chosen, viewer=viewer)
    axis = find(image, labels=labels)
    if axis is None:
        return None
    n_times = int(np.shape(image.data)[axis])
    axes = [axis]
    for layer in (*channels, *([] if labels is None else [labels])):
        own = find(layer, chosen=FourthAxis.TIME_POINTS if chosen is FourthAxis.AUTO else chosen)
        n_own = 1 if own is None else int(np.shape(layer.data)[own])
        if own is None or n_own != n_times:
            have = f"{n_own} time points" if n_own > 1 else "a single volume"
            raise UserError(
                f"The layer '{image.name}' has {n_times} time points and '{layer.name}' has {have}. Choose a layer "
                "with as many, or set fourth axis to channels if they are channels of one volume."
            )
        axes.append(own)
    return LayerSeries((image, *channels), labels, tuple(axes), n_times)
