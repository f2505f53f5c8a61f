"""Which parts of labels have changed since they were measured, found block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.boxes import Box

BLOCK = 32
"""Side of a block in voxels."""
_DIGEST = 16


def fingerprint(labels: NDArray[Any]) -> Iterator[NDArray[np.bytes_] | None]:
    """Compute a digest of each block of labels; the last event is the result, those before are None.

    Returns
    -------
    ndarray of bytes, shape (z, y, x) of blocks
    """
    counts = tuple(-(-side // BLOCK) for side in labels.shape)
    digests = np.zeros(counts, f"S{_DIGEST}")
    for z in range(counts[0]):
        for y, x in product(range(counts[1]), range(counts[2])):
            block = np.ascontiguousarray(labels[block_box((z, y, x))])
            # A zero byte at the end would be cut off, so the digest is written as text.
            digests[z, y, x] = hashlib.blake2b(block.tobytes(), digest_size=_DIGEST // 2).hexdigest().encode()
        yield None
    yield digests


def block_box(block: tuple[int, int, int]) -> Box:
    """Return the box of a block, which may reach beyond the volume."""
    z, y, x = (slice(at * BLOCK, (at + 1) * BLOCK) for at in block)
    return z, y, x


def is_near(changed: NDArray[np.bool_], boxes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each box whether it or the voxels next to it are in a block that has changed.

    Parameters
    ----------
    changed : ndarray of bool, shape (z, y, x) of blocks
        The blocks that have changed.
    boxes : ndarray of int, shape (box, 3, 2)
        Start and stop along z, y, x.
    """
    sums = np.pad(changed.astype(np.int64), ((1, 0),) * 3).cumsum(0).cumsum(1).cumsum(2)
    first = np.maximum(boxes[:, :, 0] - 1, 0) // BLOCK
    last = np.minimum(boxes[:, :, 1] // BLOCK, np.array(changed.shape) - 1) + 1
    corners = (first, last)
    total = np.zeros(len(boxes), np.int64)
    for bits in product((0, 1), repeat=3):
        z, y, x = (corners[bit][:, axis] for axis, bit in enumerate(bits))
        total += (-1) ** (3 - sum(bits)) * sums[z, y, x]
    return total > 0
