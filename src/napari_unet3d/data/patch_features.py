"""Patches of an image that differ from each other: brightness and structure of a grid of patches, and a choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import scipy  # submodules are loaded on first use, not when a dock opens
from numpy.typing import NDArray

_PATCHES_PER_SIDE = 12  # along the longest side of the volume
_SMALLEST_PATCH = 4  # voxels
_WEIGHT_OF_PLACE = 0.25  # of the distance in space, against brightness and structure
_WEIGHT_WITHOUT_STRUCTURE = 0.4  # of the most even patch: one such as empty space teaches little
_FIRST_STRUCTURE = 0.9  # rank of the first patch: much structure, but no outlier such as an artefact
_FIRST_BRIGHTNESS = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class PatchFeatures:
    """A grid of patches that covers a volume, without what is left over at its far ends.

    Attributes
    ----------
    side : tuple of int
        Voxels of a patch along z, y, x.
    brightness, structure : ndarray of float64, shape (channel, patch z, patch y, patch x)
        Mean and standard deviation of the intensities in each patch.
    annotated : ndarray of bool, shape (patch z, patch y, patch x)
        Whether anything in a patch is annotated.
    """

    side: tuple[int, int, int]
    brightness: NDArray[np.float64]
    structure: NDArray[np.float64]
    annotated: NDArray[np.bool_]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of patches along z, y, x."""
        return self.annotated.shape


@dataclass(frozen=True, slots=True)
class SuggestedPatch:
    """A patch that is worth annotating.

    Attributes
    ----------
    position_zyx : tuple of int
        The voxel in its middle.
    reason : str
        In what it differs, for the user.
    """

    position_zyx: tuple[int, int, int]
    reason: str


def patch_side(shape: Sequence[int], spacing: Sequence[float]) -> tuple[int, int, int]:
    """Return the sides in voxels of patches that are about as long as they are wide in space.

    >>> patch_side((120, 240, 240), (2.0, 1.0, 1.0))
    (10, 20, 20)
    """
    length = max(size * voxels for size, voxels in zip(spacing, shape, strict=True)) / _PATCHES_PER_SIDE
    z, y, x = (
        min(voxels, max(_SMALLEST_PATCH, round(length / size))) for size, voxels in zip(spacing, shape, strict=True)
    )
    return z, y, x


