"""Random augmentation: image and labels are transformed together, and labels are never interpolated."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import Augmentation
from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.data.sample import Shape3D
from napari_unet3d.transforms.functional import adjust_gamma, affine, blur, flip_permute

_PLANES = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True, slots=True)
class AugmentationStrength:
    """Ranges of the parameters at one level; rotation, scale, shear and translation are drawn from ± the value."""

    probability: float
    rotation_degrees: float
    scale: float
    shear: float
    translation: float  # as a fraction of the side of the volume
    blur_voxels: float
    gamma: tuple[float, float]


STRENGTHS = {
    Augmentation.MODERATE: AugmentationStrength(0.5, 15.0, 0.1, 0.0, 0.05, 0.7, (0.8, 1.25)),
    Augmentation.HEAVY: AugmentationStrength(0.7, 30.0, 0.2, 0.1, 0.1, 1.2, (0.65, 1.5)),
}


@dataclass(frozen=True, slots=True)
class IntensityParams:
    """How the intensities of one channel are changed, in this order.

    Attributes
    ----------
    sigma_zyx : tuple of float, or None
        Standard deviation of the blur along z, y, x in voxels.
    gamma : float or None
        Exponent of the gamma correction.
    """

    sigma_zyx: tuple[float, ...] | None = None
    gamma: float | None = None


@dataclass(frozen=True, slots=True)
class AugmentationParams:
    """Parameters of one augmentation, applied in this order by the functions of `transforms.functional`.

    Attributes
    ----------
    axes, flipped : tuple of int
        Order of the axes, and the axes to flip first; see `flip_permute`.
    matrix : three rows of four float, or None
        Affine transformation from output to input voxels; see `affine`.
    intensities : tuple of IntensityParams
        The changes of each channel; empty if there are none.
    dropped : tuple of int
        The channels that are set to 0.
    """

    axes: tuple[int, ...] = (0, 1, 2)
    flipped: tuple[int, ...] = ()
    matrix: list[list[float]] | None = None
    intensities: tuple[IntensityParams, ...] = ()
    dropped: tuple[int, ...] = ()


class Augmenter:
    """Random augmentation at one level for volumes of one voxel size and shape.

    Light rotates by multiples of 90° and flips. Moderate and heavy also rotate by any angle, scale, translate, blur
    and change the contrast; heavy shears as well. Axes with different voxel sizes are never rotated or sheared into
    each other, since that would change the shape of an object. Planes with unequal sides are not rotated by 90°, so
    the shape of the volume stays the same (flipping both axes is the rotation by 180°). All remaining orientations
    are equally likely. The channels of an image are moved together, and blurred and changed in contrast each by itself.

    Parameters
    ----------
    level : Augmentation
        None, light, moderate or heavy.
    spacing : tuple of float
        Size of a voxel along z, y, x, in the unit of `Geometry.spacing`; sizes within 1 % count as equal.
    shape_zyx : tuple of int
        Shape of the volumes in voxels.
    channel_dropout : float
        Probability that a channel is set to 0, which is what a constant channel becomes when it is normalised; one
        channel always stays.

    Examples
    --------
    >>> augment = Augmenter(Augmentation.LIGHT, spacing=(2.0, 0.5, 0.5), shape_zyx=(4, 8, 8))
    >>> labels = torch.zeros(1, 4, 8, 8, dtype=torch.uint8)
    >>> labels[0, 0, 2, 3] = 7
    >>> image, labels = augment(labels.float(), labels, seed=0)
    >>> labels.shape, labels.unique().tolist(), torch.equal(image, labels.float())
    (torch.Size([1, 4, 8, 8]), [0, 7], True)
    """

    def __init__(
        self, level: Augmentation, spacing: VoxelSize, shape_zyx: Shape3D, channel_dropout: float = 0.0
    ) -> None:
        self._level, self._spacing, self._shape = level, spacing, shape_zyx
        self._channel_dropout = channel_dropout
        self._isotropic_planes, square_planes = _planes_to_rotate_in(spacing, shape_zyx)
        same = {(axis, axis) for axis in range(3)}
        swapped = {*square_planes, *((second, first) for first, second in square_planes)}
        self._axis_orders = [axes for axes in permutations(range(3)) if {*enumerate(axes)} <= same | swapped]

    def __call__(self, image: torch.Tensor, labels: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Augment a volume on the device it is on, without copying anything back to the CPU.

        The same seed gives identical results on one CPU, and the same up to rounding on every device. The global
        random state is not touched.

        Parameters
        ----------
        image : Tensor of float32, shape (channel, z, y, x)
            Intensities.
        labels : Tensor of uint8 or signed integers, shape (channel, z, y, x)
            Labels, or other integers per voxel.
        seed : int
            Seed of this augmentation.

        Returns
        -------
        tuple of Tensor
            Image and labels with the same types and shapes; the labels have no values that they did not have before.
        """
        params = self.sample_params(seed, len(image))
        image, labels = (flip_permute(volume, params.axes, params.flipped) for volume in (image, labels))
        if params.matrix is not None:
            image, labels = affine(image, labels, params.matrix)
        if any(each != IntensityParams() for each in params.intensities):
            image = torch.cat([_change(image[n : n + 1], each) for n, each in enumerate(params.intensities)])
        if params.dropped:
            image = image.clone()
            image[list(params.dropped)] = 0.0
        return image, labels

    def sample_params(self, seed: int, n_channels: int = 1) -> AugmentationParams:
        """Draw the parameters of the augmentation that belongs to a seed, for an image with some channels."""
        rng = np.random.default_rng(seed)
        params = self._sample_level(rng, n_channels)
        return replace(params, dropped=self._sample_dropped(rng, n_channels))

    def _sample_level(self, rng: np.random.Generator, n_channels: int) -> AugmentationParams:
        if self._level is Augmentation.NONE:
            return AugmentationParams()
        axes = self._axis_orders[rng.integers(len(self._axis_orders))]
        flipped = tuple(axis for axis in range(3) if rng.random() < 0.5)
        if self._level is Augmentation.LIGHT:
            return AugmentationParams(axes, flipped)
        strength = STRENGTHS[self._level]
        with_affine, *is_changed = rng.random(3) < strength.probability * np.array([1, 0.5, 0.5])
        matrix = self._sample_matrix(rng, strength).tolist() if with_affine else None
        intensities = [self._sample_intensity(rng, strength, *is_changed)]
        for _ in range(1, n_channels):
            is_changed = list(rng.random(2) < strength.probability * 0.5)
            intensities.append(self._sample_intensity(rng, strength, *is_changed))
        return AugmentationParams(axes, flipped, matrix, tuple(intensities))

    def _sample_intensity(
        self, rng: np.random.Generator, strength: AugmentationStrength, with_blur: bool, with_gamma: bool
    ) -> IntensityParams:
        sigma = self._sample_sigma(rng, strength) if with_blur else None
        return IntensityParams(sigma, rng.uniform(*strength.gamma) if with_gamma else None)

    def _sample_dropped(self, rng: np.random.Generator, n_channels: int) -> tuple[int, ...]:
        if self._channel_dropout == 0 or n_channels == 1:
            return ()
        is_dropped = rng.random(n_channels) < self._channel_dropout
        if is_dropped.all():
            is_dropped[rng.integers(n_channels)] = False
        return tuple(np.flatnonzero(is_dropped).tolist())

    def _sample_matrix(self, rng: np.random.Generator, strength: AugmentationStrength) -> NDArray[np.float64]:
        max_angle = math.radians(strength.rotation_degrees)
        linear, shear = np.eye(3), np.eye(3)
        for plane in self._isotropic_planes:
            linear @= _rotation_matrix(plane, rng.uniform(-max_angle, max_angle))
            for pair in (plane, plane[::-1]):
                shear[pair] = rng.uniform(-strength.shear, strength.shear)
        translation = strength.translation * np.array(self._shape) * rng.uniform(-1, 1, 3)
        scale = 1 + strength.scale * rng.uniform(-1, 1, 3)
        return np.column_stack([linear @ shear * scale, linear @ shear @ translation])

    def _sample_sigma(self, rng: np.random.Generator, strength: AugmentationStrength) -> tuple[float, ...]:
        # The blur is isotropic in µm: it spans fewer voxels along a coarse axis.
        finest = min(self._spacing)
        return tuple(rng.uniform(0, strength.blur_voxels * finest / size) for size in self._spacing)


