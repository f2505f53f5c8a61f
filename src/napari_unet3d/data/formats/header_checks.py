"""Checks of the header of a volume, before any memory is allocated for it: axes, data type, size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from napari_unet3d.errors import UserError
from napari_unet3d.memory import total_memory


def check_header(path: Path, shape: Sequence[int], dtype: DTypeLike) -> tuple[int, int, int]:
    """Find the three axes of a volume before any memory is allocated for it.

    Parameters
    ----------
    path : Path
        The file, for the message.
    shape : sequence of int
        Shape in the file; axes of length 1 are ignored.
    dtype : dtype
        Data type in the file.

    Returns
    -------
    tuple of int
        Indices of the three axes that are longer than 1.

    Raises
    ------
    UserError
        If the file is not 3D, does not have real numbers, or is larger than the memory that this process may use.

    Examples
    --------
    >>> check_header(Path("a.tif"), (1, 20, 1, 30, 40), "uint16")
    (1, 3, 4)
    """
    axes = [axis for axis, length in enumerate(shape) if length != 1]
    if 0 in shape:
        raise UserError(f"{path} is empty: its shape is {tuple(shape)}. Export the volume again.")
    if len(axes) < 3:
        raise too_few_axes(path, shape)
    if len(axes) > 3:
        raise too_many_axes(path, shape)
    check_type_and_memory(path, shape, dtype)
    return axes[0], axes[1], axes[2]


def too_few_axes(path: Path, shape: Sequence[int]) -> UserError:
    """Return the error for an image with less than three axes that are longer than 1."""
    n_axes = sum(length != 1 for length in shape)
    return UserError(
        f"{path} is a {n_axes}D image of shape {tuple(shape)}; a 3D volume (z, y, x) is needed. "
        "Save the slices as one stack."
    )


def too_many_axes(path: Path, shape: Sequence[int]) -> UserError:
    """Return the error for a volume with more axes than can be used."""
    return UserError(
        f"{path} has {sum(length != 1 for length in shape)} dimensions of shape {tuple(shape)}; one 3D volume "
        "(z, y, x) is needed. Choose with the setting fourth axis whether it has channels or time points, or save one "
        "of them as a separate file."
    )


def check_type_and_memory(path: Path, shape: Sequence[int], dtype: DTypeLike) -> None:
    """Raise a `UserError` if an array has no real numbers, or is larger than the memory of this machine."""
    check_type(path, dtype)
    n_bytes, memory = math.prod(int(n) for n in shape) * np.dtype(dtype).itemsize, total_memory()
    if n_bytes > memory:
        raise UserError(
            f"{path} declares {_gigabytes(n_bytes)} of shape {tuple(shape)}, but this process may use "
            f"{_gigabytes(memory)} of memory. Crop the volume; if the size is wrong, the file is damaged."
        )


def check_type(path: Path, dtype: DTypeLike) -> None:
    """Raise a `UserError` if an array has no real numbers."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "buif":
        raise UserError(
            f"{path} has the data type {_describe_type(dtype)}; intensities or labels are needed. Convert it first."
        )


def _describe_type(dtype: np.dtype[Any]) -> str:
    return "colour" if dtype.names else str(dtype)


def _gigabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB"
