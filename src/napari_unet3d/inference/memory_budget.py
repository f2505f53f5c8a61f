"""How much of a volume is predicted at once, and what is tried next when that was too much for the memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import torch

from napari_unet3d.data.sample import Shape3D, format_shape
from napari_unet3d.model.devices import free_memory
from napari_unet3d.transforms.pad import halve_longest_side, minimum_shape

_CPU = torch.device("cpu")
_MOST_TILES = {"cpu": 2}  # a CPU gains nothing beyond, and Stop waits for the end of a batch
_MOST_TILES_ELSEWHERE = 16
_LEAST_TILE_SIDE = 32
# Four times input and output of the largest layer in float32: beside them there are skip connections, residuals and the
# workspace of convolutions. The preset small took 40 MiB per tile of 64³ on a CPU, and this says 36.
_BYTES_PER_NUMBER = 16
_BATCH_SHARE = 0.5  # of the free memory; the rest is for sums and other programs


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """How much is worked on at once, and where.

    Attributes
    ----------
    device : torch.device
        Where the network runs.
    sums_device : torch.device
        Where the open slab is kept.
    n_tiles : int
        Most tiles in a batch.
    limit_zyx : tuple of int or None
        Longest sides (z, y, x) of a tile in voxels; None without a limit.
    """

    device: torch.device
    sums_device: torch.device
    n_tiles: int
    limit_zyx: Shape3D | None = None

    def limited(self, tile_zyx: Shape3D) -> Shape3D:
        """Make a tile (z, y, x) no longer than the limit."""
        z, y, x = (min(sides) for sides in zip(tile_zyx, self.limit_zyx or tile_zyx, strict=True))
        return z, y, x

    def reduce(self, n_tried: int, tile_zyx: Shape3D, total_stride: Shape3D) -> tuple[MemoryBudget, str] | None:
        """Return the next budget to try after this one was too large, and what changes in words; None after the last.

        The order is: half the batch, the open slab in main memory, a smaller tile, the CPU.

        Parameters
        ----------
        n_tried : int
            Tiles in the batch that was too large; there may have been no more left.
        tile_zyx : tuple of int
            The tile (z, y, x) that was too large.
        total_stride : tuple of int
            What the sides of a tile are multiples of.
        """
        if n_tried > 1:
            fewer = n_tried // 2
            return replace(self, n_tiles=fewer), f"{fewer} tile{'s' if fewer > 1 else ''} at a time"
        if self.sums_device != _CPU:
            return replace(self, sums_device=_CPU), "with the sums in main memory"
        if (smaller := halve_longest_side(tile_zyx, total_stride, _LEAST_TILE_SIDE)) is not None:
            words = f"in tiles of {format_shape(smaller)} voxels, which see less around them"
            return replace(self, limit_zyx=smaller), words
        if self.device != _CPU:
            return first_budget(_CPU), "on the CPU, which takes longer"
        return None


def first_budget(device: torch.device) -> MemoryBudget:
    """Return the budget that a device starts with."""
    return MemoryBudget(device, device, _MOST_TILES.get(device.type, _MOST_TILES_ELSEWHERE))


def largest_tile(bytes_per_voxel: float, tile_zyx: Shape3D, total_stride: Shape3D, free: int) -> Shape3D:
    """Halve the longest side of a tile until it can be predicted in the memory that is free.

    Parameters
    ----------
    bytes_per_voxel : float
        What `bytes_per_voxel` says.
    tile_zyx : tuple of int
        The largest tile (z, y, x) that makes sense.
    total_stride : tuple of int
        What the sides of a tile are multiples of.
    free : int
        What `free_memory` says.
    """
    while bytes_per_voxel * prod(tile_zyx) > free:
        smaller = halve_longest_side(tile_zyx, total_stride, _LEAST_TILE_SIDE)
        if smaller is None:
            break
        tile_zyx = smaller
    return tile_zyx


def bytes_per_voxel(network: torch.nn.Module, total_stride: Shape3D) -> float:
    """Estimate the memory that predicting one voxel takes beside the weights, from the layers' sizes for a tiny volume.

    Parameters
    ----------
    network : Module
        The network, on the CPU.
    total_stride : tuple of int
        How many voxels along z, y, x become one at its bottom.
    """
    largest = 0

    def compare(_: torch.nn.Module, given: tuple[torch.Tensor, ...], answer: torch.Tensor) -> None:
        nonlocal largest
        largest = max(largest, sum(tensor.numel() for tensor in given) + answer.numel())

    leaves = [module for module in network.modules() if not any(True for _ in module.children())]
    hooks = [leaf.register_forward_hook(compare) for leaf in leaves]
    tiny = minimum_shape(total_stride)
    # Not on the device "meta": torch loads a second's worth of modules for it.
    with torch.no_grad():
        network(torch.zeros(1, 1, *tiny))
    for hook in hooks:
        hook.remove()
    return _BYTES_PER_NUMBER * largest / prod(tiny)


def fit_batch_size(budget: MemoryBudget, bytes_per_tile: float, sums_zyx: Shape3D, n_channels: int) -> MemoryBudget:
    """Take no more tiles at a time than fit, and the open slab into main memory when it is large.

    Parameters
    ----------
    budget : Budget
        What must not be exceeded.
    bytes_per_tile : float
        Memory that predicting one tile takes.
    sums_zyx : tuple of int
        Shape of the open slab: slices of a tile, rows and columns of the volume.
    n_channels : int
        Channels of the network's answer.
    """
    free = int(free_memory(budget.device) * _BATCH_SHARE)
    sums_bytes = 4 * n_channels * prod(sums_zyx)
    sums_device = budget.sums_device if sums_bytes <= free else _CPU
    if sums_device == budget.device:
        free -= sums_bytes
    return replace(budget, sums_device=sums_device, n_tiles=max(1, min(budget.n_tiles, int(free / bytes_per_tile))))
