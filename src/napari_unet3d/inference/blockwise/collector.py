"""The network output of blocks that lie above each other, as it becomes final slice by slice."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.configs import Task
from napari_unet3d.data.boxes import Box
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.transforms.resample_part import AxisPart, box_parts, needed_box, resample_part

Maps = tuple[NDArray[np.float32], NDArray[np.float16] | None]


@dataclass(frozen=True, slots=True)
class BlockOutput:
    """A block and the network output that it is computed from.

    Attributes
    ----------
    number : int
        The block.
    box : tuple of slice
        Where it is in the image.
    parts : tuple of AxisPart
        How it is resampled from the output.
    """

    number: int
    box: Box
    parts: tuple[AxisPart, AxisPart, AxisPart]

    @property
    def needed(self) -> Box:
        """The box of the network output, without padding."""
        return needed_box(self.parts)


def block_output(number: int, box: Box, image_zyx: Shape3D, network_zyx: Shape3D) -> BlockOutput:
    """Return the network output that a block of an image is computed from."""
    return BlockOutput(number, box, box_parts(box, network_zyx, image_zyx))


def padded_box(blocks: Sequence[BlockOutput], before: Shape3D) -> Box:
    """Return the box of the padded network input whose output some blocks above each other need."""
    first, last = blocks[0].needed, blocks[-1].needed
    z, y, x = (slice(own.start + pad, other.stop + pad) for own, other, pad in zip(first, last, before, strict=True))
    return z, y, x


class BlockCollector:
    """Takes the slices of the network output, and returns each block when its last slice is there.

    Parameters
    ----------
    task : Task
        Determines the meaning of the channels; see `Plan.out_channels`.
    blocks : sequence of BlockOutput
        Blocks above each other, in the order of z.
    offset : tuple of int
        The voxel (z, y, x) of the network output, without padding, that is the first of the slices.
    is_resampled : bool
        Whether the output is resampled to the grid of the image.

    Attributes
    ----------
    is_finite : bool
        Whether all values so far are finite.
    """

    def __init__(self, task: Task, blocks: Sequence[BlockOutput], offset: Sequence[int], *, is_resampled: bool) -> None:
        self._task, self._blocks, self._is_resampled = task, deque(blocks), is_resampled
        self._z_offset = offset[0]
        self._plane = tuple(
            slice(side.start - at, side.stop - at) for side, at in zip(blocks[0].needed[1:], offset[1:], strict=True)
        )
        self._first = self._next = blocks[0].needed[0].start
        self._slices: deque[tuple[NDArray[np.float32], NDArray[np.float16] | None]] = deque()
        self.is_finite = True

    def write_slice(self, z: int, output: NDArray[np.float32]) -> None:
        """Take the final output (channel, y, x) of a slice; one that comes again is left out."""
        z += self._z_offset
        if z != self._next or not self._blocks:
            return
        self.is_finite = self.is_finite and bool(np.isfinite(output).all())
        output = output[:, *self._plane]
        probability = 1 - output[0] if self._task is Task.SEMANTIC else output[0].copy()
        channels = None if self._task is Task.BINARY else output[1:].astype(np.float16)
        self._slices.append((probability, channels))
        self._next += 1

    def pop(self) -> Iterator[tuple[BlockOutput, Maps]]:
        """Yield the blocks that are complete, with probability (z, y, x) and other maps (channel, z, y, x)."""
        while self._blocks and self._blocks[0].needed[0].stop <= self._next:
            block = self._blocks.popleft()
            start, stop = block.needed[0].start - self._first, block.needed[0].stop - self._first
            used = [self._slices[index] for index in range(start, stop)]
            keep_from = self._blocks[0].needed[0].start if self._blocks else self._next
            while self._first < keep_from:
                self._slices.popleft()
                self._first += 1
            yield block, self._maps(block, used)

    def _maps(self, block: BlockOutput, used: list[tuple[NDArray[np.float32], NDArray[np.float16] | None]]) -> Maps:
        probability = np.stack([each for each, _ in used])
        others = [each for _, each in used if each is not None]
        channels = np.stack(others, axis=1) if others else None
        if not self._is_resampled:
            return probability, channels
        resampled = None
        if channels is not None:
            resampled = np.stack([resample_part(each, block.parts).astype(np.float16) for each in channels])
        return resample_part(probability, block.parts), resampled