def compute_features(
    channels: Sequence[Any], annotation: NDArray[Any], spacing: Sequence[float]
) -> Iterator[tuple[int, int] | PatchFeatures]:
    """Compute brightness and structure of a grid of patches, one layer of patches after the other.

    Parameters
    ----------
    channels : sequence of array-like, each of shape (z, y, x)
        The image; it is read slab by slab.
    annotation : ndarray of integers, shape (z, y, x)
        0 where nothing is annotated.
    spacing : sequence of float
        Size of a voxel along z, y, x.

    Yields
    ------
    tuple of int
        Slabs that are done, and all slabs.
    PatchFeatures
        The last one.
    """
    side = patch_side(annotation.shape, spacing)
    grid = tuple(voxels // length for voxels, length in zip(annotation.shape, side, strict=True))
    brightness, structure = (np.zeros((len(channels), *grid)) for _ in range(2))
    annotated = np.zeros(grid, bool)
    for at in range(grid[0]):
        slab = slice(at * side[0], (at + 1) * side[0])
        annotated[at] = _patches(annotation[slab] != 0, side).any(axis=(0, 2, 4))
        for number, channel in enumerate(channels):
            patches = _patches(np.asarray(channel[slab], np.float32), side)
            brightness[number, at] = patches.mean(axis=(0, 2, 4), dtype=np.float64)
            structure[number, at] = patches.std(axis=(0, 2, 4), dtype=np.float64)
        yield at + 1, grid[0]
    yield PatchFeatures(side, brightness, structure, annotated)


def _patches(slab: NDArray[Any], side: tuple[int, int, int]) -> NDArray[Any]:
    """Return a slab as an array of shape (z, patch y, y, patch x, x)."""
    _, rows, columns = side
    n_rows, n_columns = slab.shape[1] // rows, slab.shape[2] // columns
    return slab[:, : n_rows * rows, : n_columns * columns].reshape(len(slab), n_rows, rows, n_columns, columns)


def choose_patches(features: PatchFeatures, n: int = 10) -> tuple[SuggestedPatch, ...]:
    """Choose patches that differ from what is annotated, and from each other, in brightness and structure.

    Each next patch is the one that is farthest from all that are annotated or chosen already (farthest-first
    traversal). Values are compared by their ranks, so that single outliers such as hot pixels count no more than
    others; the distance in space counts a little, too, and patches with structure count more than even ones. Patches
    at the border of the volume, and those beside annotated ones, are left out while there are others.

    Parameters
    ----------
    features : PatchFeatures
        The patches.
    n : int
        Maximum number of patches.

    Returns
    -------
    tuple of SuggestedPatch
        The most different first; empty when every patch is annotated.
    """
    candidates = _candidates(features)
    if not candidates.any():
        return ()
    ranks, places = _ranks(features), _places(features)
    structure = ranks[:, ranks.shape[1] // 2 :].mean(axis=1)
    weights = _WEIGHT_WITHOUT_STRUCTURE + (1 - _WEIGHT_WITHOUT_STRUCTURE) * structure
    vectors = np.concatenate([ranks, places * _WEIGHT_OF_PLACE], axis=1)
    known = [int(patch) for patch in np.flatnonzero(features.annotated)]
    distances = np.full(len(vectors), np.inf)
    for patch in known:
        distances = np.minimum(distances, np.linalg.norm(vectors - vectors[patch], axis=1))
    chosen: list[SuggestedPatch] = []
    while len(chosen) < n and candidates.any():
        if known:
            patch = int(np.argmax(np.where(candidates, distances * weights, -1)))
        else:
            patch = int(np.argmin(np.where(candidates, _distance_from_typical(ranks), np.inf)))
        chosen.append(SuggestedPatch(_middle(features, patch), _reason(ranks, patch, known, len(features.brightness))))
        candidates[patch] = False
        known.append(patch)
        distances = np.minimum(distances, np.linalg.norm(vectors - vectors[patch], axis=1))
    return tuple(chosen)


def _candidates(features: PatchFeatures) -> NDArray[np.bool_]:
    """Return which patches may be chosen, as a flat array."""
    free = ~features.annotated
    inside = np.zeros(features.shape, bool)
    inside[tuple(slice(1, -1) if side > 2 else slice(None) for side in features.shape)] = True
    beside = scipy.ndimage.binary_dilation(features.annotated, np.ones((3, 3, 3), bool))
    for wanted in (free & inside & ~beside, free & inside, free):
        if wanted.any():
            return np.asarray(wanted).ravel()
    return free.ravel()


def _ranks(features: PatchFeatures) -> NDArray[np.float64]:
    """Return the ranks of brightness and structure of each channel, from 0 to 1, of shape (patch, value)."""
    values = np.concatenate([features.brightness, features.structure]).reshape(2 * len(features.brightness), -1)
    n = max(1, values.shape[1] - 1)
    ranks: NDArray[np.float64] = (scipy.stats.rankdata(values, axis=1) - 1).T / n
    return ranks


def _places(features: PatchFeatures) -> NDArray[np.float64]:
    """Return the positions of the patches, from 0 to 1 along the longest side, of shape (patch, 3)."""
    sizes = np.array(features.side, float)
    positions = np.indices(features.shape).reshape(3, -1).T * sizes
    return np.asarray(positions / max(1.0, positions.max(initial=0)))


def _distance_from_typical(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    n_channels = ranks.shape[1] // 2
    brightness = np.abs(ranks[:, :n_channels] - _FIRST_BRIGHTNESS).mean(axis=1)
    structure = np.abs(ranks[:, n_channels:] - _FIRST_STRUCTURE).mean(axis=1)
    return np.asarray(structure + brightness / 2)


def _middle(features: PatchFeatures, patch: int) -> tuple[int, int, int]:
    at = np.unravel_index(patch, features.shape)
    z, y, x = (int(index) * side + ceil(side / 2) - 1 for index, side in zip(at, features.side, strict=True))
    return z, y, x


def _reason(ranks: NDArray[np.float64], patch: int, known: Sequence[int], n_channels: int) -> str:
    """Return in what a patch differs most from those that are known."""
    if not known:
        return "much structure, with object and background close together"
    differences = ranks[patch] - ranks[list(known)].mean(axis=0)
    most = int(np.argmax(np.abs(differences)))
    words = ("darker", "brighter") if most < n_channels else ("more even", "more structure")
    channel = f" in channel {most % n_channels + 1}" if n_channels > 1 else ""
    return f"{words[int(differences[most] > 0)]}{channel} than the places annotated or suggested so far"
