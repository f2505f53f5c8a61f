"""The training volume that is made of the corrections of a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task, UneditedRegions
from napari_unet3d.data.boxes import Box, expand_to, union, whole_box
from napari_unet3d.data.corrections import Corrections
from napari_unet3d.data.intensities import by_channel, compute_whole_intensities
from napari_unet3d.data.provenance import Provenance
from napari_unet3d.data.sample import Sample, Shape3D
from napari_unet3d.errors import UserError

_MAX_CROP = 0.5  # fraction of the volume up to which it is cropped


def make_corrected_volume(
    corrections: Corrections,
    image: NDArray[Any],
    provenance: Provenance,
    unedited_regions: UneditedRegions,
    ignore_label: int | None,
    minimum_shape: Shape3D,
) -> Sample:
    """Return a training volume of all corrections, cropped if that saves at least half of the volume.

    Parameters
    ----------
    corrections : Corrections
        The corrections.
    image : ndarray of real numbers, shape (z, y, x) or (channel, z, y, x)
        The predicted image.
    provenance : Provenance
        The provenance; position, unedited regions and corrections are filled in, and the intensities of the image
        unless it has some.
    unedited_regions : UneditedRegions
        How the prediction outside the corrected regions is used.
    ignore_label : int or None
        The label value of voxels that are not annotated in the dataset.
    minimum_shape : tuple of int
        Minimum shape (z, y, x) of the crop, such as the patch of the network.

    Raises
    ------
    UserError
        If there are no corrections.
    """
    if not corrections.done:
        raise UserError("There are no corrections yet. Correct an error first.")
    is_accepted = unedited_regions is UneditedRegions.ACCEPT
    whole = whole_box(corrections.labels.shape)
    box = (
        whole
        if is_accepted
        else _crop_box([each.box for each in corrections.done], minimum_shape, corrections.labels.shape)
    )
    labels = _encode_labels(corrections.labels[box], corrections.task, ignore_label)
    mask = np.ones(labels.shape, bool) if is_accepted else corrections.annotated_mask(box)
    start, records = tuple(side.start for side in box), tuple(correction.record for correction in corrections.done)
    n_channels = len(image) if image.ndim == 4 else 1
    is_known = None not in by_channel(provenance.intensities, n_channels)
    intensities = provenance.intensities if is_known else compute_whole_intensities(image)  # of a whole volume
    changes = {"start_zyx": start, "unedited_regions": unedited_regions.value, "corrections": records}
    provenance = provenance.model_copy(update={**changes, "intensities": intensities})
    name = f"{provenance.volume} corrected"
    arrays = image[(..., *box)].copy(), np.where(mask, labels, 0)
    geometry = corrections.geometry.cropped(start)
    return Sample(name, *arrays, label_mask=mask, provenance=provenance, geometry=geometry)


def _crop_box(boxes: Sequence[Box], minimum_shape: Shape3D, shape: tuple[int, ...]) -> Box:
    """Return the box to crop to: around all boxes if that saves enough, else the whole volume."""
    box = expand_to(reduce(union, boxes), minimum_shape, shape)
    n_voxels = prod(side.stop - side.start for side in box)
    return box if n_voxels <= _MAX_CROP * prod(shape) else whole_box(shape)


def _encode_labels(labels: NDArray[Any], task: Task, ignore_label: int | None) -> NDArray[Any]:
    """Return labels in the convention of a dataset: 1 is background if 0 is ignored; no id is the ignore label."""
    if ignore_label == 0:
        if task is Task.SEMANTIC:  # class values are already those of the dataset
            return np.where(labels > 0, labels, 1)
        return labels.astype(np.min_scalar_type(int(labels.max(initial=0)) + 1)) + 1
    if task is Task.SEMANTIC or ignore_label is None or not (labels == ignore_label).any():
        return labels
    free = int(labels.max(initial=0)) + 1
    return np.where(labels == ignore_label, free, labels).astype(np.min_scalar_type(free))
