"""Labels and masks as files have them: rounded, in the smallest integer type, and checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.errors import UserError

_ROUNDED = 0.02 + 1e-6  # how far a label may be from a whole number
_N_EXAMPLES = 3


def read_mask(name: str, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Convert a mask from a file, 0 where nothing is annotated and 1 elsewhere, to booleans.

    Parameters
    ----------
    name : str
        Name of the volume, for the message.
    values : ndarray, shape (z, y, x)
        Integers; annotated voxels are above 0.

    Raises
    ------
    UserError
        If a value is negative, or nothing is annotated.
    """
    if values.dtype.kind == "i" and (lowest := int(values.min(initial=0))) < 0:
        raise UserError(
            f"The mask of '{name}' goes down to {lowest}; set it to 1 where labels are annotated, else to 0."
        )
    mask: NDArray[np.bool_] = values > 0
    if not mask.any():
        raise UserError(
            f"The mask of '{name}' is 0 everywhere, so nothing is annotated. Set it to 1 where labels are annotated, "
            "or remove it if they are annotated everywhere."
        )
    return mask


def check_same_shape(prediction: NDArray[Any], truth: NDArray[Any], name: str) -> None:
    """Raise a `UserError` if the shapes differ."""
    if prediction.shape != truth.shape:
        raise UserError(
            f"The prediction of '{name}' has shape {prediction.shape}, its ground truth {truth.shape}; "
            "compare labels of the same volume."
        )


def round_labels(name: str, labels: NDArray[Any]) -> tuple[NDArray[Any], str]:
    """Return floating-point labels as whole numbers, and a message if they were not.

    Parameters
    ----------
    name : str
        Name of the volume, for messages.
    labels : ndarray of float, shape (z, y, x)
        Values within 0.02 of a whole number, as after scaling in a NIfTI header.

    Returns
    -------
    ndarray of float, str
        Whole numbers; the message is empty if nothing was rounded.

    Raises
    ------
    UserError
        If a value is further from a whole number, NaN or infinite.

    Examples
    --------
    >>> rounded, notice = round_labels("brain", np.array([[[0.0, 1.004, 1.9999]]]))
    >>> rounded.tolist(), notice.split(";")[0]
    ([[[0.0, 1.0, 2.0]]], "The labels of 'brain' are not whole numbers (1.004, 1.9999)")
    """
    rounded, n_broken = np.empty_like(labels), 0
    inexact, broken = np.empty(0, labels.dtype), np.empty(0, labels.dtype)
    for plane, result in zip(labels, rounded, strict=True):
        np.rint(plane, out=result)
        differing = plane[(plane != result) | ~np.isfinite(plane)]
        with np.errstate(invalid="ignore"):  # infinity - infinity
            far = differing[~(np.abs(differing - np.rint(differing)) <= _ROUNDED)]
        n_broken += far.size
        inexact = np.unique(np.concatenate([inexact, differing]))[:_N_EXAMPLES]
        broken = np.unique(np.concatenate([broken, far]))[:_N_EXAMPLES]
    if n_broken:
        raise UserError(
            f"The labels of '{name}' have {n_broken} values of type {labels.dtype} that are not integers, such as "
            f"{_format_values(broken)}. Save labels (0 for background, 1, 2, … for objects) rather than probabilities "
            "or intensities, and resample them by nearest neighbours."
        )
    notice = f"The labels of '{name}' are not whole numbers ({_format_values(inexact)}); they were rounded."
    return rounded, f"{notice} Save them as integers." if inexact.size else ""


def _format_values(values: NDArray[Any]) -> str:
    return ", ".join(str(value) for value in values)


def to_label_dtype(name: str, labels: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Return labels in the smallest integer type that holds them, an unsigned one unless a value is negative.

    Parameters
    ----------
    name : str
        Name of the volume, for the message.
    labels : ndarray, shape (z, y, x)
        Labels of any number type; floating-point values must be integers but for rounding, see `round_labels`.

    Returns
    -------
    ndarray of integers, shape (z, y, x)
        The same labels.

    Raises
    ------
    UserError
        If a value is not an integer, NaN, infinite, or too large.

    Examples
    --------
    >>> to_label_dtype("brain", np.array([[[0.0, 300.0]]])).dtype
    dtype('uint16')
    >>> to_label_dtype("brain", np.array([[[-1, 200]]])).dtype
    dtype('int16')
    """
    if labels.dtype.kind == "f":
        labels, _ = round_labels(name, labels)
    highest, lowest = (int(labels.max()), int(labels.min())) if labels.size else (0, 0)
    if highest >= (2**63 if lowest < 0 else 2**64) or lowest < -(2**63):
        raise UserError(f"The labels of '{name}' go from {lowest:g} to {highest:g}; renumber the objects from 1.")
    dtype = np.min_scalar_type(min(lowest, -highest - 1) if lowest < 0 else highest)
    return labels.astype(dtype, copy=False)
