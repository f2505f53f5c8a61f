"""One volume as it flows through the engine: image, labels and voxel size together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.provenance import Provenance
from napari_unet3d.errors import UserError

VoxelSize = tuple[float, float, float]
Shape3D = tuple[int, int, int]


def format_shape(shape: Sequence[int]) -> str:
    """Write a shape or a place in voxels, such as ``64 × 64 × 32``."""
    return " × ".join(map(str, shape))


def format_um(sizes_um: VoxelSize) -> str:
    """Write sizes along z, y, x, such as ``2 × 0.5 × 0.5 µm``."""
    return " × ".join(f"{size:.4g}" for size in sizes_um) + " µm"


@dataclass(frozen=True, slots=True)
class Sample:
    """An image, its labels if there are any, and its voxel size.

    Attributes
    ----------
    name : str
        What the volume is called in lists, layers and files.
    image : ndarray of any real number type, shape (z, y, x)
        Grey values, all finite.
    labels : ndarray of integers, shape (z, y, x), or None
        0 is background unless it is the ignore label of a training; negative values are allowed as ignore label only.
    voxel_size_um : tuple of float
        Size of a voxel along z, y, x in µm.
    annotated : ndarray of bool, shape (z, y, x), or None
        Where the labels hold: what they say elsewhere neither trains nor judges. None when nothing but the labels
        themselves tells it.
    origin : Provenance or None
        The volume that this one is a corrected part of. Such a volume always trains.

    Raises
    ------
    UserError
        When the image is not 3D, holds NaN or infinity, or labels or mask do not belong to it.
    """

    name: str
    image: NDArray[Any]
    labels: NDArray[Any] | None = None
    voxel_size_um: VoxelSize = field(default=(1.0, 1.0, 1.0))
    label_mask: NDArray[np.bool_] | None = None
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        if self.image.ndim != 3:
            raise UserError(
                f"The image '{self.name}' has {self.image.ndim} dimensions {self.image.shape}; "
                "give one 3D volume (z, y, x), a single channel and time point."
            )
        if self.image.dtype.kind not in "buif":
            raise UserError(f"The image '{self.name}' holds {self.image.dtype}; convert it to grey values first.")
        if min(self.image.shape) < 2:
            raise UserError(
                f"The image '{self.name}' has shape {self.image.shape}, which is a single slice or empty; "
                "give a 3D volume of at least 2 voxels along each axis."
            )
        # Slice by slice here and below: a volume on disk shall not come into memory whole.
        if self.image.dtype.kind == "f" and (bad := sum(_count(~np.isfinite(plane)) for plane in self.image)):
            raise UserError(f"The image '{self.name}' holds {bad} values that are NaN or infinite; replace them first.")
        if any(not 0 < size < np.inf for size in self.voxel_size_um):
            raise UserError(f"The voxel size of '{self.name}' is {self.voxel_size_um} µm; every side must be above 0.")
        if self.labels is not None:
            check_labels(self.name, self.labels, self.shape)
        if self.label_mask is not None:
            check_mask(self.name, self.label_mask, self.shape)

    @property
    def shape(self) -> Shape3D:
        """Number of voxels along z, y, x."""
        z, y, x = self.image.shape
        return z, y, x


def _count(mask: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(mask))


def check_labels(name: str, labels: NDArray[Any], shape: Shape3D) -> None:
    """Raise a `UserError` unless `labels` is an integer array of the given shape."""
    if labels.shape != shape:
        raise UserError(
            f"The labels of '{name}' have shape {labels.shape}, its image {shape}; both must be the same volume."
        )
    if labels.dtype.kind not in "bui":
        raise UserError(
            f"The labels of '{name}' hold {labels.dtype}; labels are whole numbers, save them as an integer type."
        )


def check_mask(name: str, annotated: NDArray[Any], shape: Shape3D) -> None:
    """Raise a `UserError` unless `annotated` is an array of bool of the given shape."""
    if annotated.shape != shape:
        raise UserError(
            f"The mask of what is annotated in '{name}' has shape {annotated.shape}, its image {shape}; "
            "both must be the same volume."
        )
    if annotated.dtype != bool:
        raise UserError(f"The mask of what is annotated in '{name}' holds {annotated.dtype}; give True and False.")


def read_mask(name: str, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Turn a mask as files hold it, 0 where nothing is annotated and 1 elsewhere, into True and False.

    Parameters
    ----------
    name : str
        Name of the volume, for the message.
    values : ndarray, shape (z, y, x)
        Whole numbers, of which any but 0 stands for annotated.

    Raises
    ------
    UserError
        If a value is negative, or nothing is annotated.
    """
    if values.dtype.kind == "i" and (lowest := int(values.min(initial=0))) < 0:
        raise UserError(f"The mask of '{name}' goes down to {lowest}; set it to 1 where the labels hold, else to 0.")
    mask: NDArray[np.bool_] = values > 0
    if not mask.any():
        raise UserError(
            f"The mask of '{name}' says that nothing is annotated: it is 0 everywhere. Set it to 1 where the labels "
            "hold, or remove it when they hold everywhere."
        )
    return mask


def check_same_shape(prediction: NDArray[Any], truth: NDArray[Any], name: str) -> None:
    """Raise a `UserError` with both shapes when they differ."""
    if prediction.shape != truth.shape:
        raise UserError(
            f"The prediction of '{name}' has shape {prediction.shape}, its truth {truth.shape}; "
            "compare labels of the same volume."
        )


def to_label_dtype(name: str, labels: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Return labels in the smallest integer type that holds them, an unsigned one unless a value is negative.

    Parameters
    ----------
    name : str
        Name of the volume, for the message.
    labels : ndarray, shape (z, y, x)
        Labels in any number type; floats are fine as long as each is a whole number, as NIfTI files often have them.

    Returns
    -------
    ndarray of integers, shape (z, y, x)
        The same labels.

    Raises
    ------
    UserError
        If a value is no whole number, NaN, infinite, or too large for an integer type.
    """
    if labels.dtype.kind == "f":
        broken = sum(_count(~(np.isfinite(plane) & (plane == np.trunc(plane)))) for plane in labels)
        if broken:
            raise UserError(
                f"The labels of '{name}' hold {labels.dtype} with {broken} values that are no whole numbers; "
                "labels are 0 for background and 1, 2, … for objects."
            )
    highest, lowest = (int(labels.max()), int(labels.min())) if labels.size else (0, 0)
    if highest >= (2**63 if lowest < 0 else 2**64) or lowest < -(2**63):
        raise UserError(f"The labels of '{name}' go from {lowest:g} to {highest:g}; number the objects from 1 again.")
    dtype = np.min_scalar_type(min(lowest, -highest - 1) if lowest < 0 else highest)
    return labels.astype(dtype, copy=False)
