"""Which voxels are under the pointer, in 2D and in 3D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray

from napari_unet3d.widgets.viewer.navigation import Position


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
    inside: NDArray[np.bool_] = ((voxels >= 0) & (voxels < layer.data.shape)).all(axis=1)
    return voxels[inside]


def _first_hit(pointer: Pointer, layer: Layer) -> list[tuple[int, Position]]:
    """Return the first voxel that is not 0 and the number of voxels in front of it; nothing when there is none."""
    voxels = voxels_along_ray(pointer, layer)
    (where,) = np.nonzero(layer.data[tuple(voxels.T)])
    return [(int(where[0]), _as_position(voxels[where[0]]))] if where.size else []


def _as_position(at: NDArray[Any]) -> Position:
    z, y, x = at.tolist()
    return z, y, x
