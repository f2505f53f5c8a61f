"""Turning, moving, blurring and contrast of volumes in plain torch.

All runs on the device that a volume lies on, and nothing is read back from there, so that a program can run ahead of
a GPU: what decides is given as Python numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

# How many voxels are looked up at once. Whole large volumes would need much memory; on a GPU, a part costs launches.
_PART = 2**20


def flip_permute(volume: torch.Tensor, axes: Sequence[int], mirrored: Sequence[int]) -> torch.Tensor:
    """Mirror a volume, then exchange its axes; together these are all turns by multiples of 90°, and their mirrors.

    Parameters
    ----------
    volume : Tensor of any type, shape (channel, z, y, x)
        What to turn.
    axes : sequence of int
        Which axis (0 is z, 2 is x) becomes z, which y, and which x.
    mirrored : sequence of int
        Axes to mirror before that.

    Returns
    -------
    Tensor
        Contiguous, and of the same type.
    """
    flipped = volume.flip([1 + axis for axis in mirrored]) if mirrored else volume
    return flipped.permute(0, *(1 + axis for axis in axes)).contiguous()


def affine(
    image: torch.Tensor, labels: torch.Tensor, matrix: Sequence[Sequence[float]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Move image and labels by one affine transformation; what lies beyond the border is mirrored in.

    Grey values are interpolated linearly, labels are those of the nearest voxel.

    Parameters
    ----------
    image : Tensor of float32, shape (1, z, y, x)
        Grey values.
    labels : Tensor of uint8 or signed integers, shape (channel, z, y, x)
        Labels on the same grid.
    matrix : three rows of four float
        Where a voxel comes from: z, y and x of the place are the products of the rows with (z, y, x, 1) of the voxel,
        all in voxels from the middle of the volume.

    Returns
    -------
    tuple of Tensor
        Both of the same types and shapes.
    """
    shape, flat = image.shape[1:], labels.flatten(1)
    moved, moved_labels = image.new_empty(image.shape), labels.new_empty(labels.shape)
    from_middle = [torch.arange(side, device=image.device) - (side - 1) / 2 for side in shape]
    n_planes = max(1, _PART // shape[1:].numel())
    for first in range(0, shape[0], n_planes):
        part = slice(first, first + n_planes)
        grid, nearest = _places(matrix, shape, (from_middle[0][part], *from_middle[1:]))
        # On a CPU, torch uses one thread for each volume, so that the planes are given as many volumes.
        moved[0, part] = torch.nn.functional.grid_sample(
            image.expand(len(grid), 1, *shape), grid[:, None], padding_mode="border", align_corners=False
        )[:, 0, 0]
        for values, moved_values in zip(flat, moved_labels, strict=True):
            torch.index_select(values, 0, nearest, out=moved_values[part].view(-1))
    return moved, moved_labels


def _places(
    matrix: Sequence[Sequence[float]], shape: Sequence[int], from_middle: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Say where voxels come from: as a grid for torch (z, y, x, 3), and as numbers of the nearest voxels, flat."""
    grid = torch.empty(*map(len, from_middle), 3, device=from_middle[0].device)
    nearest = torch.zeros((), dtype=torch.int32, device=grid.device)
    for axis, ((*weights, offset), side) in enumerate(zip(matrix, shape, strict=True)):
        # Volumes and their mirror images lie side by side in turns: a period is twice the side, and the share of a
        # period up to the nearest one's beginning says how far from the first border the place is.
        z, y, x = (weight / (2 * side) * along for weight, along in zip(weights, from_middle, strict=True))
        periods = (z + (offset / (2 * side) + 0.25))[:, None, None] + y[:, None] + x
        share = periods.sub_(periods.round()).abs_()
        torch.mul(share, 4, out=grid[..., 2 - axis])
        nearest = nearest * side + share.mul_(2 * side).to(torch.int32).clamp_(max=side - 1)
    return grid.sub_(1), nearest.view(-1)  # torch counts from -1 to 1, and x first


def blur(image: torch.Tensor, sigma_zyx: Sequence[float]) -> torch.Tensor:
    """Blur by a Gaussian that is integrated over each voxel; beyond the border its own values go on.

    Parameters
    ----------
    image : Tensor of float32, shape (1, z, y, x)
        Grey values.
    sigma_zyx : sequence of float
        Width along z, y, x in voxels.
    """
    z, y, x = (
        _gaussian_weights(side, sigma, image.device) for side, sigma in zip(image.shape[1:], sigma_zyx, strict=True)
    )
    # Products with whole matrices are faster than short convolutions of a single channel.
    blurred = (z @ image[0].flatten(1)).view(image.shape[1:])
    return (y @ blurred @ x.T)[None]


def _gaussian_weights(side: int, sigma: float, device: torch.device) -> torch.Tensor:
    """Return the share (new voxel, old voxel) that each voxel has in each of the blurred ones along an axis."""
    edges = torch.arange(side + 1, device=device) - 0.5
    edges[0], edges[-1] = -torch.inf, torch.inf  # the outermost voxels go on without end
    below: torch.Tensor = torch.special.ndtr((edges - torch.arange(side, device=device)[:, None]) / sigma)
    return below.diff(dim=1)


def adjust_gamma(image: torch.Tensor, gamma: float) -> torch.Tensor:
    """Raise grey values to a power, between the least and the greatest of them, which stay.

    Parameters
    ----------
    image : Tensor of float32, shape (1, z, y, x)
        Grey values.
    gamma : float
        Below 1 for brighter middle tones, above 1 for darker ones.
    """
    least, greatest = image.aminmax()
    extent = greatest - least
    # An image of one grey value has no extent, and stays.
    return (image - least).div_(extent + 1e-7).pow_(gamma).mul_(extent).add_(least)
