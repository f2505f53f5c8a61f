"""Going to an error: slices, camera, and a bright mark that is seen through everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_unet3d.widgets.viewer.layers import find_layer, remove_own, show_crop
from napari_unet3d.widgets.viewer.navigation import jump_to, zoom_to
from napari_unet3d.widgets.viewer.view_state import kept_selection

if TYPE_CHECKING:
    from napari_unet3d.evaluation.errors.types import SegmentationError
    from napari_unet3d.widgets.inspect.inspection import Inspection

_COLOUR = "#40ff40"  # neither red, blue nor yellow, which say what is wrong
_MARGIN = 1
_OUTLINE, _INSIDE = 1, 2  # values of the layer


def mark_error(viewer: Any, inspection: Inspection, error: SegmentationError) -> Labels:
    """Show the outline of an error in a Labels layer ``NAME error``, as large as its box, above all others.

    In 3D it is filled, and drawn over what lies before it. (Napari's own contours warn whenever 3D is in view.)

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it.
    inspection : Inspection
        What the error belongs to.
    error : SegmentationError
        The error.
    """
    regions = inspection.errors.regions
    start = [max(0, first - _MARGIN) for first, _ in error.box_zyx]
    stop = [min(side, end + _MARGIN) for (_, end), side in zip(error.box_zyx, regions.shape, strict=True)]
    around = tuple(slice(first, end) for first, end in zip(start, stop, strict=True))
    piece = _outlined(regions[around] == error.number, viewer.dims.displayed[-2:])
    layer = show_crop(
        viewer,
        error_layer_name(inspection),
        piece,
        start,
        inspection.place,
        colormap=_colours(viewer),
        blending="translucent_no_depth",
        opacity=0.9,
    )
    layer.visible = True
    return layer


def fit_mark(viewer: Any, inspection: Inspection) -> None:
    """Return the mark the looks that suit slices or 3D, whichever is in view."""
    layer = find_layer(viewer, error_layer_name(inspection), Labels)
    if layer is not None:
        layer.colormap = _colours(viewer)
        viewer.layers.events.reordered()  # napari forgets that it is above the others when it comes from 3D


def unmark_error(viewer: Any, inspection: Inspection) -> None:
    """Remove the mark."""
    remove_own(viewer, error_layer_name(inspection))


def go_to_error(viewer: Any, inspection: Inspection, error: SegmentationError, *, zoom: bool) -> None:
    """Mark an error and move slices and camera to it; the angle of the camera and the selected layer stay.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    inspection : Inspection
        What the error belongs to.
    error : SegmentationError
        The error.
    zoom : bool
        Whether to zoom, so that the error fills a good part of the view with something around it.
    """
    with kept_selection(viewer):
        layer = mark_error(viewer, inspection, error)
    start = layer.metadata["start"]
    jump_to(viewer, layer, tuple(at - first for at, first in zip(error.position_zyx, start, strict=True)))
    if zoom:
        size = [(end - first) * length for (first, end), length in zip(error.box_zyx, layer.scale, strict=True)]
        zoom_to(viewer, size, layer.scale)


def error_layer_name(inspection: Inspection) -> str:
    """Return the name of the layer with the mark."""
    return f"{inspection.name} error"


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
