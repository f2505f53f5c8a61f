"""A plain matching of objects, independent of the package."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def object_f1(predicted: NDArray[Any], target: NDArray[Any], min_iou: float = 0.5) -> float:
    """Return the F1 of objects matched by an IoU above `min_iou`; above one half, each has at most one partner."""
    hits = 0
    for number in set(np.unique(predicted)) - {0}:
        region = predicted == number
        partners, shared = np.unique(target[region], return_counts=True)
        for partner, overlap in zip(partners.tolist(), shared.tolist(), strict=True):
            either = region.sum() + (target == partner).sum() - overlap
            hits += partner != 0 and overlap / either > min_iou
    n_objects = len(set(np.unique(predicted)) - {0}) + len(set(np.unique(target)) - {0})
    return 2 * hits / n_objects
