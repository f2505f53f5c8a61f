"""The errors of a prediction: the rows of the error table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.geometry import Geometry

Position: TypeAlias = tuple[int, int, int]
Box: TypeAlias = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


class ErrorKind(StrEnum):
    """The kind of an error."""

    MISSED = "missed"
    EXTRA = "extra"
    MERGE = "merge"
    SPLIT = "split"
    WRONG_CLASS = "wrong-class"

    @property
    def label(self) -> str:
        """Its name in tables."""
        return self.value.replace("-", " ")


@dataclass(frozen=True, slots=True)
class SegmentationError:
    """One error: connected voxels that are wrong in the same way.

    Attributes
    ----------
    number : int
        From 1, with the largest error first; its voxels have this number in `ErrorSet.regions`.
    kind : ErrorKind
        The kind of error.
    n_voxels : int
        Number of wrong voxels.
    volume : float
        Their volume in µm³, or in voxels where the voxel size is unknown.
    depth : float
        Depth of the error: the largest distance of one of its voxels from the surface of the ground truth, in the unit
        of the geometry of its `ErrorSet`. For a region without such a surface, such as a detection where there is
        nothing, the distance is measured from its own surface. For a merge or a split it is that of the second largest
        part.
    position_zyx : tuple of int
        A representative voxel: the deepest; of a merge or a split, one where the two largest parts meet.
    box_zyx : tuple of tuple of int
        Start and stop along z, y, x.
    predicted : tuple of int
        Predicted values involved: 1 for foreground, classes, or ids of instances; empty where nothing was predicted.
    target : tuple of int
        True values involved; empty where there is only background.
    is_whole : bool
        Whether a whole structure is missed, extra or of a wrong class, and not only a part of one.
    """

    number: int
    kind: ErrorKind
    n_voxels: int
    volume: float
    depth: float
    position_zyx: Position
    box_zyx: Box
    predicted: tuple[int, ...] = ()
    target: tuple[int, ...] = ()
    is_whole: bool = False

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as slices, to index a volume with."""
        z, y, x = (slice(first, end) for first, end in self.box_zyx)
        return z, y, x


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ErrorList:
    """The errors of a prediction; a sequence of them, the largest first.

    Attributes
    ----------
    errors : tuple of SegmentationError
        The errors that are deeper than the tolerance, the largest first.
    n_hidden : int
        Number of regions that are not deeper than the tolerance and are therefore boundary noise.
    n_left_out : int
        Number of deeper errors that were left out because there are too many larger ones.
    tolerance : float
        Depth up to which errors are boundary noise.
    geometry : Geometry
        Voxel size of the volume, whose `unit` is that of depths and tolerance, and whose `volume_unit` that of volumes.
    task : Task
        What the labels are.
    ignores_border : bool
        Whether instances that touch the border of the volume were left out.
    """

    errors: tuple[SegmentationError, ...]
    n_hidden: int
    n_left_out: int
    tolerance: float
    geometry: Geometry
    task: Task = Task.BINARY
    ignores_border: bool = False

    def __len__(self) -> int:
        return len(self.errors)

    def __iter__(self) -> Iterator[SegmentationError]:
        return iter(self.errors)

    @overload
    def __getitem__(self, index: int) -> SegmentationError: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[SegmentationError, ...]: ...

    def __getitem__(self, index: int | slice) -> SegmentationError | tuple[SegmentationError, ...]:
        return self.errors[index]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ErrorSet(ErrorList):
    """The errors of a prediction, and their voxels.

    Attributes
    ----------
    regions : ndarray of uint16, shape (z, y, x)
        The number of the error that a voxel belongs to; 0 elsewhere.
    """

    regions: NDArray[np.uint16]

    def mask_of(self, error: SegmentationError) -> NDArray[np.bool_]:
        """Return a mask of the voxels of an error inside its box.

        Returns
        -------
        ndarray of bool, of the shape of the box
            True in the error.
        """
        mask: NDArray[np.bool_] = self.regions[error.slices] == error.number
        return mask


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """Progress of a search for errors: the wrong voxels analysed so far, and all of them."""

    n_done: int
    n_total: int
