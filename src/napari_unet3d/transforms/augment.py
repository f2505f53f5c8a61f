"""Random variation of volumes: image and labels move together, labels are never interpolated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet3d.configs import Augmentation
from napari_unet3d.data.sample import Shape3D, VoxelSize
from napari_unet3d.transforms.functional import adjust_gamma, affine, blur, flip_permute

_PLANES = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True, slots=True)
class AugmentationStrength:
    """How far a level goes; the moving parts are drawn uniformly from minus to plus the value."""

    probability: float
    rotation_degrees: float
    scale: float
    shear: float
    translation: float  # as a part of the volume's side
    blur_voxels: float
    gamma: tuple[float, float]


STRENGTHS = {
    Augmentation.MODERATE: AugmentationStrength(0.5, 15.0, 0.1, 0.0, 0.05, 0.7, (0.8, 1.25)),
    Augmentation.HEAVY: AugmentationStrength(0.7, 30.0, 0.2, 0.1, 0.1, 1.2, (0.65, 1.5)),
}


@dataclass(frozen=True, slots=True)
class AugmentationParams:
    """What is done to a volume, in this order; see `napari_unet3d.transforms.functional`.

    Attributes
    ----------
    axes, mirrored : tuple of int
        The turn.
    matrix : three rows of four float, or None
        Where voxels come from.
    sigma_zyx : tuple of float, or None
        Width of the blur along z, y, x in voxels.
    gamma : float or None
        The contrast.
    """

    axes: tuple[int, ...] = (0, 1, 2)
    mirrored: tuple[int, ...] = ()
    matrix: list[list[float]] | None = None
    sigma_zyx: tuple[float, ...] | None = None
    gamma: float | None = None


class Augmenter:
    """The augmentation of a level for volumes of one voxel size and shape.

    Light turns by multiples of 90° and mirrors. Moderate and heavy also turn by any angle, scale, move, blur and
    change the contrast, heavy shears too. Axes with different voxel sizes are never turned or sheared into each
    other, since an object would change its true shape; planes with unequal sides are not turned by 90°, so that
    the shape of a volume stays (mirroring both axes is their turn by 180°). All orientations that are left are
    equally likely.

    Parameters
    ----------
    level : Augmentation
        None, light, moderate or heavy.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm; sizes within 1 % count as equal.
    shape_zyx : tuple of int
        Size of the volumes in voxels.
    """

    def __init__(self, level: Augmentation, voxel_size_um: VoxelSize, shape_zyx: Shape3D) -> None:
        self._level, self._voxel_size_um, self._shape = level, voxel_size_um, shape_zyx
        self._alike, square = _planes_to_turn_in(voxel_size_um, shape_zyx)
        stay = {(axis, axis) for axis in range(3)}
        exchanged = {*square, *((second, first) for first, second in square)}
        self._orders = [axes for axes in permutations(range(3)) if {*enumerate(axes)} <= stay | exchanged]

    def __call__(self, image: torch.Tensor, labels: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Vary a volume on the device that it lies on; nothing is read back from there.

        The same seed gives the same bytes on one CPU, the same up to rounding on every device, and no other random
        numbers are touched.

        Parameters
        ----------
        image : Tensor of float32, shape (1, z, y, x)
            Grey values.
        labels : Tensor of uint8 or signed integers, shape (channel, z, y, x)
            Ids, or whatever belongs to the voxels.
        seed : int
            Seed of this variation.

        Returns
        -------
        tuple of Tensor
            Image and labels, types and shapes as given; no id is in the labels that was not there before.
        """
        drawn = self.sample_params(seed)
        image, labels = (flip_permute(volume, drawn.axes, drawn.mirrored) for volume in (image, labels))
        if drawn.matrix is not None:
            image, labels = affine(image, labels, drawn.matrix)
        if drawn.sigma_zyx is not None:
            image = blur(image, drawn.sigma_zyx)
        if drawn.gamma is not None:
            image = adjust_gamma(image, drawn.gamma)
        return image, labels

    def sample_params(self, seed: int) -> AugmentationParams:
        """Draw what is done to a volume for a seed."""
        if self._level is Augmentation.NONE:
            return AugmentationParams()
        rng = np.random.default_rng(seed)
        axes = self._orders[rng.integers(len(self._orders))]
        mirrored = tuple(axis for axis in range(3) if rng.random() < 0.5)
        if self._level is Augmentation.LIGHT:
            return AugmentationParams(axes, mirrored)
        strength = STRENGTHS[self._level]
        moves, blurs, changes = rng.random(3) < strength.probability * np.array([1, 0.5, 0.5])
        return AugmentationParams(
            axes,
            mirrored,
            self._draw_matrix(rng, strength).tolist() if moves else None,
            self._draw_sigma(rng, strength) if blurs else None,
            rng.uniform(*strength.gamma) if changes else None,
        )

    def _draw_matrix(self, rng: np.random.Generator, strength: AugmentationStrength) -> NDArray[np.float64]:
        angle = math.radians(strength.rotation_degrees)
        linear, shear = np.eye(3), np.eye(3)
        for plane in self._alike:
            linear @= _rotation(plane, rng.uniform(-angle, angle))
            for pair in (plane, plane[::-1]):
                shear[pair] = rng.uniform(-strength.shear, strength.shear)
        shift = strength.translation * np.array(self._shape) * rng.uniform(-1, 1, 3)
        scale = 1 + strength.scale * rng.uniform(-1, 1, 3)
        return np.column_stack([linear @ shear * scale, linear @ shear @ shift])

    def _draw_sigma(self, rng: np.random.Generator, strength: AugmentationStrength) -> tuple[float, ...]:
        # The blur is round in µm: a coarse axis is blurred over fewer voxels.
        finest = min(self._voxel_size_um)
        return tuple(rng.uniform(0, strength.blur_voxels * finest / size) for size in self._voxel_size_um)


