"""Blocks of an array that do not exist in its file: left out as empty, or lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_N_TRIED = 200  # of the missing blocks


def describe_gaps(
    path: Path,
    shape: Sequence[int],
    sides: Sequence[int],
    existing: Collection[tuple[int, ...]],
    read: Callable[[tuple[slice, ...]], NDArray[Any]],
    axes: str = "",
) -> str:
    """Return a notice if blocks of an image were lost, so that they are read as zeros; empty if none were.

    Software leaves out blocks that are 0 everywhere. One that was lost has voxels beside it that are mostly not 0.

    Parameters
    ----------
    path : Path
        The file, for the notice.
    shape, sides : sequence of int
        Shape of the array and of a block.
    existing : collection of tuple of int
        The blocks that exist, by their number along each axis.
    read : callable
        Reads a part of the array.
    axes : str
        A letter for each axis; without them, the last three are those of space.
    """
    counts = [-(-length // side) for length, side in zip(shape, sides, strict=True)]
    n_missing = math.prod(counts) - len(existing)
    if n_missing <= 0:
        return ""
    named = [axis for axis, letter in enumerate(axes) if letter in "zyx"] if axes else []
    space = named or list(range(len(shape)))[-3:]
    missing = (index for index in np.ndindex(*counts) if index not in existing)
    if not any(_is_lost(index, counts, sides, existing, read, space) for index in islice(missing, _N_TRIED)):
        return ""
    return (
        f"{n_missing} of the {math.prod(counts)} blocks of {path} do not exist and are read as zeros, though the image "
        "goes on around them. Copy or export it again."
    )


def _is_lost(
    index: tuple[int, ...],
    counts: Sequence[int],
    sides: Sequence[int],
    existing: Collection[tuple[int, ...]],
    read: Callable[[tuple[slice, ...]], NDArray[Any]],
    space: Sequence[int],
) -> bool:
    """Return whether most voxels along a face of a missing block are not 0."""
    block = [slice(number * side, (number + 1) * side) for number, side in zip(index, sides, strict=True)]
    for axis in space:
        for step, at in ((-1, block[axis].start - 1), (1, block[axis].stop)):
            beside = (*index[:axis], index[axis] + step, *index[axis + 1 :])
            if 0 <= beside[axis] < counts[axis] and beside in existing:
                face = read((*block[:axis], slice(at, at + 1), *block[axis + 1 :]))
                if np.count_nonzero(face) > face.size / 2:
                    return True
    return False
