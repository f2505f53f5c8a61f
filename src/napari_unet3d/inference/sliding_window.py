"""A network on its device that predicts volumes in tiles, as many at a time as fit into memory."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import Device, Task
from napari_unet3d.data.events import Notice
from napari_unet3d.data.sample import Shape3D, format_shape
from napari_unet3d.errors import OutOfMemory, UserError
from napari_unet3d.inference.memory_budget import bytes_per_voxel, first_budget, fit_batch_size, largest_tile
from napari_unet3d.inference.output_maps import OutputMaps
from napari_unet3d.inference.tiling import Flip, GaussianBlend, Tiling, tile_grid
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.model.devices import ComputeDevice, TorchState, choose_device, explain_memory_errors, free_memory
from napari_unet3d.model.network import to_device

MEMORY_REMEDY = "Predict a part of the volume, or choose the device cpu if the GPU ran out of memory"


@dataclass(frozen=True, slots=True)
class TileTask:
    """One volume to predict.

    Attributes
    ----------
    name : str
        Name of the volume, for messages.
    image : ndarray of float32, shape (channel, z, y, x)
        The network input: normalised, and cropped, resized or padded.
    maps : OutputMaps
        Receives the output.
    overlap : float
        Fraction of its side by which a tile overlaps the next one.
    flips : tuple of tuple of int
        The mirror images to average over; see `mirror_flips`.
    """

    name: str
    image: NDArray[np.float32]
    maps: OutputMaps
    overlap: float
    flips: tuple[Flip, ...]


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
        self._bytes_per_voxel = bytes_per_voxel(checkpoint.network(), self._plan.total_stride, self._plan.in_channels)
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
            tile = yield from self._choose_tile(task)
            with explain_memory_errors(MEMORY_REMEDY):
                tiling = self._start(task, tile)
            is_done = yield from self._predict_tiles(tiling, task)

    def close(self) -> None:
        """Free the network and its memory on the device."""
        del self._network
        if self._hardware.device.type == "cuda":
            torch.cuda.empty_cache()

    def _choose_tile(self, task: TileTask) -> Generator[Notice, None, Shape3D]:
        z, y, x = task.image.shape[1:]
        preferred = self._budget.limited(self._plan.patch_zyx or (z, y, x))
        preferred = tile_grid((z, y, x), preferred, 0, self._plan.total_stride).tile_zyx
        free = free_memory(self._hardware.device)
        tile = largest_tile(self._bytes_per_voxel, preferred, self._plan.total_stride, free)
        if tile != preferred:
            yield Notice(
                f"{format_shape(preferred)} voxels of '{task.name}' do not fit into the {free / 2**30:.1f} GiB of free "
                f"memory at once. It is predicted in overlapping tiles of {format_shape(tile)} voxels."
            )
        return tile

    def _start(self, task: TileTask, tile: Shape3D) -> Tiling:
        z, y, x = task.image.shape[1:]
        grid = tile_grid((z, y, x), tile, task.overlap, self._plan.total_stride)
        n_channels = self._plan.out_channels
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
            yield Notice(
                f"There is not enough memory for '{task.name}'; it is now predicted {self._reduce_memory(tiling)}."
            )
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

    def _reduce_memory(self, tiling: Tiling) -> str:
        n_tried = tiling.n_next(self._budget.n_tiles)
        reduced = self._budget.reduce(n_tried, tiling.grid.tile_zyx, self._plan.total_stride)
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
