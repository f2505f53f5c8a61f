"""Moving slices and camera to a place, and marks on places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Layer, Points

from napari_unet3d.data.sample import Shape3D
from napari_unet3d.widgets.viewer.compat import canvas_size, grid_of
from napari_unet3d.widgets.viewer.layers import Reference, show_points

Position = tuple[int, int, int]

_MARK_SIZE = 0.08  # of the volume's longest side
_PART_OF_VIEW = 0.4  # that an error fills when the view goes to it
_LEAST_IN_VIEW = {1: 24, 2: 24, 3: 60}  # voxels along the shorter side; in 3D, with what is in front of it
_HERE, _LATER = "#ffd400", "#00c8ff"


def jump_to(viewer: Any, layer: Layer, position_zyx: Position) -> None:
    """Move slices and camera to a voxel of a 3D layer, in 2D and in 3D; the zoom stays.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    layer : Layer
        The layer whose voxel it is; its scale and translation count.
    position_zyx : tuple of int
        The voxel.
    """
    world = np.asarray(layer.data_to_world(position_zyx), float)
    viewer.dims.point = (*viewer.dims.point[: viewer.dims.ndim - world.size], *world)
    displayed = [viewer.dims.point[axis] for axis in viewer.dims.displayed]
    camera_of(viewer).center = (*(0.0,) * (3 - len(displayed)), *displayed)


def zoom_to(viewer: Any, size: Sequence[float], voxel_size: Sequence[float]) -> None:
    """Zoom so that a region fills a good part of the view, with some of its surroundings.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    size : sequence of float
        Its size along z, y, x in world units.
    voxel_size : sequence of float
        Size of a voxel along z, y, x in world units; around a small region, a minimum number of voxels is shown.
    """
    axes = viewer.dims.displayed
    shown = [axis - viewer.dims.ndim + len(size) for axis in axes if axis >= viewer.dims.ndim - len(size)]
    longest = max(size[axis] for axis in shown)
    least = _LEAST_IN_VIEW[len(shown)] * max(voxel_size[axis] for axis in shown)
    camera_of(viewer).zoom = min(_view_size(viewer)) / max(longest / _PART_OF_VIEW, least)


def view_center(viewer: Any, layer: Layer) -> tuple[float, float, float]:
    """Return the voxel (z, y, x) of a 3D layer in the middle of the view; it may be outside of the layer."""
    point, displayed = list(viewer.dims.point), viewer.dims.displayed
    for axis, at in zip(displayed, camera_of(viewer).center[-len(displayed) :], strict=True):
        point[axis] = at
    z, y, x = layer.world_to_data(point[-3:])
    return float(z), float(y), float(x)


def camera_of(viewer: Any) -> Any:
    """Return the camera; `viewer.camera` is deprecated from napari 0.9 on."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def _view_size(viewer: Any) -> tuple[float, float]:
    """Return height and width in pixels of the canvas or, where it shows a grid, of one of its cells."""
    height, width = canvas_size(viewer)
    grid = grid_of(viewer)
    rows, columns = grid.shape if grid.enabled else (1, 1)
    return height / max(1, rows), width / max(1, columns)


def mark_points(
    viewer: Any, name: str, positions: Sequence[Position], here: int, like: Reference, shape_zyx: Shape3D
) -> Points:
    """Mark voxels with rings, the current one in yellow; a layer of this name is updated in place.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to show them.
    name : str
        Name of the Points layer.
    positions : sequence of tuple of int
        The voxels (z, y, x).
    here : int
        Index of the current one.
    like : Layer or tuple of float
        The layer whose voxels they are, or its voxel size (z, y, x) in µm.
    shape_zyx : tuple of int
        Shape of the volume; a ring is a small part of its longest side.
    """
    looks = {"face_color": "transparent", "symbol": "ring", "blending": "translucent_no_depth"}  # also inside objects
    layer = show_points(viewer, name, np.array(positions, float), like, **looks)
    longest = float(np.abs(layer.scale * shape_zyx).max())
    layer.size = _MARK_SIZE * longest / abs(float(layer.scale[-1]))  # napari measures rings in voxels along x
    layer.border_color = [_HERE if number == here else _LATER for number in range(len(positions))]
    return layer
