"""Labels that do not fit their image: stored the other way round, with other axes, or in the place of the image."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.lazy_array import in_memory

_SIDE = 48  # voxels that are compared along each axis
_GOOD_FIT = 0.5  # correlation of intensities and foreground
_POOR_FIT = 0.5  # of the best one
_FEW_VALUES = 8  # of an image
_MANY_LABELS = 64


def label_doubts(name: str, image: NDArray[Any], labels: NDArray[Any]) -> tuple[str, ...]:
    """Return messages if labels hardly fit an image: where they would fit if flipped, or are the image themselves.

    Parameters
    ----------
    name : str
        Name of the volume.
    image : ndarray of any real number type, shape (z, y, x) or (channel, z, y, x)
        Intensities.
    labels : ndarray of integers, shape (z, y, x)
        Labels of the same shape.

    Examples
    --------
    >>> image = np.zeros((8, 9, 10), np.uint8)
    >>> image[1:4, 2:7, 2:7] = 90
    >>> label_doubts("brain", image, image > 0), len(label_doubts("brain", image, image[::-1] > 0))
    ((), 1)
    """
    part = every_nth_voxel(labels)
    channels = every_nth_voxel(image).reshape(-1, *part.shape).astype(np.float32)
    return *_swapped(name, channels, part), *_other_axes(name, channels, part != 0)


def every_nth_voxel(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of the voxels that are compared: a part of the size of a small volume."""
    z, y, x = (max(1, -(-length // _SIDE)) for length in array.shape[-3:])
    return np.array(in_memory(array[..., ::z, ::y, ::x]))


def _swapped(name: str, channels: NDArray[np.float32], labels: NDArray[Any]) -> Iterator[str]:
    n_labels = len(np.unique(labels))
    n_values = max(len(np.unique(channel)) for channel in channels)
    if n_values <= _FEW_VALUES and n_labels >= _MANY_LABELS:
        yield (
            f"The image '{name}' has {n_values} values and its labels have {n_labels}. Check that image and labels are "
            "not swapped."
        )


def _other_axes(name: str, channels: NDArray[np.float32], foreground: NDArray[np.bool_]) -> Iterator[str]:
    """Find flipped or swapped axes of labels with which foreground and intensities go together much better."""
    channels = channels[channels.min((1, 2, 3)) < channels.max((1, 2, 3))]
    n_foreground = int(np.count_nonzero(foreground))
    if not len(channels) or n_foreground in (0, foreground.size):
        return
    centred = channels - channels.mean((1, 2, 3), keepdims=True)
    deviation = centred.std((1, 2, 3)) * np.sqrt(n_foreground * (foreground.size - n_foreground))

    def fit(turned: NDArray[np.bool_]) -> float:
        """Return the highest absolute correlation of the channels with a foreground."""
        return float(np.abs(centred[:, turned].sum(1) / deviation).max())

    own, best, how = fit(foreground), 0.0, ""
    for order in permutations(range(3)):
        if foreground.transpose(order).shape != foreground.shape:
            continue
        for flips in product((False, True), repeat=3):
            axes = tuple(axis for axis in range(3) if flips[axis])
            if (axes or order != (0, 1, 2)) and (found := fit(np.flip(foreground.transpose(order), axes))) > best:
                best, how = found, _describe(order, axes)
    if best >= _GOOD_FIT and own < _POOR_FIT * best:
        yield (
            f"The labels of '{name}' hardly fit its image and would if {how}. Check that both are stored in the same "
            "direction."
        )


def _describe(order: tuple[int, ...], flips: tuple[int, ...]) -> str:
    parts = []
    if order != (0, 1, 2):
        parts.append(f"their axes were ({', '.join('zyx'[axis] for axis in order)})")
    if flips:
        parts.append(f"they were flipped along {' and '.join('zyx'[axis] for axis in flips)}")
    return " and ".join(parts)
