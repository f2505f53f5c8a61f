"""Going to an error: slices, camera, and a bright mark that is seen through everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_unet3d.widgets.layers import existing, remove_own, show_piece
from napari_unet3d.widgets.navigation import jump_to, zoom_to

if TYPE_CHECKING:
    from napari_unet3d.evaluation.error_table import ErrorObject
    from napari_unet3d.widgets.inspection import Inspection

_COLOUR = "#40ff40"  # neither red, blue nor yellow, which say what is wrong
_MARGIN = 1


def mark_error(viewer: Any, inspection: Inspection, error: ErrorObject) -> Labels:
    """Show the outline of an error in a Labels layer ``NAME error``, as large as its box, above all others.

    In 3D it is filled, and drawn over what lies before it.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show it.
    inspection : Inspection
        What the error belongs to.
    error : ErrorObject
        The error.
    """
    regions = inspection.errors.regions
    start = [max(0, first - _MARGIN) for first, _ in error.box_zyx]
    stop = [min(side, end + _MARGIN) for (_, end), side in zip(error.box_zyx, regions.shape, strict=True)]
    around = tuple(slice(first, end) for first, end in zip(start, stop, strict=True))
    piece = (regions[around] == error.number).astype(np.uint8)
    layer = show_piece(
        viewer,
        error_layer_name(inspection),
        piece,
        start,
        inspection.place,
        colormap={None: "transparent", 0: "transparent", 1: _COLOUR},
        blending="translucent_no_depth",
        opacity=0.9,
    )
    layer.contour = _contour(viewer)
    layer.visible = True
    return layer


def fit_mark(viewer: Any, inspection: Inspection) -> None:
    """Give the mark the looks that suit slices or 3D, whichever is in view."""
    layer = existing(viewer, error_layer_name(inspection), Labels)
    if layer is not None:
        layer.contour = _contour(viewer)


def unmark_error(viewer: Any, inspection: Inspection) -> None:
    """Remove the mark."""
    remove_own(viewer, error_layer_name(inspection))


def go_to_error(viewer: Any, inspection: Inspection, error: ErrorObject, *, zoom: bool) -> None:
    """Mark an error and move slices and camera to it; the angle of the camera and the selected layer stay.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    inspection : Inspection
        What the error belongs to.
    error : ErrorObject
        The error.
    zoom : bool
        Whether to zoom, so that the error fills a good part of the view with something around it.
    """
    active = viewer.layers.selection.active
    layer = mark_error(viewer, inspection, error)
    if active is not None and active in viewer.layers:
        viewer.layers.selection.active = active  # a new layer takes the selection
    start = layer.metadata["start"]
    jump_to(viewer, layer, tuple(at - first for at, first in zip(error.position_zyx, start, strict=True)))
    if zoom:
        size = [(end - first) * length for (first, end), length in zip(error.box_zyx, layer.scale, strict=True)]
        zoom_to(viewer, size, layer.scale)


def error_layer_name(inspection: Inspection) -> str:
    """Give the name of the layer with the mark."""
    return f"{inspection.name} error"


def _contour(viewer: Any) -> int:
    return 1 if viewer.dims.ndisplay == 2 else 0  # napari cannot draw contours in 3D, and warns of them
