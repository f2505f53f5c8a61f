"""A network on its device that predicts volumes in tiles, as many at a time as fit into memory."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import Device, Task
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Shape3D, format_shape
from napari_unet3d.errors import OutOfMemory, UserError
from napari_unet3d.inference.memory_budget import bytes_per_voxel, first_budget, fit_batch_size, largest_tile
from napari_unet3d.inference.tile_grid import TileGrid, tile_grid
from napari_unet3d.inference.tiling import Flip, GaussianBlend, TileSource, Tiling
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.model.devices import ComputeDevice, TorchState, choose_device, explain_memory_errors, free_memory
from napari_unet3d.model.network import to_device
from napari_unet3d.transforms.pad import minimum_shape

MEMORY_REMEDY = "Predict a part of the volume, or choose the device cpu if the GPU ran out of memory"


class SliceReceiver(Protocol):
    """What takes the network output slice by slice; see `output_maps.OutputMaps`."""

    is_finite: bool

    def write_slice(self, z: int, output: NDArray[np.float32]) -> None:
        """Take the final output (channel, y, x) of a slice; the slices come in the order of z."""


@dataclass(frozen=True, slots=True)
class TileTask:
    """One volume to predict, or a part of one.

    Attributes
    ----------
    name : str
        Name of the volume, for messages.
    image : ndarray of float32, shape (channel, z, y, x), or TileSource
        The network input: normalised, and cropped, resized or padded.
    maps : SliceReceiver
        Receives the output.
    overlap : float
        Fraction of its side by which a tile overlaps the next one.
    flips : tuple of tuple of int
        The mirror images to average over; see `mirror_flips`.
    grid : TileGrid or None
        The tiles, if they are given; they never become smaller then.
    """

    name: str
    image: NDArray[np.float32] | TileSource
    maps: SliceReceiver
    overlap: float
    flips: tuple[Flip, ...]
    grid: TileGrid | None = None


class SlidingWindow:
    """Predicts one volume after another in overlapping tiles; close it to free the memory.

    When memory runs out, the batch size is halved; then the sums are moved to main memory, then tiles become smaller,
    and finally the CPU takes over. The sizes found to fit are kept for later volumes.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    hardware : ComputeDevice
        The device to start on.

    Raises
    ------
    OutOfMemory
        If the network does not fit into memory.
    """

    def __init__(self, checkpoint: Checkpoint, hardware: ComputeDevice) -> None:
        self._checkpoint, self._plan = checkpoint, checkpoint.plan
        package = checkpoint.package
        tiny = minimum_shape(self._plan.total_stride) if package is None else package.description.smallest_zyx
        self._bytes_per_voxel = bytes_per_voxel(checkpoint.network(), tiny, self._plan.in_channels)
        self._budget = first_budget(hardware.device)
        self._move_to(hardware)

    @property
    def hardware(self) -> ComputeDevice:
        """The device that the network is on now."""
        return self._hardware

    def run(self, task: TileTask) -> Generator[tuple[int, int] | Notice, None, None]:
        """Predict all tiles of a volume and write the output into its maps.

        Yields
        ------
        tuple of int
            Predicted tiles and all tiles, after each batch.
        Notice
            Before the prediction continues with less at a time, or starts over with smaller tiles.

        Raises
        ------
        UserError
            If the smallest tile does not fit into memory, or the network output overflows.
        """
        is_done = False
        while not is_done:
            grid = task.grid
            if grid is None:
                z, y, x = task.image.shape[1:]
                tile = yield from self.choose_tile(task.name, (z, y, x))
                grid = tile_grid((z, y, x), tile, task.overlap, self._plan.total_stride)
            with explain_memory_errors(MEMORY_REMEDY):
                tiling = self._start(task, grid)
            is_done = yield from self._predict_tiles(tiling, task)

    def close(self) -> None:
        """Free the network and its memory on the device."""
        del self._network
        if self._hardware.device.type == "cuda":
            torch.cuda.empty_cache()

    def choose_tile(
        self, name: str, shape: Shape3D, limit_bytes: int | None = None
    ) -> Generator[Notice, None, Shape3D]:
        """Return the tile for a network input: that of training, unless it does not fit into memory.

        Parameters
        ----------
        name : str
            Name of the volume, for the notice.
        shape : tuple of int
            Shape (z, y, x) of the network input.
        limit_bytes : int, optional
            Memory that a tile may take, if that is less than what is free.

        Yields
        ------
        Notice
            If the tile had to be made smaller.
        """
        preferred = self._budget.limited(self._plan.patch_zyx or shape)
        preferred = tile_grid(shape, preferred, 0, self._plan.total_stride).tile_zyx
        free = free_memory(self._hardware.device)
        free = free if limit_bytes is None else min(free, limit_bytes)
        tile = largest_tile(self._bytes_per_voxel, preferred, self._plan.total_stride, free)
        if tile != preferred:
            yield Notice(
                f"{format_shape(preferred)} voxels of '{name}' do not fit into the {free / 2**30:.1f} GiB of free "
                f"memory at once. It is predicted in overlapping tiles of {format_shape(tile)} voxels."
            )
        return tile

    def _start(self, task: TileTask, grid: TileGrid) -> Tiling:
        n_channels, tile, (_, y, x) = self._plan.out_channels, grid.tile_zyx, grid.shape_zyx
        self._budget = fit_batch_size(self._budget, self._bytes_per_voxel * prod(tile), (tile[0], y, x), n_channels)
        blend = GaussianBlend(grid, n_channels, self._budget.sums_device)
        return Tiling(task.image, grid, task.flips, blend, task.maps.write_slice)

    def _predict_tiles(self, tiling: Tiling, task: TileTask) -> Generator[tuple[int, int] | Notice, None, bool]:
        """Predict batch after batch; return False if the tiles must become smaller and the volume starts over."""
        while tiling.n_done < tiling.n_total:
            if self._step(tiling):
                if not task.maps.is_finite:
                    raise UserError(
                        f"The network output overflowed on '{task.name}' ({self._hardware.description}). "
                        "Choose precision fp32, or train the model again."
                    )
                yield tiling.n_done, tiling.n_total
                continue
            before = self._budget
            change = self._reduce_memory(tiling, keep_tiles=task.grid is not None)
            yield Notice(f"There is not enough memory for '{task.name}'; it is now predicted {change}.")
            if (self._budget.limit_zyx, self._budget.device) != (before.limit_zyx, before.device):
                return False
            tiling.blend.move_to(self._budget.sums_device)
        return True

    def _step(self, tiling: Tiling) -> bool:
        """Predict the next batch; return whether there was enough memory."""
        try:
            with self._torch_state.applied(MEMORY_REMEDY), torch.inference_mode():
                tiling.step(self._probabilities, self._budget.device, self._budget.n_tiles)
        except OutOfMemory:
            return False
        return True

    def _reduce_memory(self, tiling: Tiling, *, keep_tiles: bool) -> str:
        n_tried = tiling.n_next(self._budget.n_tiles)
        tile, stride = tiling.grid.tile_zyx, self._plan.total_stride
        reduced = self._budget.reduce(n_tried, tile, stride, keep_tiles=keep_tiles)
        if reduced is None:
            raise OutOfMemory(
                f"There is not enough memory for this. {MEMORY_REMEDY}, or close other programs that use the same "
                "memory."
            )
        budget, change = reduced
        if budget.device != self._budget.device:
            self.close()
            self._move_to(choose_device(Device.CPU))
        elif self._hardware.device.type == "cuda":
            torch.cuda.empty_cache()  # free memory may be fragmented in the cache
        self._budget = budget
        return change

    def _move_to(self, hardware: ComputeDevice) -> None:
        self._hardware = hardware
        self._torch_state = TorchState(hardware, seed=0)
        with explain_memory_errors(MEMORY_REMEDY):
            self._network = to_device(self._checkpoint.network(), hardware)

    def _probabilities(self, tiles: torch.Tensor) -> torch.Tensor:
        """Return probabilities (tile, channel, z, y, x) for images (tile, channel, z, y, x)."""
        with self._hardware.autocast():
            logits: torch.Tensor = self._network(tiles)
        logits = logits.float()
        return logits.softmax(1) if self._plan.task is Task.SEMANTIC else logits.sigmoid()
