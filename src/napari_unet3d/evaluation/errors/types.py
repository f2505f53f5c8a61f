"""What the errors of a prediction are: the rows of the table of errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.sample import VoxelSize

Position: TypeAlias = tuple[int, int, int]
Box: TypeAlias = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


class ErrorKind(StrEnum):
    """What is wrong."""

    MISSED = "missed"
    EXTRA = "extra"
    MERGE = "merge"
    SPLIT = "split"
    WRONG_CLASS = "wrong-class"

    @property
    def label(self) -> str:
        """The words for a table."""
        return self.value.replace("-", " ")


@dataclass(frozen=True, slots=True)
class SegmentationError:
    """One error: voxels that hang together and are wrong in the same way.

    Attributes
    ----------
    number : int
        From 1, the largest error first; its voxels have this number in `ErrorSet.regions`.
    kind : ErrorKind
        What is wrong.
    n_voxels : int
        How many voxels are wrong.
    volume_um3 : float
        Their volume in µm³.
    depth_um : float
        How deep the error goes: the largest distance in µm of one of its voxels from the true surface. A region that
        has no true surface to keep to, such as something found where nothing is, is as deep as it is thick: the
        distance counts from its own surface. For a merge or a split it is that of the second largest of the parts.
    position_zyx : tuple of int
        A voxel of it worth looking at: the deepest; of a merge or a split, one where the two largest parts meet.
    box_zyx : tuple of tuple of int
        First voxel and the one after the last along z, y, x.
    found : tuple of int
        Predicted values involved: 1 for foreground, classes, or ids of objects; empty where nothing was predicted.
    wanted : tuple of int
        True values involved; empty where nothing should be.
    is_complete : bool
        Whether the whole of a thing is missed, extra or of a wrong class, and not a part of one.
    """

    number: int
    kind: ErrorKind
    n_voxels: int
    volume_um3: float
    depth_um: float
    position_zyx: Position
    box_zyx: Box
    predicted: tuple[int, ...] = ()
    target: tuple[int, ...] = ()
    is_whole: bool = False

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box, to index a volume with."""
        z, y, x = (slice(first, end) for first, end in self.box_zyx)
        return z, y, x


@dataclass(frozen=True, slots=True, eq=False)
class ErrorSet:
    """The errors of a prediction; a sequence of them, the largest first.

    Attributes
    ----------
    objects : tuple of SegmentationError
        The errors that go deeper than the tolerance, the largest first.
    regions : ndarray of uint16, shape (z, y, x)
        The number of the error that a voxel belongs to; 0 for the rest.
    n_hidden : int
        Regions that never go deeper than the tolerance and so are boundary noise.
    n_left_out : int
        Errors that go deeper, too, and were not kept, because there were too many larger ones.
    tolerance_um : float
        Depth in µm up to which errors are boundary noise.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    task : Task
        What the labels are.
    """

    errors: tuple[SegmentationError, ...]
    regions: NDArray[np.uint16]
    n_hidden: int
    n_left_out: int
    tolerance_um: float
    voxel_size_um: VoxelSize
    task: Task = Task.BINARY

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

    def mask_of(self, error: SegmentationError) -> NDArray[np.bool_]:
        """Return the voxels of an error inside its box.

        Returns
        -------
        ndarray of bool, of the shape of the box
            True in the error.
        """
        mask: NDArray[np.bool_] = self.regions[error.slices] == error.number
        return mask


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """How far a search for errors is: wrong voxels that were looked at, and all."""

    n_done: int
    n_total: int
