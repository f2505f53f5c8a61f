"""Flips, rotations, affine transformations, blur and gamma correction of volumes in plain torch.

Everything runs on the device of the volume and nothing is copied back to the CPU, so a program can queue work on a GPU
ahead of time: the parameters are Python numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

# Voxels to sample at once. A whole large volume would need much memory; on a GPU, every chunk costs kernel launches.
_CHUNK_VOXELS = 2**20


def flip_permute(volume: torch.Tensor, axes: Sequence[int], flipped: Sequence[int]) -> torch.Tensor:
    """Flip a volume, then permute its axes: together, all rotations by multiples of 90° and their mirror images.

    Parameters
    ----------
    volume : Tensor of any type, shape (channel, z, y, x)
        Image or labels.
    axes : sequence of int
        The axes (0 is z, 2 is x) that become z, y and x.
    flipped : sequence of int
        Axes to flip before that.

    Returns
    -------
    Tensor
        Contiguous, of the same type.

    Examples
    --------
    >>> flip_permute(torch.tensor([[[[1, 2], [3, 4]]]]), axes=(0, 2, 1), flipped=(1,))
    tensor([[[[3, 1],
              [4, 2]]]])
    """
    result = volume.flip([1 + axis for axis in flipped]) if flipped else volume
    return result.permute(0, *(1 + axis for axis in axes)).contiguous()


def affine(
    image: torch.Tensor, labels: torch.Tensor, matrix: Sequence[Sequence[float]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Resample image and labels by one affine transformation, with reflection beyond the border.

    Intensities are interpolated linearly; labels take the value of the nearest voxel.

    Parameters
    ----------
    image : Tensor of float32, shape (channel, z, y, x)
        Intensities.
    labels : Tensor of uint8 or signed integers, shape (channel, z, y, x)
        Labels on the same grid.
    matrix : three rows of four float
        Maps an output voxel to the input position: the products of the rows with (z, y, x, 1), in voxels from the
        centre of the volume.

    Returns
    -------
    tuple of Tensor
        Both with the same types and shapes.
    """
    shape, flat = image.shape[1:], labels.flatten(1)
    new_image, new_labels = image.new_empty(image.shape), labels.new_empty(labels.shape)
    from_centre = [torch.arange(side, device=image.device) - (side - 1) / 2 for side in shape]
    n_planes = max(1, _CHUNK_VOXELS // shape[1:].numel())
    for first in range(0, shape[0], n_planes):
        chunk = slice(first, first + n_planes)
        grid, nearest = _sampling_grid(matrix, shape, (from_centre[0][chunk], *from_centre[1:]))
        # On a CPU, torch uses one thread per batch item, so the planes are passed as a batch.
        planes = torch.nn.functional.grid_sample(
            image.expand(len(grid), *image.shape), grid[:, None], padding_mode="border", align_corners=False
        )
        new_image[:, chunk] = planes[:, :, 0].transpose(0, 1)
        for values, new_values in zip(flat, new_labels, strict=True):
            torch.index_select(values, 0, nearest, out=new_values[chunk].view(-1))
    return new_image, new_labels


def _sampling_grid(
    matrix: Sequence[Sequence[float]], shape: Sequence[int], from_centre: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return input positions as a grid (z, y, x, 3) for `grid_sample`, and flat indices of the nearest voxels."""
    grid = torch.empty(*map(len, from_centre), 3, device=from_centre[0].device)
    nearest = torch.zeros((), dtype=torch.int32, device=grid.device)
    for axis, ((*weights, offset), side) in enumerate(zip(matrix, shape, strict=True)):
        # Reflection makes the volume periodic with twice its side. The distance to the nearest multiple of the
        # period, as a fraction of it, is the distance from the first border.
        z, y, x = (weight / (2 * side) * positions for weight, positions in zip(weights, from_centre, strict=True))
        periods = (z + (offset / (2 * side) + 0.25))[:, None, None] + y[:, None] + x
        fraction = periods.sub_(periods.round()).abs_()
        torch.mul(fraction, 4, out=grid[..., 2 - axis])
        nearest = nearest * side + fraction.mul_(2 * side).to(torch.int32).clamp_(max=side - 1)
    return grid.sub_(1), nearest.view(-1)  # torch counts from -1 to 1, with x first


def blur(image: torch.Tensor, sigma_zyx: Sequence[float]) -> torch.Tensor:
    """Blur by a Gaussian that is integrated over each voxel; the border values are repeated beyond the border.

    Parameters
    ----------
    image : Tensor of float32, shape (1, z, y, x)
        Intensities.
    sigma_zyx : sequence of float
        Standard deviation along z, y, x in voxels.

    Examples
    --------
    >>> image = torch.tensor([0.0, 0, 9, 0, 0]).expand(1, 1, 1, 5)
    >>> [round(value, 2) for value in blur(image, (0, 0, 1)).flatten().tolist()]
    [0.55, 2.18, 3.45, 2.18, 0.55]
    """
    z, y, x = (
        _gaussian_matrix(side, sigma, image.device) for side, sigma in zip(image.shape[1:], sigma_zyx, strict=True)
    )
    # Products with whole matrices are faster than short convolutions of a single channel.
    blurred = (z @ image[0].flatten(1)).view(image.shape[1:])
    return (y @ blurred @ x.T)[None]


def _gaussian_matrix(side: int, sigma: float, device: torch.device) -> torch.Tensor:
    """Return the weights (output voxel, input voxel) of a blur along one axis."""
    edges = torch.arange(side + 1, device=device) - 0.5
    edges[0], edges[-1] = -torch.inf, torch.inf  # the outermost voxels extend to infinity
    below: torch.Tensor = torch.special.ndtr((edges - torch.arange(side, device=device)[:, None]) / sigma)
    return below.diff(dim=1)


def adjust_gamma(image: torch.Tensor, gamma: float) -> torch.Tensor:
    """Apply a gamma correction between the minimum and the maximum of an image, which both stay the same.

    Parameters
    ----------
    image : Tensor of float32, shape (1, z, y, x)
        Intensities.
    gamma : float
        Exponent: below 1 for brighter midtones, above 1 for darker ones.

    Examples
    --------
    >>> adjust_gamma(torch.tensor([0.0, 5, 10]).view(1, 1, 1, 3), gamma=2).flatten()
    tensor([ 0.0000,  2.5000, 10.0000])
    """
    minimum, maximum = image.aminmax()
    value_range = maximum - minimum
    # A constant image has a range of 0 and stays the same.
    return (image - minimum).div_(value_range + 1e-7).pow_(gamma).mul_(value_range).add_(minimum)
