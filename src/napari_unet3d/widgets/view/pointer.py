"""Which voxel is under the pointer, in 2D and in 3D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray

from napari_unet3d.widgets.view.navigation import Position


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
        """Take what counts from a mouse event of napari, which changes later."""
        direction = None if event.view_direction is None else tuple(map(float, event.view_direction))
        return cls(tuple(map(float, event.position)), direction, tuple(event.dims_displayed))


def voxel_under(pointer: Pointer, layers: Sequence[Layer]) -> Position | None:
    """Give the voxel that the mouse points at.

    Parameters
    ----------
    pointer : Pointer
        Where the mouse is.
    layers : sequence of Layer
        Labels of one volume, which lie in the same place. In 3D it is the first voxel on the ray that is not 0 in one
        of those that are visible.

    Returns
    -------
    tuple of int or None
        The voxel (z, y, x); None outside of the volume and, in 3D, where the ray hits nothing.
    """
    if not layers:
        return None
    if len(pointer.axes) == 2:
        at = np.rint(layers[0].world_to_data(pointer.position)).astype(int)
        is_inside = (at >= 0).all() and (at < layers[0].data.shape).all()
        return _as_position(at) if is_inside else None
    hits = [hit for layer in layers if layer.visible for hit in _first_hit(pointer, layer)]
    return min(hits)[1] if hits else None


def _first_hit(pointer: Pointer, layer: Layer) -> list[tuple[float, Position]]:
    """Give the first voxel that is not 0 with the part of the ray that lies before it; nothing when there is none."""
    assert pointer.direction is not None
    n_more = len(pointer.position) - layer.ndim  # axes of the viewer that the layer has not
    start, end = layer.get_ray_intersections(
        pointer.position[n_more:], pointer.direction[n_more:], [axis - n_more for axis in pointer.axes], world=True
    )
    if start is None or end is None:
        return []
    n_steps = 2 * ceil(float(np.abs(end - start).max())) + 1  # two for each voxel, not to miss a corner
    parts = np.linspace(0, 1, n_steps)
    shape = np.array(layer.data.shape)
    voxels = np.clip(np.rint(start + parts[:, None] * (end - start)).astype(int), 0, shape - 1)
    values: NDArray[Any] = np.asarray(layer.data[tuple(voxels.T)])
    (where,) = np.nonzero(values)
    return [(float(parts[where[0]]), _as_position(voxels[where[0]]))] if where.size else []


def _as_position(at: NDArray[Any]) -> Position:
    z, y, x = at.tolist()
    return z, y, x
