"""Volumes of two channels whose classes differ only in which channel is bright."""

from __future__ import annotations

import numpy as np

from napari_unet3d.data.sample import Sample

NAMES = ("dapi", "membrane")
SHAPE = (17, 33, 36)


def two_channels(name: str, seed: int, channel_names: tuple[str, ...] = NAMES) -> Sample:
    """Return a volume with balls of class 1, bright in the first channel, and of class 2, bright in the second one."""
    rng = np.random.default_rng(seed)
    grid = np.indices(SHAPE)
    labels = np.zeros(SHAPE, np.uint8)
    for number in range(12):
        centre = [rng.integers(5, side - 5) for side in SHAPE]
        ball = sum((axis - at) ** 2 for axis, at in zip(grid, centre, strict=True)) <= rng.integers(4, 6) ** 2
        labels[ball & (labels == 0)] = 1 + number % 2
    image = rng.normal(100, 5, (2, *SHAPE))
    image[0][labels == 1] += 80
    image[1][labels == 2] += 80
    image[1] *= 30  # another range of intensities
    return Sample(name, image.clip(0).astype(np.uint16), labels, (1.0, 0.5, 0.5), channel_names=channel_names)
