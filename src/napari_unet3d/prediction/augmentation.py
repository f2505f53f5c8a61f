"""Random variation of volumes with MONAI: image and labels move together, labels are never interpolated."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import torch
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import RandAdjustContrastd, RandGaussianSmoothd
from monai.transforms.spatial.dictionary import RandAffined, RandFlipd, RandRotate90d

from napari_unet3d.configs import Augmentation
from napari_unet3d.data.sample import Shape3D, VoxelSize

_PLANES = ((0, 1), (0, 2), (1, 2))
_BOTH = ("image", "labels")


@dataclass(frozen=True, slots=True)
class _Strength:
    """How far a level goes; the moving parts are drawn uniformly from minus to plus the value."""

    probability: float
    rotation_degrees: float
    scale: float
    shear: float
    translation: float  # as a part of the volume's side
    blur_voxels: float
    gamma: tuple[float, float]


_STRENGTHS = {
    Augmentation.MODERATE: _Strength(0.5, 15.0, 0.1, 0.0, 0.05, 0.7, (0.8, 1.25)),
    Augmentation.HEAVY: _Strength(0.7, 30.0, 0.2, 0.1, 0.1, 1.2, (0.65, 1.5)),
}


class Augmenter:
    """Varies volumes of one shape and voxel size; made by `augmentation_for`."""

    def __init__(self, transforms: list[Any]) -> None:
        self._compose = Compose(transforms)

    def __call__(self, image: torch.Tensor, labels: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Vary a volume; the same seed gives the same bytes, and no other random numbers are touched.

        Parameters
        ----------
        image : Tensor of float32, shape (1, z, y, x)
            Grey values.
        labels : Tensor of any integer type, shape (1, z, y, x)
            Ids below 2**24.
        seed : int
            Seed of this variation.

        Returns
        -------
        tuple of Tensor
            Image and labels, types and shapes as given; no id is in the labels that was not there before.
        """
        self._compose.set_random_state(seed=seed % 2**32)
        varied: dict[Hashable, torch.Tensor] = self._compose({"image": image, "labels": labels})
        # MONAI hands out tensors with metadata, whose every operation is slower; plain ones go on.
        plain_image, plain_labels = (torch.as_tensor(varied[key]).as_subclass(torch.Tensor) for key in _BOTH)
        return plain_image.contiguous(), plain_labels.to(labels.dtype).contiguous()


def augmentation_for(level: Augmentation, voxel_size_um: VoxelSize, shape_zyx: Shape3D) -> Augmenter:
    """Make the augmentation of a level for volumes of one voxel size and shape.

    Light turns by multiples of 90° and mirrors. Moderate and heavy also turn by any angle, scale, move, blur and
    change the contrast, heavy shears too. Axes with different voxel sizes are never turned or sheared into each
    other, since an object would change its true shape; planes with unequal sides are not turned by 90°, so that
    the shape of a volume stays (mirroring both axes is their turn by 180°).

    Parameters
    ----------
    level : Augmentation
        None, light, moderate or heavy.
    voxel_size_um : tuple of float
        Voxel size along z, y, x in µm; sizes within 1 % count as equal.
    shape_zyx : tuple of int
        Size of the volumes in voxels.
    """
    if level is Augmentation.NONE:
        return Augmenter([])
    alike, square = _planes_to_turn_in(voxel_size_um, shape_zyx)
    # k = 1, 2 or 3 quarter turns in three of four cases: all four orientations are equally likely.
    turns = [RandRotate90d(_BOTH, prob=0.75, max_k=3, spatial_axes=plane) for plane in square]
    mirrors = [RandFlipd(_BOTH, prob=0.5, spatial_axis=axis) for axis in range(3)]
    if level is Augmentation.LIGHT:
        return Augmenter([*turns, *mirrors])
    strength = _STRENGTHS[level]
    return Augmenter([*turns, *mirrors, _affine(strength, alike, shape_zyx), *_grey_values(strength, voxel_size_um)])


def words_for_level(level: Augmentation, voxel_size_um: VoxelSize, shape_zyx: Shape3D) -> str:
    """Say what `augmentation_for` does with volumes of one voxel size and shape, as a part of a sentence."""
    if level is Augmentation.NONE:
        return "not varied"
    alike, square = _planes_to_turn_in(voxel_size_um, shape_zyx)
    words = [f"quarter turns in {_planes_words(square)}", "mirrored"] if square else ["mirrored"]
    if level is not Augmentation.LIGHT:
        strength = _STRENGTHS[level]
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
    """Give the planes with voxels of equal sides, and those among them in which the shape stays at a quarter turn."""
    alike = [plane for plane in _PLANES if _equal(voxel_size_um, plane)]
    return alike, [plane for plane in alike if shape_zyx[plane[0]] == shape_zyx[plane[1]]]


def _equal(voxel_size_um: VoxelSize, plane: tuple[int, int]) -> bool:
    return math.isclose(voxel_size_um[plane[0]], voxel_size_um[plane[1]], rel_tol=0.01)


def _affine(strength: _Strength, alike: list[tuple[int, int]], shape_zyx: Shape3D) -> RandAffined:
    angle = math.radians(strength.rotation_degrees)
    # MONAI's angles are those about z, y, x: the first turns the plane (y, x).
    about_axes = [angle if plane in alike else 0.0 for plane in reversed(_PLANES)]
    # Its shears are ordered (z, y), (z, x), (y, z), (y, x), (x, z), (x, y).
    shears = [strength.shear if tuple(sorted(pair)) in alike else 0.0 for pair in permutations(range(3), 2)]
    return RandAffined(
        _BOTH,
        prob=strength.probability,
        rotate_range=about_axes,
        shear_range=shears,
        translate_range=[strength.translation * side for side in shape_zyx],  # MONAI counts in voxels
        scale_range=[strength.scale] * 3,
        mode=("bilinear", "nearest"),
        # The same for both, so that what is mirrored in at the border of the image is labelled too.
        padding_mode="reflection",
    )


def _grey_values(strength: _Strength, voxel_size_um: VoxelSize) -> list[Any]:
    finest = min(voxel_size_um)
    # The blur is round in µm: a coarse axis is blurred over fewer voxels.
    z, y, x = ((0.0, strength.blur_voxels * finest / size) for size in voxel_size_um)
    return [
        _RandBlurd("image", sigma_x=z, sigma_y=y, sigma_z=x, prob=strength.probability / 2),
        RandAdjustContrastd("image", gamma=strength.gamma, prob=strength.probability / 2),
    ]


class _RandBlurd(RandGaussianSmoothd):
    """MONAI's blur takes zeros beyond the border, which darkens the rim; this one takes the border's own values."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        widest = (
            max(sigma) for sigma in (self.rand_smooth.sigma_x, self.rand_smooth.sigma_y, self.rand_smooth.sigma_z)
        )
        margin = math.ceil(4 * max(widest))  # MONAI cuts at 4 sigma
        wider = torch.nn.functional.pad(data["image"][None], (margin,) * 6, mode="replicate")[0]
        blurred = super().__call__({"image": wider})["image"]
        inside = slice(margin, -margin)
        return {**data, "image": blurred[:, inside, inside, inside]}
