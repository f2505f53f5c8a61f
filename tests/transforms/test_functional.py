"""The functions of an augmentation compared with MONAI's transforms, and the parameters that are drawn for them."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms.intensity.array import AdjustContrast, GaussianSmooth
from monai.transforms.spatial.array import Affine, Flip, Rotate90
from torch.utils._python_dispatch import TorchDispatchMode

from napari_unet3d.configs import Augmentation
from napari_unet3d.transforms.augment import AugmentationParams, Augmenter
from napari_unet3d.transforms.functional import adjust_gamma, affine, blur, flip_permute

SHAPE = (7, 9, 12)
CUBIC = (1.0, 1.0, 1.0)


def noise(shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))


def smooth(shape: tuple[int, ...]) -> torch.Tensor:
    return GaussianSmooth(1.5)(noise(shape)).as_tensor() * 10


def some_ids(shape: tuple[int, ...], n_channels: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n_channels, *shape), generator=generator, dtype=torch.uint8)


def sample(
    level: Augmentation, voxel_size_um: Any = CUBIC, shape: Any = (32, 32, 32), n: int = 600
) -> list[AugmentationParams]:
    augment = Augmenter(level, voxel_size_um, shape)
    return [augment.sample_params(seed) for seed in range(n)]


def matrices(level: Augmentation, **given: Any) -> np.ndarray:
    return np.array([each.matrix for each in sample(level, **given) if each.matrix is not None])


@pytest.mark.parametrize("plane", [(0, 1), (0, 2), (1, 2)])
@pytest.mark.parametrize("axis", range(3))
def test_rotations_by_90_degrees_and_flips_agree_with_monai(plane: tuple[int, int], axis: int) -> None:
    volume = some_ids(SHAPE)
    axes = [0, 1, 2]
    axes[plane[0]], axes[plane[1]] = plane[1], plane[0]

    rotated = flip_permute(volume, axes, (plane[1],))
    flipped = flip_permute(volume, (0, 1, 2), (axis,))

    assert torch.equal(rotated, Rotate90(k=1, spatial_axes=plane)(volume).as_tensor())
    assert torch.equal(flipped, Flip(axis)(volume).as_tensor())
    assert (rotated.is_contiguous(), rotated.dtype) == (True, torch.uint8)


@pytest.mark.parametrize("shape", [SHAPE, (3, 40, 50), (20, 230, 240)])
def test_affine_agrees_with_monai(shape: tuple[int, int, int]) -> None:
    """Also for positions several volumes away, and for volumes that are sampled in several chunks."""
    image, labels = smooth(shape), some_ids(shape, n_channels=3)
    for matrix in matrices(Augmentation.HEAVY, shape=shape, n=6):
        transformed, transformed_labels = affine(image, labels, matrix.tolist())

        monai = Affine(affine=np.vstack([matrix, [0, 0, 0, 1]]), padding_mode="reflection", image_only=True)
        torch.testing.assert_close(transformed, monai(image).as_tensor(), rtol=0, atol=2e-3)
        nearest = monai(labels, mode="nearest").as_tensor()
        assert (transformed_labels == nearest).float().mean() > 0.9999  # positions halfway may be rounded either way
        assert (transformed_labels.dtype, transformed_labels.shape) == (torch.uint8, labels.shape)


def test_values_beyond_the_border_are_reflected() -> None:
    image = torch.arange(5.0).expand(1, 2, 3, 5).contiguous()
    by_two = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 2]]

    transformed, labels = affine(image, image.to(torch.int64) + 2**40, by_two)

    torch.testing.assert_close(transformed, torch.tensor([2.0, 3, 4, 4, 3]).expand(1, 2, 3, 5))
    assert torch.equal(labels - 2**40, torch.tensor([2, 3, 4, 4, 3]).expand(1, 2, 3, 5))


def test_blur_agrees_with_monai_and_repeats_the_border_values() -> None:
    image, sigma = noise(), (0.4, 1.2, 0.8)

    wider = torch.nn.functional.pad(image[None], (6,) * 6, mode="replicate")[0]
    expected = GaussianSmooth(sigma)(wider).as_tensor()[:, 6:-6, 6:-6, 6:-6]

    torch.testing.assert_close(blur(image, sigma), expected, rtol=0, atol=1e-3)  # MONAI cuts at 4 sigma
    torch.testing.assert_close(blur(torch.full_like(image, 3), sigma), torch.full_like(image, 3))
    assert torch.equal(blur(image, (0.0, 0.0, 0.0)), image)


@pytest.mark.parametrize("gamma", [0.65, 1.0, 1.5])
def test_gamma_agrees_with_monai(gamma: float) -> None:
    image = noise()
    before = image.clone()

    torch.testing.assert_close(adjust_gamma(image, gamma), AdjustContrast(gamma)(image).as_tensor())

    assert torch.equal(image, before)
    assert torch.equal(adjust_gamma(torch.full_like(image, 2), gamma), torch.full_like(image, 2))


def test_all_orientations_are_equally_likely() -> None:
    seen = Counter((each.axes, each.flipped) for each in sample(Augmentation.LIGHT, n=48 * 40))

    assert len(seen) == 48
    chi_square = sum((count - 40) ** 2 / 40 for count in seen.values())
    assert 20 < chi_square < 85  # 47 ± 10 is expected


@pytest.mark.parametrize(
    ("voxel_size_um", "shape", "axes"),
    [
        ((3.0, 1.0, 1.0), (8, 8, 8), {(0, 1, 2), (0, 2, 1)}),
        (CUBIC, (8, 10, 8), {(0, 1, 2), (2, 1, 0)}),
        (CUBIC, (8, 10, 12), {(0, 1, 2)}),
        ((1.0, 1.009, 1.018), (8, 8, 8), {(0, 1, 2), (1, 0, 2), (0, 2, 1)}),  # z and x differ too much
    ],
)
def test_only_axes_of_equal_voxel_size_and_length_are_swapped(voxel_size_um: Any, shape: Any, axes: set[Any]) -> None:
    assert {each.axes for each in sample(Augmentation.HEAVY, voxel_size_um, shape, n=100)} == axes


@pytest.mark.parametrize(("level", "probability"), [(Augmentation.MODERATE, 0.5), (Augmentation.HEAVY, 0.7)])
def test_transforms_are_applied_as_often_as_the_level_says(level: Augmentation, probability: float) -> None:
    sampled = sample(level, n=1500)

    changes = [(each.matrix, each.intensities[0].sigma_zyx, each.intensities[0].gamma) for each in sampled]
    counts = [sum(part is not None for part in parts) for parts in zip(*changes, strict=True)]

    np.testing.assert_allclose(np.array(counts) / 1500, np.array([1, 0.5, 0.5]) * probability, atol=0.05)
    assert len({tuple(map(bool, parts)) for parts in changes}) == 8


def test_moderate_stays_within_its_ranges_and_does_not_shear() -> None:
    found = matrices(Augmentation.MODERATE, shape=(20, 40, 80), n=1500)
    linear, shift = found[:, :, :3], found[:, :, 3]

    scale = np.linalg.norm(linear, axis=1)
    assert 0.9 <= scale.min() < 0.902
    assert 1.098 < scale.max() <= 1.1
    rotation = linear / scale[:, None]
    np.testing.assert_allclose(
        rotation.transpose(0, 2, 1) @ rotation, np.broadcast_to(np.eye(3), linear.shape), atol=1e-9
    )
    # The middle one of three angles alone decides this entry.
    angles = np.degrees(np.arcsin(rotation[:, 2, 0]))
    assert -15 <= angles.min() < -14.5
    assert 14.5 < angles.max() <= 15
    own_shift = np.abs(np.linalg.solve(rotation, shift[:, :, None])[:, :, 0]).max(0)
    np.testing.assert_allclose(own_shift, (1, 2, 4), rtol=0.02)
    assert (own_shift <= (1, 2, 4)).all()


def test_only_heavy_shears_and_only_axes_of_equal_voxel_size() -> None:
    found = matrices(Augmentation.HEAVY, voxel_size_um=(1.0, 3.0, 1.0))[:, :, :3]

    assert not found[:, 1, [0, 2]].any()
    assert not found[:, [0, 2], 1].any()
    across = np.einsum("ni,ni->n", found[:, :, 0], found[:, :, 2]) / np.linalg.norm(found, axis=1)[:, [0, 2]].prod(1)
    assert 0.15 < across.max() <= 0.2
    assert -0.2 <= across.min() < -0.15


def test_blur_and_contrast_stay_within_their_ranges() -> None:
    sampled = sample(Augmentation.HEAVY, voxel_size_um=(3.0, 1.0, 2.0), n=1500)

    changes = [each.intensities[0] for each in sampled]
    sigma = np.array([each.sigma_zyx for each in changes if each.sigma_zyx is not None])
    gamma = np.array([each.gamma for each in changes if each.gamma is not None])

    np.testing.assert_allclose(sigma.max(0), (0.4, 1.2, 0.6), rtol=0.02)
    assert (sigma.max(0) <= (0.4, 1.2, 0.6)).all()
    assert sigma.min() >= 0
    assert 0.65 <= gamma.min() < 0.66
    assert 1.49 < gamma.max() <= 1.5


class NothingReadBack(TorchDispatchMode):
    """Fails if a value is copied back from the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.overloadpacket.__name__ not in {"_local_scalar_dense", "nonzero", "equal", "is_nonzero"}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("device", ["cpu", "meta"])  # a meta tensor has no values, and its device is not the CPU's
def test_nothing_is_read_back_from_the_device(device: str) -> None:
    image, labels = noise().to(device), some_ids(SHAPE, n_channels=3).to(device)
    for level, seed in product(Augmentation, range(12)):
        with NothingReadBack():
            augmented_image, augmented = Augmenter(level, CUBIC, SHAPE)(image, labels, seed)

        assert (augmented_image.device.type, augmented_image.shape, augmented_image.dtype) == (
            device,
            image.shape,
            image.dtype,
        )
        assert (augmented.device.type, augmented.shape, augmented.dtype) == (device, labels.shape, labels.dtype)


def test_target_channels_are_transformed_together_and_inputs_stay_unchanged() -> None:
    image, targets = noise(), some_ids(SHAPE).expand(3, *SHAPE).contiguous()
    before = image.clone(), targets.clone()
    for seed in range(12):
        _, augmented = Augmenter(Augmentation.HEAVY, CUBIC, SHAPE)(image, targets, seed)

        assert torch.equal(augmented[0], augmented[1])
        assert torch.equal(augmented[0], augmented[2])
    assert torch.equal(image, before[0])
    assert torch.equal(targets, before[1])
