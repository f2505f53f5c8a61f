"""Places in a volume: what is under the pointer, moving slices and camera there, and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from napari.layers import Layer, Points
from numpy.typing import NDArray

from napari_unet3d.data.sample import Shape3D
from napari_unet3d.widgets.viewer.layers import Reference, show_points
from napari_unet3d.widgets.viewer.places import time_of
from napari_unet3d.widgets.viewer.view_state import camera_of, canvas_size, grid_of, units_factor

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
    if (at := time_of(layer)) is not None:
        at.go_to(viewer)
    leading = (0,) * (layer.ndim - len(position_zyx))
    world = np.asarray(layer.data_to_world(leading + position_zyx), float) * units_factor(viewer, layer)
    viewer.dims.point = (*viewer.dims.point[: viewer.dims.ndim - world.size], *world)
    displayed = [viewer.dims.point[axis] for axis in viewer.dims.displayed]
    camera_of(viewer).center = (*(0.0,) * (3 - len(displayed)), *displayed)


def zoom_to(
    viewer: Any, size: Sequence[float], voxel_size: Sequence[float], part_of_view: float = _PART_OF_VIEW
) -> None:
    """Zoom so that a region fills a good part of the view, with some of its surroundings.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    size : sequence of float
        Its size along z, y, x in world units.
    voxel_size : sequence of float
        Size of a voxel along z, y, x in world units; around a small region, a minimum number of voxels is shown.
    part_of_view : float
        Part of the shorter side of the view that the region fills.
    """
    axes = viewer.dims.displayed
    shown = [axis - viewer.dims.ndim + len(size) for axis in axes if axis >= viewer.dims.ndim - len(size)]
    longest = max(size[axis] for axis in shown)
    least = _LEAST_IN_VIEW[len(shown)] * max(voxel_size[axis] for axis in shown)
    camera_of(viewer).zoom = min(_view_size(viewer)) / max(longest / part_of_view, least)


def view_center(viewer: Any, layer: Layer) -> tuple[float, float, float]:
    """Return the voxel (z, y, x) of a 3D layer in the middle of the view; it may be outside of the layer."""
    point, displayed = list(viewer.dims.point), viewer.dims.displayed
    for axis, at in zip(displayed, camera_of(viewer).center[-len(displayed) :], strict=True):
        point[axis] = at
    z, y, x = layer.world_to_data(point[-layer.ndim :])[-3:]
    return float(z), float(y), float(x)


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


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where the mouse points at, in the coordinates of the world.

    Attributes
    ----------
    position : tuple of float
        A point on the ray from the eye; in 2D the point of the slice.
    direction : tuple of float or None
        Direction of the ray; None in 2D.
    axes : tuple of int
        The axes that are displayed.
    """

    position: tuple[float, ...]
    direction: tuple[float, ...] | None
    axes: tuple[int, ...]

    @classmethod
    def of_event(cls, event: Any) -> Pointer:
        """Copy what is needed from a mouse event, which napari changes later."""
        direction = None if event.view_direction is None else tuple(map(float, event.view_direction))
        return cls(tuple(map(float, event.position)), direction, tuple(event.dims_displayed))


def voxel_under(pointer: Pointer, layers: Sequence[Layer]) -> Position | None:
    """Return the voxel that the mouse points at.

    Parameters
    ----------
    pointer : Pointer
        Where the mouse is.
    layers : sequence of Layer
        Labels of one volume, all in the same place. In 3D it is the first voxel on the ray that is not 0 in one
        of those that are visible.

    Returns
    -------
    tuple of int or None
        The voxel (z, y, x); None outside of the volume and, in 3D, where the ray hits nothing.
    """
    if not layers:
        return None
    if pointer.direction is None:
        return next(map(_as_position, voxels_along_ray(pointer, layers[0])), None)
    hits = [hit for layer in layers if layer.visible for hit in _first_hit(pointer, layer)]
    return min(hits)[1] if hits else None


def voxels_along_ray(pointer: Pointer, layer: Layer) -> NDArray[np.int64]:
    """Return the voxels of a 3D layer under the pointer, the nearest first: one in 2D, in 3D all along the ray.

    Parameters
    ----------
    pointer : Pointer
        Where the mouse is.
    layer : Layer
        The layer; positions outside of it are left out.

    Returns
    -------
    ndarray of int64, shape (voxel, 3)
        Positions z, y, x.
    """
    if pointer.direction is None:
        places = np.asarray([layer.world_to_data(pointer.position)])
    else:
        n_more = len(pointer.position) - layer.ndim  # axes of the viewer that the layer does not have
        start, end = layer.get_ray_intersections(
            pointer.position[n_more:], pointer.direction[n_more:], [axis - n_more for axis in pointer.axes], world=True
        )
        if start is None or end is None:
            return np.zeros((0, 3), np.int64)
        n_steps = 2 * ceil(float(np.abs(end - start).max())) + 1  # two to a voxel, so that no corner is stepped over
        places = np.linspace(start, end, n_steps)
    voxels: NDArray[np.int64] = np.rint(places).astype(np.int64)
    voxels = voxels[:, -3:]  # without leading axes of length 1
    inside: NDArray[np.bool_] = ((voxels >= 0) & (voxels < layer.data.shape[-3:])).all(axis=1)
    return voxels[inside]


def _first_hit(pointer: Pointer, layer: Layer) -> list[tuple[int, Position]]:
    """Return the first voxel that is not 0 and the number of voxels in front of it; nothing when there is none."""
    voxels = voxels_along_ray(pointer, layer)
    (where,) = np.nonzero(layer.data[(0,) * (layer.ndim - 3) + tuple(voxels.T)])
    return [(int(where[0]), _as_position(voxels[where[0]]))] if where.size else []


def _as_position(at: NDArray[Any]) -> Position:
    z, y, x = at.tolist()
    return z, y, x
