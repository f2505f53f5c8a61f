"""The voxels that are wrong, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.annotation import Truth
from napari_unet3d.evaluation.connected import Places
from napari_unet3d.evaluation.error_table import ErrorKind


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a voxel.

    Attributes
    ----------
    found, wanted : int
        The predicted and the true value; 0 is background.
    """

    found: int
    wanted: int

    @property
    def kind(self) -> ErrorKind:
        """Missed, extra, or of a wrong class."""
        if self.found == 0:
            return ErrorKind.MISSED
        return ErrorKind.EXTRA if self.wanted == 0 else ErrorKind.WRONG_CLASS


@dataclass(frozen=True, slots=True, eq=False)
class WrongVoxels:
    """All voxels that are wrong.

    Attributes
    ----------
    places : ndarray of int64, shape (voxel,)
        Where they are in the flat volume, ascending.
    mistakes : ndarray of unsigned integers, shape (voxel,)
        What is wrong with each: the true value times `n_values` and the predicted value in one number.
    n_values : int
        More than any value.
    """

    places: Places
    mistakes: NDArray[np.unsignedinteger[Any]]
    n_values: int

    def mistake(self, number: int) -> Mistake:
        """Take one of `mistakes` apart."""
        wanted, found = divmod(int(number), self.n_values)
        return Mistake(found, wanted)


def wrong_voxels(prediction: NDArray[Any], truth: Truth, task: Task) -> WrongVoxels:
    """Find the voxels where prediction and truth differ, as `difference_labels` does.

    Parameters
    ----------
    prediction : ndarray of unsigned integers, shape (z, y, x)
        Labels; of foreground 0 and 1.
    truth : Truth
        What it should be.
    task : Task
        What the labels are; of single objects it only counts where there is one, not which.
    """
    n_values = 1 + max(int(prediction.max(initial=0)), int(truth.labels.max(initial=0)))
    kind = np.min_scalar_type(n_values**2)
    places, mistakes = [np.zeros(0, np.int64)], [np.zeros(0, kind)]
    for index, (found, wanted) in enumerate(zip(prediction, truth.labels, strict=True)):
        differs = found != wanted if task is Task.CLASSES else (found > 0) != (wanted > 0)
        if truth.annotated is not None:
            differs &= truth.annotated[index]
        there = np.flatnonzero(differs)
        places.append(there + index * found.size)
        mistakes.append(wanted.ravel()[there].astype(kind) * kind.type(n_values) + found.ravel()[there].astype(kind))
    return WrongVoxels(np.concatenate(places), np.concatenate(mistakes), n_values)
