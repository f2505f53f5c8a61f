"""The uncertainty of a prediction, voxel by voxel, and where annotating would help most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # submodules are loaded on first use, not when a dock opens
from numpy.typing import NDArray

_DISTANCE_PER_SIDE = 0.1


def foreground_entropy(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the entropy of foreground against background in bits.

    Of a mean over mirrored images it is the total (predictive) uncertainty: it is high where each image has a
    probability near one half, and where the images contradict each other.

    Parameters
    ----------
    probability : ndarray of floats, shape (z, y, x)
        Mean probability of foreground, from 0 to 1.

    Returns
    -------
    ndarray of float32, shape (z, y, x)
        0 where the probability is 0 or 1, 1 where it is one half.
    """
    return _entropy(probability, None)


def class_entropy(probability: NDArray[np.float32], classes: NDArray[Any]) -> NDArray[np.float32]:
    """Return the entropy over background and classes, divided by the largest possible one (log2 of their number).

    Parameters
    ----------
    probability : ndarray of floats, shape (z, y, x)
        Mean probability of foreground, from 0 to 1.
    classes : ndarray of floats, shape (class, z, y, x)
        Mean probability of each class without background.

    Returns
    -------
    ndarray of float32, shape (z, y, x)
        0 where one of them is certain, 1 where all are equally probable.
    """
    return _entropy(probability, classes)


def _entropy(probability: NDArray[np.float32], classes: NDArray[Any] | None) -> NDArray[np.float32]:
    entropy = np.empty(probability.shape, np.float32)
    largest = np.log(2 if classes is None else 1 + len(classes))
    for z, plane in enumerate(probability):  # slice by slice, to need no memory for a second volume
        others = plane[None] if classes is None else classes[:, z]
        total = scipy.special.entr(1 - plane.astype(np.float32)) + scipy.special.entr(others.astype(np.float32)).sum(0)
        entropy[z] = np.clip(total / largest, 0, 1)  # rounding may exceed them slightly
    return entropy


@dataclass(frozen=True, slots=True)
class UncertainLocation:
    """A location worth annotating: a voxel, and the mean uncertainty around it, from 0 to 1."""

    position_zyx: tuple[int, int, int]
    score: float


def uncertain_locations(
    uncertainty: NDArray[np.floating[Any]],
    spacing: tuple[float, float, float],
    n: int = 20,
    min_distance: float | None = None,
    annotated: NDArray[np.bool_] | None = None,
) -> tuple[UncertainLocation, ...]:
    """Return where annotating would help most: the most uncertain locations, at a distance from each other.

    There are single uncertain voxels along every border; the mean around a voxel matters. Therefore the uncertainty is
    smoothed with a Gaussian that is isotropic in space, and its local maxima are taken in descending order, except
    those too close to one taken before.

    Parameters
    ----------
    uncertainty : ndarray of floats, shape (z, y, x)
        From 0 (sure) to 1.
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of the distances.
    n : int
        Maximum number of locations.
    min_distance : float, optional
        Minimum distance between two locations in the unit of `spacing`; the standard deviation of the Gaussian is a
        quarter of it. By default a tenth of the volume's longest side.
    annotated : ndarray of bool, shape (z, y, x), optional
        Voxels that are already annotated; they count as certain, and none of them is returned.

    Returns
    -------
    tuple of UncertainLocation
        The most uncertain first; of equal ones the one with the lowest z, y, x. Fewer than `n` if there are no more.
    """
    sizes = np.asarray(spacing, float)
    distance = min_distance
    if distance is None:
        distance = _DISTANCE_PER_SIDE * float((sizes * uncertainty.shape).max())
    remaining = uncertainty.astype(np.float32, copy=annotated is not None)
    if annotated is not None:
        remaining[annotated] = 0
    averaged = scipy.ndimage.gaussian_filter(remaining, distance / 4 / sizes, mode="nearest")
    if annotated is not None:
        averaged[annotated] = 0  # so that a maximum inside hides none next to it
    is_maximum = (averaged > 0) & (averaged == scipy.ndimage.maximum_filter(averaged, 3, mode="nearest"))
    positions = np.argwhere(is_maximum)
    scores = averaged[is_maximum]
    order = np.argsort(-scores, kind="stable")  # argwhere lists z, y, x ascending
    positions, scores = positions[order], scores[order]

    locations: list[UncertainLocation] = []
    while len(positions) and len(locations) < n:
        z, y, x = positions[0].tolist()
        locations.append(UncertainLocation((z, y, x), float(scores[0])))
        is_far = (np.square((positions - positions[0]) * sizes).sum(1)) >= distance**2
        is_far[0] = False  # the location itself is removed, also if the distance is 0
        positions, scores = positions[is_far], scores[is_far]
    return tuple(locations)
