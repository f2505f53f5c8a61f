"""Objects that were merged into one or split into several, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from napari_unet3d.data.annotation import Truth
from napari_unet3d.data.sample import VoxelSize
from napari_unet3d.evaluation.error_regions import Region, measure_thickness
from napari_unet3d.evaluation.error_table import ErrorKind
from napari_unet3d.evaluation.overlaps import Overlaps
from napari_unet3d.evaluation.true_surfaces import Voxels, outermost


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """A merge or a split.

    Attributes
    ----------
    kind : ErrorKind
        Which of them.
    found, wanted : tuple of int
        Ids of the predicted and the true objects.
    region : Region
        The voxels that they share; as deep as the second largest part is thick, and seen best where it meets the
        largest.
    """

    kind: ErrorKind
    found: tuple[int, ...]
    wanted: tuple[int, ...]
    region: Region


def find_confusions(
    prediction: NDArray[Any], truth: Truth, overlaps: Overlaps, voxel_size_um: VoxelSize
) -> Iterator[Confusion]:
    """Find merges and splits.

    Parameters
    ----------
    prediction : ndarray of unsigned integers, shape (z, y, x)
        Ids of objects.
    truth : Truth
        The true ids.
    overlaps : Overlaps
        Of the two.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    """
    merges, splits = overlaps.merges(), overlaps.splits()
    boxes = ndimage.find_objects(prediction) if merges else []
    for one, several in merges.items():
        box = boxes[one - 1]
        region = _shared(box, prediction[box] == one, several, truth.labels[box], truth.annotated, voxel_size_um)
        yield Confusion(ErrorKind.MERGE, (one,), several, region)
    boxes = ndimage.find_objects(truth.labels) if splits else []
    for one, several in splits.items():
        box = boxes[one - 1]
        region = _shared(box, truth.labels[box] == one, several, prediction[box], truth.annotated, voxel_size_um)
        yield Confusion(ErrorKind.SPLIT, several, (one,), region)


def _shared(
    box: tuple[slice, ...],
    mask: NDArray[np.bool_],
    several: tuple[int, ...],
    ids: NDArray[Any],
    annotated: NDArray[np.bool_] | None,
    voxel_size_um: VoxelSize,
) -> Region:
    """Give what one object shares with several."""
    if annotated is not None:
        mask &= annotated[box]
    mask &= np.isin(ids, several)
    voxels, owners = np.argwhere(mask).astype(np.int32), ids[mask]
    parts: list[Voxels] = [voxels[owners == each] for each in several]
    parts.sort(key=len, reverse=True)
    largest, second = (_surface(part) for part in parts[:2])
    distances, _ = KDTree(largest * np.asarray(voxel_size_um)).query(second * np.asarray(voxel_size_um))
    start = np.array([side.start for side in box], np.int32)
    seam = np.flatnonzero((voxels == second[np.argmin(distances)]).all(axis=1))[0]
    depth = float(measure_thickness(parts[1], voxel_size_um).max())
    return Region(voxels + start, depth, int(seam), is_whole=False)


def _surface(voxels: Voxels) -> Voxels:
    start = voxels.min(axis=0) - 1
    mask = np.zeros(voxels.max(axis=0) - start + 2, bool)
    mask[tuple((voxels - start).T)] = True
    surface: Voxels = np.argwhere(outermost(mask)).astype(np.int32) + start
    return surface
