"""The layer that says where the labels of another layer hold; whoever reads those labels finds it."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

_KEY = "napari-unet3d annotated"  # of the metadata of the labels


def keep_mask(labels: Labels, mask: Labels | None) -> None:
    """Let a layer, 0 where nothing is annotated, say where labels hold; None: they hold everywhere."""
    labels.metadata[_KEY] = mask


def mask_layer_of(labels: Labels) -> Labels | None:
    """Return the layer that says where labels hold; None when nothing but themselves tells it.

    It stays when it is removed from the viewer.
    """
    mask = labels.metadata.get(_KEY)
    return mask if isinstance(mask, Labels) and np.shape(mask.data) == np.shape(labels.data) else None


def mask_of(labels: Labels) -> NDArray[np.bool_] | None:
    """Return where the labels of a layer hold, shape (z, y, x), as it was painted in `mask_layer_of`; None as there."""
    mask = mask_layer_of(labels)
    if mask is None:
        return None
    annotated: NDArray[np.bool_] = np.asarray(mask.data) > 0
    return annotated
