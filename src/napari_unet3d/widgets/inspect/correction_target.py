"""Places to correct: an error, or a box that was chosen by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import MaskedBox
from napari_unet3d.data.provenance import CorrectionRecord
from napari_unet3d.data.sample import Shape3D, VoxelSize

if TYPE_CHECKING:
    from napari_unet3d.evaluation.errors.types import SegmentationError

_MOST_BRUSH = 20


@dataclass(frozen=True, slots=True, eq=False)
class CorrectionTarget:
    """A place to correct: an error, or a box that was chosen by hand.

    Attributes
    ----------
    region : Region
        Its voxels.
    place : CorrectionRecord
        What is noted about it.
    wanted : int or None
        The label that is missing there; 0 for background, None when that is not known.
    """

    region: MaskedBox
    place: CorrectionRecord
    wanted: int | None = None


def brush_size(region: MaskedBox) -> int:
    """Return the diameter of a brush in voxels that suits a region."""
    sides = sorted(side.stop - side.start for side in region.box)
    return int(np.clip(sides[1] // 2, 1, _MOST_BRUSH))


def target_of_error(error: SegmentationError, mask: NDArray[np.bool_]) -> CorrectionTarget:
    """Return the place of an error.

    Parameters
    ----------
    error : SegmentationError
        The error.
    mask : ndarray of bool, shape (z, y, x) of its box
        Its voxels.
    """
    place = CorrectionRecord(
        kind=error.kind.value,
        number=error.number,
        position_zyx=error.position_zyx,
        volume_um3=error.volume_um3,
    )
    wanted = error.target[0] if error.target else 0
    return CorrectionTarget(MaskedBox(error.slices, mask), place, wanted)


def target_around(
    position_zyx: tuple[float, float, float], size_um: float, voxel_size_um: VoxelSize, shape: Shape3D
) -> CorrectionTarget:
    """Return a box around a voxel as a place to correct.

    Parameters
    ----------
    position_zyx : tuple of float
        Its middle in voxels; one outside of the volume is moved to its border.
    size_um : float
        Side of the box in µm.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    shape : tuple of int
        Shape (z, y, x) of the volume.
    """
    middle = [round(min(max(0.0, at), side - 1)) for at, side in zip(position_zyx, shape, strict=True)]
    half = [max(0, round(size_um / size / 2)) for size in voxel_size_um]
    z, y, x = (
        slice(max(0, at - reach), min(side, at + reach + 1))
        for at, reach, side in zip(middle, half, shape, strict=True)
    )
    mask = np.ones(tuple(side.stop - side.start for side in (z, y, x)), bool)
    return CorrectionTarget(
        MaskedBox((z, y, x), mask), CorrectionRecord(position_zyx=(middle[0], middle[1], middle[2]))
    )
