"""How unsure a prediction is, voxel by voxel, and where annotating would help it most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # whose parts are loaded when they are used, not when a dock opens
from numpy.typing import NDArray

_DISTANCE_PER_SIDE = 0.1


def foreground_entropy(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the entropy of foreground against background in bits.

    Of a mean over mirror images it is the whole (predictive) uncertainty: it is high where each image gives a
    probability near one half, and where the images contradict each other.

    Parameters
    ----------
    probability : ndarray of floats, shape (z, y, x)
        Mean probability of foreground, from 0 to 1.

    Returns
    -------
    ndarray of float32, shape (z, y, x)
        0 where the probability is 0 or 1, and 1 where it is one half.
    """
    return _entropy(probability, None)


def class_entropy(probability: NDArray[np.float32], classes: NDArray[Any]) -> NDArray[np.float32]:
    """Return the entropy over background and classes, divided by the largest possible one (log2 of their number).

    Parameters
    ----------
    probability : ndarray of floats, shape (z, y, x)
        Mean probability of anything but background, from 0 to 1.
    classes : ndarray of floats, shape (class, z, y, x)
        Mean probability of each class without background.

    Returns
    -------
    ndarray of float32, shape (z, y, x)
        0 where one of them is certain, and 1 where all are equally probable.
    """
    return _entropy(probability, classes)


def _entropy(probability: NDArray[np.float32], classes: NDArray[Any] | None) -> NDArray[np.float32]:
    entropy = np.empty(probability.shape, np.float32)
    largest = np.log(2 if classes is None else 1 + len(classes))
    for z, plane in enumerate(probability):  # slice by slice, so that no second volume is needed
        others = plane[None] if classes is None else classes[:, z]
        total = scipy.special.entr(1 - plane.astype(np.float32)) + scipy.special.entr(others.astype(np.float32)).sum(0)
        entropy[z] = np.clip(total / largest, 0, 1)  # rounding may lead just beyond
    return entropy


@dataclass(frozen=True, slots=True)
class UncertainLocation:
    """A place worth looking at: a voxel and how unsure the prediction is around it, from 0 to 1."""

    position_zyx: tuple[int, int, int]
    score: float


def uncertain_locations(
    uncertainty: NDArray[np.floating[Any]],
    voxel_size_um: tuple[float, float, float],
    n: int = 20,
    min_distance_um: float | None = None,
    annotated: NDArray[np.bool_] | None = None,
) -> tuple[UncertainLocation, ...]:
    """Find the places where annotating would help most: the most uncertain ones, apart from each other.

    Single unsure voxels lie along every border; what counts is the mean around a voxel. So the uncertainty is averaged
    with a Gaussian that is round in µm, its local maxima are taken from the highest on, and those that lie too near
    to one taken before are left out.

    Parameters
    ----------
    uncertainty : ndarray of floats, shape (z, y, x)
        From 0 (sure) to 1.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm.
    n : int
        How many places at most.
    min_distance_um : float, optional
        Least distance between two places in µm; the Gaussian has a quarter of it as standard deviation. A tenth of the
        volume's longest side without it.
    annotated : ndarray of bool, shape (z, y, x), optional
        Where there are annotations already; these voxels count as sure, and none of them is a place.

    Returns
    -------
    tuple of Place
        The most uncertain first; of equal ones the one with the lowest z, y, x. Fewer than `n` when there are no more.
    """
    sizes = np.asarray(voxel_size_um, float)
    distance = min_distance_um
    if distance is None:
        distance = _DISTANCE_PER_SIDE * float((sizes * uncertainty.shape).max())
    open_part = uncertainty.astype(np.float32, copy=annotated is not None)
    if annotated is not None:
        open_part[annotated] = 0
    averaged = scipy.ndimage.gaussian_filter(open_part, distance / 4 / sizes, mode="nearest")
    if annotated is not None:
        averaged[annotated] = 0  # so that a maximum in there hides none beside it
    is_place = (averaged > 0) & (averaged == scipy.ndimage.maximum_filter(averaged, 3, mode="nearest"))
    positions = np.argwhere(is_place)
    scores = averaged[is_place]
    order = np.argsort(-scores, kind="stable")  # argwhere lists z, y, x ascending
    positions, scores = positions[order], scores[order]

    places: list[UncertainLocation] = []
    while len(positions) and len(places) < n:
        z, y, x = positions[0].tolist()
        places.append(UncertainLocation((z, y, x), float(scores[0])))
        is_far = (np.square((positions - positions[0]) * sizes).sum(1)) >= distance**2
        is_far[0] = False  # it is taken itself, also when the distance is 0
        positions, scores = positions[is_far], scores[is_far]
    return tuple(places)
