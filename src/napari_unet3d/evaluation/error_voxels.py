"""The voxels that are wrong, grouped by what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.annotation import Truth
from napari_unet3d.evaluation.error_table import ErrorKind
from napari_unet3d.evaluation.true_surfaces import Voxels


@dataclass(frozen=True, slots=True, eq=False)
class WrongVoxels:
    """All voxels that were found to be one value and should be another one.

    Attributes
    ----------
    kind : ErrorKind
        Missed, extra, or of a wrong class.
    found, wanted : int
        The predicted and the true value; 0 is background.
    voxels : ndarray of int32, shape (voxel, 3)
        Places z, y, x, in the order of the volume.
    """

    kind: ErrorKind
    found: int
    wanted: int
    voxels: Voxels


def wrong_voxels(prediction: NDArray[Any], truth: Truth, task: Task) -> Iterator[WrongVoxels]:
    """Find the voxels where prediction and truth differ, as `difference_labels` does.

    Single objects are taken apart by the true id where they are missed, and by the predicted one where they are extra.

    Parameters
    ----------
    prediction : ndarray of unsigned integers, shape (z, y, x)
        Labels; of foreground 0 and 1.
    truth : Truth
        What it should be.
    task : Task
        What the labels are.

    Yields
    ------
    WrongVoxels
        In the order of the true values.
    """
    places, pairs, n_values = _differing(prediction, truth, task)
    order = np.argsort(pairs, kind="stable")
    places, pairs = places[order], pairs[order]
    starts = np.flatnonzero(np.diff(pairs.astype(np.int64), prepend=-1))
    for start, stop in zip(starts, np.append(starts, len(places))[1:], strict=True):
        wanted, found = divmod(int(pairs[start]), n_values)
        kind = ErrorKind.MISSED if found == 0 else ErrorKind.EXTRA if wanted == 0 else ErrorKind.WRONG_CLASS
        yield WrongVoxels(kind, found, wanted, _coordinates(places[start:stop], prediction.shape))


def _differing(
    prediction: NDArray[Any], truth: Truth, task: Task
) -> tuple[NDArray[np.int64], NDArray[np.unsignedinteger[Any]], int]:
    """Give the place in the flat volume of each wrong voxel, its two values as one number, and what multiplies one."""
    n_values = 1 + max(int(prediction.max(initial=0)), int(truth.labels.max(initial=0)))
    kind = np.min_scalar_type(n_values**2)
    places, pairs = [np.zeros(0, np.int64)], [np.zeros(0, kind)]
    for index, (found, wanted) in enumerate(zip(prediction, truth.labels, strict=True)):
        differs = found != wanted if task is Task.CLASSES else (found > 0) != (wanted > 0)
        if truth.annotated is not None:
            differs &= truth.annotated[index]
        there = np.flatnonzero(differs)
        places.append(there + index * found.size)
        pairs.append(wanted.ravel()[there].astype(kind) * kind.type(n_values) + found.ravel()[there].astype(kind))
    return np.concatenate(places), np.concatenate(pairs), n_values


def _coordinates(places: NDArray[np.int64], shape: tuple[int, ...]) -> Voxels:
    voxels = np.empty((len(places), 3), np.int32)
    for axis, index in enumerate(np.unravel_index(places, shape)):
        voxels[:, axis] = index
    return voxels
