"""A plain matching of objects, written for tests alone so that it can judge the package's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def object_f1(found: NDArray[Any], wanted: NDArray[Any], least_iou: float = 0.5) -> float:
    """F1 of objects that overlap by more than `least_iou`, above one half, where each has one partner at most."""
    hits = 0
    for number in set(np.unique(found)) - {0}:
        region = found == number
        partners, shared = np.unique(wanted[region], return_counts=True)
        for partner, overlap in zip(partners.tolist(), shared.tolist(), strict=True):
            either = region.sum() + (wanted == partner).sum() - overlap
            hits += partner != 0 and overlap / either > least_iou
    n_objects = len(set(np.unique(found)) - {0}) + len(set(np.unique(wanted)) - {0})
    return 2 * hits / n_objects
