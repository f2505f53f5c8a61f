"""The outline of an error, in a layer above all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_unet3d.evaluation.errors.types import ErrorSet, SegmentationError
from napari_unet3d.widgets.viewer.layers import Reference, find_layer, show_crop

_COLOUR = "#40ff40"  # neither red, blue nor yellow, which mark errors
_MARGIN = 1
_OUTLINE, _INSIDE = 1, 2  # values of the layer


def outline_error(viewer: Any, name: str, errors: ErrorSet, error: SegmentationError, reference: Reference) -> Labels:
    """Show the outline of an error in a Labels layer ``NAME error``, as large as its box, above all others.

    In 3D it is filled, and drawn over what is in front of it. (Napari's own contours warn whenever 3D is in view.)

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it.
    name : str
        Name of the volume.
    errors : ErrorSet
        The errors of the volume.
    error : SegmentationError
        One of them.
    reference : Layer or tuple of float
        Where the volume is placed.
    """
    start = [max(0, first - _MARGIN) for first, _ in error.box_zyx]
    stop = [min(side, end + _MARGIN) for (_, end), side in zip(error.box_zyx, errors.regions.shape, strict=True)]
    around = tuple(slice(first, end) for first, end in zip(start, stop, strict=True))
    displayed = [axis - viewer.dims.ndim + len(start) for axis in viewer.dims.displayed[-2:]]  # of z, y, x
    crop = _outlined(errors.regions[around] == error.number, [axis for axis in displayed if axis >= 0])
    layer = show_crop(
        viewer,
        error_layer_name(name),
        crop,
        start,
        reference,
        colormap=_colours(viewer),
        blending="translucent_no_depth",
        opacity=0.9,
    )
    layer.visible = True
    return layer


def fit_outline(viewer: Any, name: str) -> None:
    """Draw the outline as it suits slices or 3D, whichever is in view."""
    layer = find_layer(viewer, error_layer_name(name), Labels)
    if layer is not None:
        layer.colormap = _colours(viewer)
        viewer.layers.events.reordered()  # napari forgets that it is above the others when it comes from 3D


def error_layer_name(name: str) -> str:
    """Return the name of the layer with the outline of an error of a volume."""
    return f"{name} error"


def _outlined(region: NDArray[np.bool_], axes: Sequence[int]) -> NDArray[np.uint8]:
    """Return `_OUTLINE` where a neighbour along some axes is not in the region, `_INSIDE` elsewhere in it."""
    inside = region.copy()
    for axis in axes:
        here, there = np.moveaxis(inside, axis, 0), np.moveaxis(region, axis, 0)
        here[1:] &= there[:-1]
        here[:-1] &= there[1:]
        here[[0, -1]] = False
    return np.where(inside, _INSIDE, region * np.uint8(_OUTLINE)).astype(np.uint8)


def _colours(viewer: Any) -> DirectLabelColormap:
    inside = "transparent" if viewer.dims.ndisplay == 2 else _COLOUR
    return DirectLabelColormap(color_dict={None: "transparent", 0: "transparent", _OUTLINE: _COLOUR, _INSIDE: inside})
