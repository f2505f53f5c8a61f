"""The layer with the mask of the annotated voxels of another layer."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

_KEY = "napari-unet3d annotated"  # of the metadata of the labels


def keep_mask(labels: Labels, mask: Labels | None) -> None:
    """Use a layer, 0 where nothing is annotated, as the mask of labels; None when they are annotated everywhere."""
    labels.metadata[_KEY] = mask


def mask_layer_of(labels: Labels) -> Labels | None:
    """Return the layer with the mask of labels; None when they have none.

    It stays when it is removed from the viewer.
    """
    mask = labels.metadata.get(_KEY)
    return mask if isinstance(mask, Labels) and np.shape(mask.data) == np.shape(labels.data) else None


def mask_of(labels: Labels) -> NDArray[np.bool_] | None:
    """Return the mask of the annotated voxels of labels, shape (z, y, x); None when they have none."""
    mask = mask_layer_of(labels)
    if mask is None:
        return None
    annotated: NDArray[np.bool_] = np.asarray(mask.data) > 0
    return annotated
