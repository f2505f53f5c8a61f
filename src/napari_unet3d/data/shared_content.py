"""Whether volumes have the same content, by intensities rather than names: copies, crops and overlapping parts."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.box_hashes import BOX_SIDE, box_hashes, has_any, hashes_of_boxes, smallest_shape
from napari_unet3d.data.boxes import bounding_box, expand_to, whole_box
from napari_unet3d.data.dataset import Subset, list_pairs
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.series import list_time_points
from napari_unet3d.data.volumes import read_channels
from napari_unet3d.errors import UserError


def shares_content(sample: Sample, image: NDArray[Any]) -> bool:
    """Return whether an image contains the annotated part of a volume, completely or partly.

    Boxes of 8 × 8 × 8 voxels are searched for at every position of the image. A common part is found if it has at
    least 11 voxels along each axis, or the full length of one of the volumes. If a box has too few different
    intensities, boxes may be equal by chance, and only the whole annotated part is searched for. Rotated, resampled or
    rescaled images are not recognised.

    Parameters
    ----------
    sample : Sample
        A volume, such as a corrected one; its name is not compared.
    image : ndarray of real numbers, shape (z, y, x) or (channel, z, y, x)
        Intensities of any number type. Of several channels, one is enough; they are compared in their order, or each
        with each if the numbers differ.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 255, (16, 16, 16))
    >>> shares_content(Sample("crop", image[2:14, 2:14, 2:14]), image)
    True
    >>> shares_content(Sample("other", image[::-1]), image)
    False
    """
    box = whole_box(sample.shape) if sample.label_mask is None else bounding_box(sample.label_mask)
    if box is None:
        return False
    box = expand_to(box, (BOX_SIDE,) * 3, sample.shape)
    annotated = None if sample.label_mask is None else sample.label_mask[box]
    own, others = sample.channels[(slice(None), *box)], image if image.ndim == 4 else image[None]
    pairs = zip(own, others, strict=True) if len(own) == len(others) else product(own, others)
    return any(_shares_part(part, annotated, other) for part, other in pairs)


def _shares_part(part: NDArray[Any], annotated: NDArray[np.bool_] | None, image: NDArray[Any]) -> bool:
    """Return whether an image contains boxes of a part of another one; see `shares_content`."""
    side = smallest_shape(part.shape, image.shape, (BOX_SIDE,) * 3)
    sought = hashes_of_boxes(part, annotated, side)
    if not sought.size and smallest_shape(part.shape, image.shape) == part.shape and part.min() < part.max():
        side = smallest_shape(part.shape)
        sought = np.concatenate([hashes.ravel() for _, hashes in box_hashes(part, side)])
    return sought.size > 0 and has_any(image, side, sought)


def matching_volumes(dataset: Path, sample: Sample, subset: Subset = Subset.TEST) -> tuple[str, ...]:
    """Return the names of the volumes of a subset that contain the annotated part of a sample; see `shares_content`.

    Parameters
    ----------
    dataset : Path
        A dataset folder; one that does not exist has no volumes.
    sample : Sample
        For example a corrected volume to train on.
    subset : Subset
        Whose volumes are compared.

    Raises
    ------
    UserError
        If a volume cannot be read.
    """
    try:
        pairs = list_time_points(list_pairs(dataset, subset))
    except UserError:
        return ()
    return tuple(
        pair.name
        for pair in pairs
        if pair.image
        and shares_content(sample, read_channels(pair.image, times_as_channels=True, time=pair.time).array)
    )
