"""The event of `augmented_patches`, without torch for those who only show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.training.loading.targets import IGNORE_INDEX

BOUNDARY = 2
"""Label of voxels where two instances touch, for the task instance; other voxels of instances are 1."""
NOT_ANNOTATED = IGNORE_INDEX
"""Label of voxels that are not used for training."""


@dataclass(frozen=True, slots=True)
class AugmentedPatch:
    """A patch, or a whole volume if steps use whole volumes, before and after augmentation.

    Attributes
    ----------
    name : str
        Name of the volume.
    start_zyx : tuple of int
        First voxel (z, y, x) of the patch in the volume.
    geometry : Geometry
        Voxel size of the patch: that of its volume, or that which the volumes are resampled to; unknown where it is
        for the volume.
    image, original : ndarray of float32, shape (z, y, x), or (channel, z, y, x) for several channels
        Normalised intensities with and without augmentation.
    labels, original_labels : ndarray of uint8, shape (z, y, x)
        Targets: 0 background, 1 foreground or the number of the class, `BOUNDARY` or `NOT_ANNOTATED`.
    channel_names : tuple of str
        Names of the channels; empty for a single one without a name.
    """

    name: str
    start_zyx: Shape3D
    geometry: Geometry
    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    original: NDArray[np.float32]
    original_labels: NDArray[np.uint8]
    channel_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AugmentedPatches:
    """The result of `augmented_patches`.

    Attributes
    ----------
    patches : tuple of AugmentedPatch
        In the order in which training sees them.
    n_before : int
        Number of patches that training sees before these.
    label_names : dict of int to str
        Names of the label values.
    augmentation : str
        How the patches were augmented.
    """

    patches: tuple[AugmentedPatch, ...]
    n_before: int
    label_names: dict[int, str]
    augmentation: str