def describe_level(level: Augmentation, voxel_size_um: VoxelSize, shape_zyx: Shape3D) -> str:
    """Say what `Augmenter` does with volumes of one voxel size and shape, as a part of a sentence."""
    if level is Augmentation.NONE:
        return "not varied"
    alike, square = _planes_to_turn_in(voxel_size_um, shape_zyx)
    words = [f"quarter turns in {_planes_words(square)}", "mirrored"] if square else ["mirrored"]
    if level is not Augmentation.LIGHT:
        strength = STRENGTHS[level]
        if alike:
            words.append(f"turned by up to {strength.rotation_degrees:g}° in {_planes_words(alike)}")
        if alike and strength.shear:
            words.append("sheared")
        words.append(f"scaled by up to {strength.scale:.0%}")
        words += [f"moved by up to {strength.translation:.0%} of a side", "blurred", "changed in contrast"]
    return f"{', '.join(words)}, each at random"


def _planes_words(planes: list[tuple[int, int]]) -> str:
    return ", ".join("zyx"[first] + "zyx"[second] for first, second in planes)


def _planes_to_turn_in(
    voxel_size_um: VoxelSize, shape_zyx: Shape3D
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the planes with voxels of equal sides, and those among them in which the shape stays at a quarter turn."""
    alike = [plane for plane in _PLANES if _equal(voxel_size_um, plane)]
    return alike, [plane for plane in alike if shape_zyx[plane[0]] == shape_zyx[plane[1]]]


def _equal(voxel_size_um: VoxelSize, plane: tuple[int, int]) -> bool:
    return math.isclose(voxel_size_um[plane[0]], voxel_size_um[plane[1]], rel_tol=0.01)


def _rotation(plane: tuple[int, int], angle: float) -> NDArray[np.float64]:
    turned = np.eye(3)
    turned[np.ix_(plane, plane)] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    return turned
