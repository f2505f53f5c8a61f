"""A sample: a 3D image of one or more channels with its labels and voxel size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.channels import ChosenChannels, name_channels
from napari_unet3d.data.geometry import UNKNOWN, Geometry, PartialVoxelSize, VoxelSize
from napari_unet3d.data.intensities import WholeIntensities, by_channel
from napari_unet3d.data.lazy_array import is_lazy, remembered
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.errors import UserError

Shape3D = tuple[int, int, int]


def format_shape(shape: Sequence[int]) -> str:
    """Return a shape or position in voxels as text.

    >>> format_shape((64, 64, 32))
    '64 × 64 × 32'
    """
    return " × ".join(map(str, shape))


@dataclass(frozen=True, slots=True)
class Sample:
    """An image with its place and, optionally, its labels.

    Attributes
    ----------
    name : str
        Name in lists, layers and files.
    image : ndarray of any real number type, shape (z, y, x) or (channel, z, y, x)
        Intensities, all finite. A single channel is kept as (z, y, x). Of a volume that does not fit into memory,
        image, labels and mask are a `LazyArray`, and `check_finite` checks the intensities.
    labels : ndarray of integers, shape (z, y, x), or None
        0 is background unless it is the ignore label; negative values are only allowed as ignore label.
    voxel_size_um : tuple of float or None, or None
        Size of a voxel along z, y, x in µm; None for what is not known. It can be given instead of the geometry.
    label_mask : ndarray of bool, shape (z, y, x), or None
        Which voxels are annotated; labels of others are ignored. None if there is no mask.
    provenance : Provenance or None
        The volume that this one is a corrected part of; such a volume is always used for training.
    geometry : Geometry
        Voxel size, orientation and origin of image, labels and mask.
    notices : tuple of str
        What was assumed or changed when it was read, for the user.
    channel_names : tuple of str
        A different name for each channel: those given, or ``"channel 1"`` and so on. A single channel may have none.
    intensities : IntensityStatistics, tuple of them, or None
        Intensities of the whole volume that this one is a part of, one for each of several channels, by which it is
        normalised; without them, those of the provenance. None for a whole volume, which is normalised by its own.

    Raises
    ------
    UserError
        If the image is not 3D or has NaN or infinite values, or labels or mask do not match it.

    Examples
    --------
    >>> image = np.zeros((10, 20, 30), np.uint16)
    >>> Sample("brain", image, labels=image > 0, voxel_size_um=(2.0, 0.5, 0.5)).shape
    (10, 20, 30)
    >>> Sample("brain", image).geometry.unit
    'voxels'
    >>> Sample("brain", np.stack([image, image])).channel_names
    ('channel 1', 'channel 2')
    >>> Sample("brain", image[0])
    Traceback (most recent call last):
    napari_unet3d.errors.UserError: The image 'brain' has 2 dimensions (20, 30); ...
    """

    name: str
    image: NDArray[Any]
    labels: NDArray[Any] | None = None
    voxel_size_um: PartialVoxelSize | None = None
    label_mask: NDArray[np.bool_] | None = None
    provenance: Provenance | None = None
    geometry: Geometry = UNKNOWN
    notices: tuple[str, ...] = ()
    channel_names: tuple[str, ...] = ()
    intensities: WholeIntensities | None = None

    def __post_init__(self) -> None:
        if self.intensities is None and self.provenance is not None:
            object.__setattr__(self, "intensities", self.provenance.intensities)
        if self.image.ndim not in (3, 4):
            raise UserError(
                f"The image '{self.name}' has {self.image.ndim} dimensions {self.image.shape}; "
                "give one 3D volume (z, y, x), or several channels of one as (c, z, y, x)."
            )
        self._name_channels()
        if self.image.dtype.kind not in "buif":
            raise UserError(
                f"The image '{self.name}' has the data type {self.image.dtype}; convert it to intensities first."
            )
        if min(self.shape) < 2 or not self.image.size:
            raise UserError(
                f"The image '{self.name}' has shape {self.image.shape}, which is a single slice or empty; "
                "give a 3D volume of at least 2 voxels along each axis."
            )
        if not is_lazy(self.image):  # which takes long, so `check_finite` is called where the volume is used
            check_finite(self)
        self._unite_voxel_sizes()
        if self.labels is not None:
            check_labels(self.name, self.labels, self.shape)
        if self.label_mask is not None:
            check_mask(self.name, self.label_mask, self.shape)

    def _name_channels(self) -> None:
        n_channels = len(self.image) if self.image.ndim == 4 else 1
        if len(self.channel_names) > n_channels:
            raise ValueError(f"{len(self.channel_names)} channel names are given for {n_channels} channels")
        if n_channels > 1:
            object.__setattr__(self, "channel_names", name_channels(self.channel_names, n_channels))
        elif self.image.ndim == 4 and n_channels:
            object.__setattr__(self, "image", self.image[0])

    def _unite_voxel_sizes(self) -> None:
        given, geometry = self.voxel_size_um, self.geometry
        if given is not None and any(size is not None and not 0 < size < np.inf for size in given):
            raise UserError(f"The voxel size of '{self.name}' is {given} µm; every side must be above 0.")
        if given is not None and geometry.sizes == (None, None, None):
            object.__setattr__(self, "geometry", geometry.with_sizes_um(given))
        elif given is not None and given != geometry.voxel_size_um:
            raise ValueError(f"voxel_size_um is {given}, and that of the geometry {geometry.voxel_size_um}")
        object.__setattr__(self, "voxel_size_um", self.geometry.voxel_size_um)

    def at(self, geometry: Geometry) -> Sample:
        """Return the same volume with another geometry."""
        return replace(self, voxel_size_um=None, geometry=geometry)

    def with_channels(self, chosen: ChosenChannels) -> Sample:
        """Return the same volume with some of its channels, and a notice of the choice if there is one."""
        notices = (*self.notices, chosen.notice) if chosen.notice else self.notices
        if chosen.indices == tuple(range(self.n_channels)):
            return replace(self, notices=notices) if chosen.notice else self
        names = tuple(self.channel_names[index] for index in chosen.indices)
        own = by_channel(self.intensities, self.n_channels)
        intensities = tuple(each for index in chosen.indices if (each := own[index]) is not None)
        whole = None if not intensities else intensities if len(intensities) > 1 else intensities[0]
        image = self.channels[list(chosen.indices)]
        # The provenance has intensities of all channels.
        provenance = self.provenance and self.provenance.model_copy(update={"intensities": whole})
        chosen_part = replace(self, image=image, channel_names=names, provenance=provenance, intensities=whole)
        return replace(chosen_part, notices=notices)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.image) if self.image.ndim == 4 else 1

    @property
    def channels(self) -> NDArray[Any]:
        """The intensities as an array of shape (channel, z, y, x), also of a single channel; a view."""
        return self.image if self.image.ndim == 4 else self.image[None]

    @property
    def spacing(self) -> VoxelSize:
        """Size of a voxel along z, y, x to compute with, in ``geometry.unit``; see `Geometry.spacing`."""
        return self.geometry.spacing

    @property
    def shape(self) -> Shape3D:
        """Number of voxels along z, y, x."""
        z, y, x = self.image.shape[-3:]
        return z, y, x


def check_finite(sample: Sample) -> None:
    """Raise a `UserError` if intensities are NaN or infinite."""
    # Slice by slice here and below, so that a volume that is on disk is not loaded completely.
    if sample.image.dtype.kind == "f" and (bad := remembered("not finite", sample.channels, _count_not_finite)):
        raise UserError(f"The image '{sample.name}' has {bad} values that are NaN or infinite; replace them first.")


def _count_not_finite(channels: NDArray[Any]) -> int:
    return sum(_count(~np.isfinite(plane)) for channel in channels for plane in channel)


def _count(mask: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(mask))


def check_labels(name: str, labels: NDArray[Any], shape: Shape3D) -> None:
    """Raise a `UserError` if labels are not integers of the given shape."""
    if labels.shape != shape:
        raise UserError(
            f"The labels of '{name}' have shape {labels.shape}, its image {shape}; both must be the same volume."
            + _cause_of_shape(labels.shape, shape)
        )
    if labels.dtype.kind not in "bui":
        raise UserError(f"The labels of '{name}' have the data type {labels.dtype}; save them as an integer type.")


def _cause_of_shape(labels: Sequence[int], image: Shape3D) -> str:
    """Return the likely cause of different shapes as a sentence; empty if none is likely."""
    if sorted(labels) == sorted(image):
        return " The axes of the labels are in another order: save them as (z, y, x)."
    if tuple(labels[1:]) == image[1:]:
        return f" Slices are missing in the {'labels' if labels[0] < image[0] else 'image'}: export all of them."
    return ""


def check_mask(name: str, mask: NDArray[Any], shape: Shape3D) -> None:
    """Raise a `UserError` if a mask of annotated voxels is not boolean or not of the given shape."""
    if mask.shape != shape:
        raise UserError(
            f"The mask of '{name}' has shape {mask.shape}, its image {shape}; both must be the same volume."
        )
    if mask.dtype != bool:
        raise UserError(f"The mask of '{name}' has the data type {mask.dtype}; it must be boolean.")