def _change(channel: torch.Tensor, params: IntensityParams) -> torch.Tensor:
    """Change the intensities of one channel, shape (1, z, y, x)."""
    if params.sigma_zyx is not None:
        channel = blur(channel, params.sigma_zyx)
    if params.gamma is not None:
        channel = adjust_gamma(channel, params.gamma)
    return channel


def describe_level(level: Augmentation, spacing: VoxelSize, shape_zyx: Shape3D, channel_dropout: float = 0.0) -> str:
    """Describe what `Augmenter` does to volumes of one voxel size and shape, as a part of a sentence.

    Examples
    --------
    >>> describe_level(Augmentation.LIGHT, spacing=(2.0, 0.5, 0.5), shape_zyx=(32, 64, 64))
    'rotated by multiples of 90° in yx, flipped, each at random'
    """
    dropped = f"channels left out with a probability of {channel_dropout:.0%}" if channel_dropout else ""
    if level is Augmentation.NONE:
        return f"not augmented, but {dropped}" if dropped else "not augmented"
    isotropic, square = _planes_to_rotate_in(spacing, shape_zyx)
    parts = [f"rotated by multiples of 90° in {_plane_names(square)}", "flipped"] if square else ["flipped"]
    if level is not Augmentation.LIGHT:
        strength = STRENGTHS[level]
        if isotropic:
            parts.append(f"rotated by up to {strength.rotation_degrees:g}° in {_plane_names(isotropic)}")
        if isotropic and strength.shear:
            parts.append("sheared")
        parts.append(f"scaled by up to {strength.scale:.0%}")
        parts += [f"translated by up to {strength.translation:.0%} of a side", "blurred", "changed in contrast"]
    return f"{', '.join(parts)}, each at random{f', and {dropped}' if dropped else ''}"


def _plane_names(planes: list[tuple[int, int]]) -> str:
    return ", ".join("zyx"[first] + "zyx"[second] for first, second in planes)


def _planes_to_rotate_in(spacing: VoxelSize, shape_zyx: Shape3D) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the planes with isotropic voxels, and those of them that keep their shape when rotated by 90°."""
    isotropic = [plane for plane in _PLANES if _is_isotropic(spacing, plane)]
    return isotropic, [plane for plane in isotropic if shape_zyx[plane[0]] == shape_zyx[plane[1]]]


def _is_isotropic(spacing: VoxelSize, plane: tuple[int, int]) -> bool:
    return math.isclose(spacing[plane[0]], spacing[plane[1]], rel_tol=0.01)


def _rotation_matrix(plane: tuple[int, int], angle: float) -> NDArray[np.float64]:
    rotation = np.eye(3)
    rotation[np.ix_(plane, plane)] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    return rotation
