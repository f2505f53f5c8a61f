from __future__ import annotations

import numpy as np

from napari_unet3d.data.sample import Sample


def make_sample(name: str, seed: int, shape: tuple[int, int, int] = (17, 18, 20)) -> Sample:
    """Two bright boxes in noise, the sides of the volume not all even."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, dtype=np.int32)
    z, y, x = rng.integers(0, 6, 3)
    labels[z : z + 6, y : y + 8, x : x + 5] = 1
    labels[10:15, y + 3 : y + 10, 11:17] = 300
    image = rng.normal(100, 10, shape) + 60 * (labels > 0)
    return Sample(name, image.clip(0, 255).astype(np.uint8), labels, (2.0, 1.0, 1.0))
