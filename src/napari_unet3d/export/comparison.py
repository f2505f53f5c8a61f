"""Compare what another program computes from an exported model with what this one computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import Device, Precision, Task
from napari_unet3d.data.sample import Shape3D, format_shape
from napari_unet3d.errors import UserError
from napari_unet3d.export.task import OVERLAP, ExportTask
from napari_unet3d.inference.sliding_window import SlidingWindow, TileTask
from napari_unet3d.inference.tile_grid import TileGrid, tile_grid
from napari_unet3d.inference.tiling import GaussianBlend, Tiling
from napari_unet3d.model.devices import choose_device

TOLERANCE = 1e-4
"""The largest difference between two outputs, which are from 0 to 1, that counts as equal."""
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Another program: returns probabilities (tile, channel, z, y, x) for images (tile, channel, z, y, x)."""


class _Slices:
    """Collects the output (channel, z, y, x) slice by slice."""

    def __init__(self, n_channels: int, shape: Shape3D) -> None:
        self.output: NDArray[np.float32] = np.empty((n_channels, *shape), np.float32)
        self.is_finite = True

    def write_slice(self, z: int, output: NDArray[np.float32]) -> None:
        """Take the output (channel, y, x) of a slice."""
        self.output[:, z] = output


def example_input(task: ExportTask, shape: Shape3D) -> NDArray[np.float32]:
    """Return a normalised image (channel, z, y, x) of smooth blobs and noise, always the same one."""
    rng = np.random.default_rng(0)
    sides = (task.checkpoint.plan.in_channels, *shape)
    waves = sum(
        np.sin(rng.uniform(0.1, 0.6) * np.arange(side) + rng.uniform(0, 6)).reshape(
            [-1 if axis == own else 1 for own in range(3)]
        )
        for axis, side in enumerate(shape)
    )
    image: NDArray[np.float32] = (waves + 0.5 * rng.standard_normal(sides)).astype(np.float32)
    return image


def volume_grid(task: ExportTask, overlap: float = OVERLAP) -> TileGrid:
    """Return the tiles of a volume that is two tiles long, one tile wide and one tile high."""
    z, y, x = task.checked_tile_zyx
    return tile_grid((z, y, 2 * x), (z, y, x), overlap, task.checkpoint.plan.total_stride)


def own_output(task: ExportTask, image: NDArray[np.float32], grid: TileGrid) -> NDArray[np.float32]:
    """Return the probabilities (channel, z, y, x) of this program, as `predict` computes them on the CPU."""
    slices = _Slices(task.checkpoint.plan.out_channels, grid.shape_zyx)
    window = SlidingWindow(task.checkpoint, choose_device(Device.CPU, Precision.FP32))
    try:
        for _ in window.run(TileTask(task.name, image, slices, OVERLAP, ((),), grid)):
            pass
    finally:
        window.close()
    return slices.output


def tiled_output(run: Run, n_channels: int, image: NDArray[np.float32], grid: TileGrid) -> NDArray[np.float32]:
    """Return the probabilities (channel, z, y, x) of another program for a volume (channel, z, y, x) in tiles."""

    def network(tiles: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(run(tiles.numpy()))

    slices, cpu = _Slices(n_channels, grid.shape_zyx), torch.device("cpu")
    tiling = Tiling(image, grid, ((),), GaussianBlend(grid, n_channels, cpu), slices.write_slice)
    while tiling.n_done < tiling.n_total:
        tiling.step(network, cpu, n_tiles=1)
    return slices.output


def to_probabilities(task: ExportTask, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities (tile, channel, z, y, x) of logits."""
    tensor = torch.from_numpy(logits)
    is_softmax = task.checkpoint.plan.task is Task.SEMANTIC
    probabilities: NDArray[np.float32] = (tensor.softmax(1) if is_softmax else tensor.sigmoid()).numpy()
    return probabilities


def run_of_weights(task: ExportTask, network: torch.nn.Module, path: Path) -> Run:
    """Return a function that computes probabilities with a network and a file of its weights."""
    network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    network.eval()

    def run(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return to_probabilities(task, network(torch.from_numpy(tiles)).numpy())

    return run


def tile_difference(task: ExportTask, run: Run) -> float:
    """Return the largest difference between both programs for one tile.

    Raises
    ------
    UserError
        If it is larger than `TOLERANCE`.
    """
    tile = task.checked_tile_zyx
    image = example_input(task, tile)
    grid = tile_grid(tile, tile, 0, task.checkpoint.plan.total_stride)
    return checked_difference(own_output(task, image, grid), run(image[None])[0], f"a tile of {format_shape(tile)}")


def volume_difference(task: ExportTask, run: Run) -> float:
    """Return the largest difference between both programs for a volume in overlapping tiles; raise as for a tile."""
    grid = volume_grid(task)
    image = example_input(task, grid.shape_zyx)
    other = tiled_output(run, task.checkpoint.plan.out_channels, image, grid)
    what = f"a volume of {format_shape(grid.shape_zyx)}"
    return checked_difference(own_output(task, image, grid), other, what)


def checked_difference(own: NDArray[np.float32], other: NDArray[np.float32], what: str) -> float:
    """Return the largest difference between two outputs; raise a `UserError` if it is too large, or a shape differs."""
    if own.shape != other.shape:
        raise UserError(
            f"The exported model was not kept: its output for {what} voxels has the shape {other.shape} instead of "
            f"{own.shape}. Choose another format, and report this."
        )
    if not np.isfinite(own).all():
        raise UserError("The output of this model is not finite: it is damaged. Train it again.")
    difference = float(np.max(np.abs(own - other)))
    if not difference <= TOLERANCE:  # NaN, too
        raise UserError(
            f"The exported model was not kept: for {what} voxels its output differs by {difference:.2g} from that of "
            f"this program, more than {TOLERANCE:g}. Choose another format, and report this."
        )
    return difference
