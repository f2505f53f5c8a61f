"""How much of a volume is predicted at once, and what to try next when memory runs out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import torch

from napari_unet3d.data.sample import Shape3D, format_shape
from napari_unet3d.model.devices import free_memory
from napari_unet3d.transforms.pad import halve_longest_side

_CPU = torch.device("cpu")
_MAX_TILES_ON_CPU = 2  # larger batches are not faster on a CPU, and Stop waits for the end of a batch
_MAX_TILES_ON_GPU = 16
_MIN_TILE_SIDE = 32
# Four times the input and output of the largest layer in float32: there are also skip connections, residuals and the
# workspace of convolutions. Measured for the preset small on a CPU: 40 MiB per tile of 64³; this estimates 36.
_BYTES_PER_VALUE = 16
_BATCH_FRACTION = 0.5  # of the free memory; the rest is for sums and other programs


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """How much is predicted at once, and on which device.

    Attributes
    ----------
    device : torch.device
        Device of the network.
    sums_device : torch.device
        Device of the weighted sums; see `GaussianBlend`.
    n_tiles : int
        Maximum number of tiles in a batch.
    limit_zyx : tuple of int or None
        Maximum sides (z, y, x) of a tile in voxels; None without a limit.
    """

    device: torch.device
    sums_device: torch.device
    n_tiles: int
    limit_zyx: Shape3D | None = None

    def limited(self, tile_zyx: Shape3D) -> Shape3D:
        """Return a tile shape (z, y, x) cut to the limit."""
        z, y, x = (min(sides) for sides in zip(tile_zyx, self.limit_zyx or tile_zyx, strict=True))
        return z, y, x

    def reduce(
        self, n_tried: int, tile_zyx: Shape3D, total_stride: Shape3D, *, keep_tiles: bool = False
    ) -> tuple[MemoryBudget, str] | None:
        """Return the next budget to try when memory ran out, and a description of the change; None if none is left.

        The order is: half the batch, the sums in main memory, smaller tiles, the CPU.

        Parameters
        ----------
        n_tried : int
            Tiles in the batch that did not fit.
        tile_zyx : tuple of int
            Shape (z, y, x) of those tiles.
        total_stride : tuple of int
            The sides of a tile are multiples of it.
        keep_tiles : bool
            Whether the tiles stay as they are, as where other parts of a volume were predicted with them.

        Examples
        --------
        >>> budget = first_budget(torch.device("cpu"))
        >>> budget, change = budget.reduce(n_tried=2, tile_zyx=(64, 64, 64), total_stride=(8, 8, 8))
        >>> change
        '1 tile at a time'
        >>> budget.reduce(n_tried=1, tile_zyx=(64, 64, 64), total_stride=(8, 8, 8))[1]
        'in tiles of 32 × 64 × 64 voxels, with less context'
        """
        if n_tried > 1:
            fewer = n_tried // 2
            return replace(self, n_tiles=fewer), f"{fewer} tile{'s' if fewer > 1 else ''} at a time"
        if self.sums_device != _CPU:
            return replace(self, sums_device=_CPU), "with the sums in main memory"
        smaller = None if keep_tiles else halve_longest_side(tile_zyx, total_stride, _MIN_TILE_SIDE)
        if smaller is not None:
            return replace(self, limit_zyx=smaller), f"in tiles of {format_shape(smaller)} voxels, with less context"
        if self.device != _CPU:
            return first_budget(_CPU), "on the CPU, which is slower"
        return None


def first_budget(device: torch.device) -> MemoryBudget:
    """Return the budget to start with on a device."""
    return MemoryBudget(device, device, _MAX_TILES_ON_CPU if device.type == "cpu" else _MAX_TILES_ON_GPU)


def largest_tile(bytes_per_voxel: float, tile_zyx: Shape3D, total_stride: Shape3D, free: int) -> Shape3D:
    """Halve the longest side of a tile until it fits into the free memory.

    Parameters
    ----------
    bytes_per_voxel : float
        Result of `bytes_per_voxel`.
    tile_zyx : tuple of int
        The preferred tile (z, y, x).
    total_stride : tuple of int
        The sides of a tile are multiples of it.
    free : int
        Free memory in bytes.

    Examples
    --------
    >>> largest_tile(1000, (64, 64, 64), (8, 8, 8), free=100_000_000)
    (32, 32, 64)
    """
    while bytes_per_voxel * prod(tile_zyx) > free:
        smaller = halve_longest_side(tile_zyx, total_stride, _MIN_TILE_SIDE)
        if smaller is None:
            break
        tile_zyx = smaller
    return tile_zyx


def bytes_per_voxel(network: torch.nn.Module, tiny_zyx: Shape3D, n_channels: int = 1) -> float:
    """Estimate the memory to predict one voxel, in addition to the weights, from the layer sizes for a tiny volume.

    Parameters
    ----------
    network : Module
        The network, on the CPU.
    tiny_zyx : tuple of int
        The smallest shape (z, y, x) that the network takes.
    n_channels : int
        Channels of the images.
    """
    largest = 0

    def measure(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal largest
        largest = max(largest, sum(tensor.numel() for tensor in inputs) + output.numel())

    leaves = [module for module in network.modules() if not any(True for _ in module.children())]
    hooks = [leaf.register_forward_hook(measure) for leaf in leaves]
    # Not on the device "meta", for which torch imports modules for about a second.
    with torch.no_grad():
        network(torch.zeros(1, n_channels, *tiny_zyx))
    for hook in hooks:
        hook.remove()
    return _BYTES_PER_VALUE * largest / prod(tiny_zyx)


def fit_batch_size(budget: MemoryBudget, bytes_per_tile: float, sums_zyx: Shape3D, n_channels: int) -> MemoryBudget:
    """Reduce the batch size to what fits, and move the sums to main memory if they are too large.

    Parameters
    ----------
    budget : MemoryBudget
        The upper limit.
    bytes_per_tile : float
        Memory to predict one tile.
    sums_zyx : tuple of int
        Shape of the sums: slices of a tile, rows and columns of the volume.
    n_channels : int
        Output channels of the network.
    """
    free = int(free_memory(budget.device) * _BATCH_FRACTION)
    sums_bytes = 4 * n_channels * prod(sums_zyx)
    sums_device = budget.sums_device if sums_bytes <= free else _CPU
    if sums_device == budget.device:
        free -= sums_bytes
    return replace(budget, sums_device=sums_device, n_tiles=max(1, min(budget.n_tiles, int(free / bytes_per_tile))))
