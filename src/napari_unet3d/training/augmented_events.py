"""What `augmented_patches` gives, for those who show it and need no torch for that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.sample import Shape3D, VoxelSize
from napari_unet3d.training.loading.targets import IGNORE_INDEX

BOUNDARY = 2
"""Label of the voxels where two objects meet, of the task objects; their other voxels are 1."""
NOT_ANNOTATED = IGNORE_INDEX
"""Label of voxels that nothing is learnt from."""


@dataclass(frozen=True, slots=True)
class AugmentedPatch:
    """A patch, or a whole volume where steps take whole ones, before and after it was varied.

    Attributes
    ----------
    name : str
        The volume that it is of.
    start_zyx : tuple of int
        Its first voxel there.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    image, original : ndarray of float32, shape (z, y, x)
        Normalised grey values as the network is given them, and without augmentation.
    labels, original_labels : ndarray of uint8, shape (z, y, x)
        What is to be learnt: 0 background, 1 foreground, or the number of the class, or `BOUNDARY`, or
        `IGNORE`.
    """

    name: str
    start_zyx: Shape3D
    voxel_size_um: VoxelSize
    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    original: NDArray[np.float32]
    original_labels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class AugmentedPatches:
    """What `augmented_patches` found.

    Attributes
    ----------
    patches : tuple of AugmentedPatch
        In the order in which the training sees them.
    n_before : int
        How many it sees before these.
    label_words : dict of int to str
        What the labels mean.
    level_words : str
        How the patches were varied.
    """

    patches: tuple[AugmentedPatch, ...]
    n_before: int
    label_words: dict[int, str]
    level_words: str
