"""A network on its device that predicts volumes in tiles, with as much at a time as the memory allows."""

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

MEMORY_REMEDY = "Predict a part of the volume, or on the device cpu if it was the GPU's memory"


@dataclass(frozen=True, slots=True)
class TileTask:
    """One volume to predict.

    Attributes
    ----------
    name : str
        Name of the volume, for messages.
    grey : ndarray of float32, shape (z, y, x)
        Normalised grey values, fitted to the network.
    maps : Maps
        Takes the answer.
    overlap : float
        Part of its side that a tile shares with the next one.
    flips : tuple of tuple of int
        The mirror images to average; see `mirror_flips`.
    """

    name: str
    image: NDArray[np.float32]
    maps: OutputMaps
    overlap: float
    flips: tuple[Flip, ...]


class SlidingWindow:
    """Predicts one volume after another; close it to give the memory back.

    When the memory is too small, half as many tiles are predicted at a time, then the sums are kept in main memory,
    then tiles become smaller, and at last the CPU takes over. What was found to fit stays for later volumes.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    hardware : Hardware
        Where to start.

    Raises
    ------
    OutOfMemory
        If there is not enough memory for the network.
    """

    def __init__(self, checkpoint: Checkpoint, hardware: ComputeDevice) -> None:
        self._checkpoint, self._plan = checkpoint, checkpoint.plan
        self._bytes_per_voxel = bytes_per_voxel(checkpoint.network(), checkpoint.plan.total_stride)
        self._budget = first_budget(hardware.device)
        self._move_to(hardware)

    @property
    def hardware(self) -> ComputeDevice:
        """Where the network runs now."""
        return self._hardware

    def run(self, job: TileTask) -> Generator[tuple[int, int] | Notice, None, None]:
        """Predict all tiles of a volume into its maps.

        Yields
        ------
        tuple of int
            Tiles that are done and all of them, after each batch.
        Notice
            Before the prediction goes on with less at a time, or starts again with smaller tiles.

        Raises
        ------
        UserError
            If there is not enough memory for the smallest tile, or the network's numbers overflow.
        """
        is_done = False
        while not is_done:
            tile = yield from self._choose_tile(job)
            with explain_memory_errors(MEMORY_REMEDY):
                tiling = self._start(job, tile)
            is_done = yield from self._run(tiling, job)

    def close(self) -> None:
        """Let go of the network and hand its memory back to the device."""
        del self._network
        if self._hardware.device.type == "cuda":
            torch.cuda.empty_cache()

    def _choose_tile(self, job: TileTask) -> Generator[Notice, None, Shape3D]:
        z, y, x = job.image.shape
        wanted = self._budget.limited(self._plan.patch_zyx or (z, y, x))
        wanted = tile_grid((z, y, x), wanted, 0, self._plan.total_stride).tile_zyx
        free = free_memory(self._hardware.device)
        tile = largest_tile(self._bytes_per_voxel, wanted, self._plan.total_stride, free)
        if tile != wanted:
            yield Notice(
                f"'{job.name}' cannot be predicted {format_shape(wanted)} voxels at a time in the "
                f"{free / 2**30:.1f} GiB of memory that are free. It is predicted in overlapping tiles of "
                f"{format_shape(tile)} voxels."
            )
        return tile

    def _start(self, job: TileTask, tile: Shape3D) -> Tiling:
        z, y, x = job.image.shape
        grid = tile_grid((z, y, x), tile, job.overlap, self._plan.total_stride)
        n_channels = self._plan.out_channels
        self._budget = fit_batch_size(self._budget, self._bytes_per_voxel * prod(tile), (tile[0], y, x), n_channels)
        blend = GaussianBlend(grid, n_channels, self._budget.sums_device)
        return Tiling(job.image, grid, job.flips, blend, job.maps.write_slice)

    def _run(self, tiling: Tiling, job: TileTask) -> Generator[tuple[int, int] | Notice, None, bool]:
        """Predict tile after tile; False when the tiles must change, so that all has to start again."""
        while tiling.n_done < tiling.n_total:
            if self._step(tiling):
                if not job.maps.is_finite:
                    raise UserError(
                        f"The network's numbers overflowed on '{job.name}' ({self._hardware.description}). "
                        "Choose precision fp32, or train the model again."
                    )
                yield tiling.n_done, tiling.n_total
                continue
            before = self._budget
            yield Notice(f"There is not enough memory for '{job.name}'; it is predicted {self._step_down(tiling)}.")
            if (self._budget.limit_zyx, self._budget.device) != (before.limit_zyx, before.device):
                return False
            tiling.blend.move_to(self._budget.sums_device)
        return True

    def _step(self, tiling: Tiling) -> bool:
        """Predict the next batch, and tell whether the memory was enough for it."""
        try:
            with self._settings.applied(MEMORY_REMEDY), torch.inference_mode():
                tiling.step(self._probabilities, self._budget.device, self._budget.n_tiles)
        except OutOfMemory:
            return False
        return True

    def _step_down(self, tiling: Tiling) -> str:
        n_tried = tiling.n_next(self._budget.n_tiles)
        smaller = self._budget.reduce(n_tried, tiling.grid.tile_zyx, self._plan.total_stride)
        if smaller is None:
            raise OutOfMemory(
                f"There is not enough memory for this. {MEMORY_REMEDY}, or close other programs that use the same "
                "memory."
            )
        budget, words = smaller
        if budget.device != self._budget.device:
            self.close()
            self._move_to(choose_device(Device.CPU))
        elif self._hardware.device.type == "cuda":
            torch.cuda.empty_cache()  # what is left in small pieces may be enough in one
        self._budget = budget
        return words

    def _move_to(self, hardware: ComputeDevice) -> None:
        self._hardware = hardware
        self._settings = TorchState(hardware, seed=0)
        with explain_memory_errors(MEMORY_REMEDY):
            self._network = to_device(self._checkpoint.network(), hardware)

    def _probabilities(self, tiles: torch.Tensor) -> torch.Tensor:
        """Return probabilities (tile, channel, z, y, x) for grey values (tile, 1, z, y, x)."""
        with self._hardware.autocast():
            logits: torch.Tensor = self._network(tiles)
        logits = logits.float()
        return logits.softmax(1) if self._plan.task is Task.SEMANTIC else logits.sigmoid()
