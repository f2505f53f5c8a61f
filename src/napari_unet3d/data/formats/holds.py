"""Which parts of the geometry of a volume a file format can hold."""

from __future__ import annotations

from enum import Enum

import numpy as np

from napari_unet3d.data.geometry import Geometry


class Holds(Enum):
    """A part of the geometry that not every format holds; the values complete "holds no …"."""

    VOXEL_SIZE = "voxel size"
    ORIGIN = "origin"
    DIRECTIONS = "orientation"
    SHEAR = "axes that are not perpendicular"
    PARTIAL = "voxel size that is known along some axes only"
    UNITLESS = "voxel size without a unit"
    PLACE_ALONE = "place without a complete voxel size"


def parts_of(geometry: Geometry) -> frozenset[Holds]:
    """Return the parts of a geometry that a format must hold to keep it.

    >>> sorted(part.name for part in parts_of(Geometry((None, 0.5, 0.5), origin=(1.0, 0.0, 0.0))))
    ['ORIGIN', 'PARTIAL', 'PLACE_ALONE', 'VOXEL_SIZE']
    """
    n_known = sum(size is not None for size in geometry.sizes)
    matrix = np.eye(3) if geometry.directions is None else np.array(geometry.directions)
    is_moved = geometry.origin is not None and any(geometry.origin)
    is_turned = not np.allclose(matrix, np.eye(3), rtol=0, atol=1e-6)
    parts = {
        Holds.VOXEL_SIZE: n_known > 0,
        Holds.ORIGIN: is_moved,
        Holds.DIRECTIONS: is_turned,
        Holds.SHEAR: not np.allclose(matrix @ matrix.T, np.eye(3), rtol=0, atol=1e-4),
        Holds.PARTIAL: n_known in (1, 2),
        Holds.UNITLESS: not geometry.is_um and n_known > 0,
        Holds.PLACE_ALONE: n_known < len("zyx") and (is_moved or is_turned),
    }
    return frozenset(part for part, is_needed in parts.items() if is_needed)
