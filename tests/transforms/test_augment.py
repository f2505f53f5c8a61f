from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet3d.configs import Augmentation
from napari_unet3d.transforms.augment import Augmenter

LEVELS = st.sampled_from(list(Augmentation))
SHAPES = st.tuples(*[st.sampled_from([8, 10, 12])] * 3)
VOXEL_SIZES = st.sampled_from([(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (1.0, 1.0, 2.5), (3.0, 2.0, 1.0)])
SEEDS = st.integers(0, 2**32 - 1)


def ids(shape: tuple[int, int, int]) -> torch.Tensor:
    """Labels with ids far apart, so that a mixture of two of them would be noticed."""
    labels = torch.zeros(1, *shape, dtype=torch.int32)
    labels[:, 1:4, 2:7, 3:6] = 1000
    labels[:, 5:7, 4:8, 1:5] = 77
    return labels


@settings(max_examples=60)
@given(LEVELS, SHAPES, VOXEL_SIZES, SEEDS)
def test_shapes_types_and_ids_are_kept(level, shape, voxel_size_um, seed) -> None:
    labels = ids(shape)
    image, augmented = Augmenter(level, voxel_size_um, shape)(labels.float(), labels, seed)

    assert (image.shape, image.dtype, type(image)) == (labels.shape, torch.float32, torch.Tensor)
    assert (augmented.shape, augmented.dtype, type(augmented)) == (labels.shape, torch.int32, torch.Tensor)
    assert set(augmented.unique().tolist()) <= {0, 77, 1000}
    assert torch.isfinite(image).all()


@settings(max_examples=40)
@given(SHAPES, VOXEL_SIZES, SEEDS)
def test_light_transforms_image_and_labels_together_and_loses_nothing(shape, voxel_size_um, seed) -> None:
    labels = ids(shape)
    image, augmented = Augmenter(Augmentation.LIGHT, voxel_size_um, shape)(labels.float(), labels, seed)

    assert torch.equal(image, augmented.float())
    assert torch.equal(image.flatten().sort().values, labels.float().flatten().sort().values)


@pytest.mark.parametrize("level", [Augmentation.MODERATE, Augmentation.HEAVY])
def test_strong_levels_transform_image_and_labels_together(level: Augmentation) -> None:
    shape = (24, 32, 28)
    z, y, x = np.ogrid[:24, :32, :28]
    inside = ((z - 9) / 6) ** 2 + ((y - 18) / 9) ** 2 + ((x - 12) / 7) ** 2 < 1
    labels = torch.from_numpy(inside[None].astype(np.uint8))
    augment = Augmenter(level, (1.0, 1.0, 1.0), shape)

    moved = 0
    for seed in range(40):
        image, augmented = augment(labels.float(), labels, seed)
        # Halfway between the intensities inside and outside, whatever blur and contrast did to them.
        agree = ((image > (image.max() + image.min()) / 2) == (augmented > 0)).float().mean()
        assert agree > 0.97
        moved += not torch.equal(augmented, labels)
    assert moved > 35


@settings(max_examples=60)
@given(st.sampled_from([Augmentation.LIGHT, Augmentation.MODERATE, Augmentation.HEAVY]), SEEDS, st.integers(0, 2))
def test_an_axis_of_another_voxel_size_is_not_rotated_into_the_others(level, seed, axis) -> None:
    shape = (12, 12, 12)
    voxel_size_um = tuple(3.0 if number == axis else 1.0 for number in range(3))
    along = torch.arange(12.0).reshape([-1 if number == axis else 1 for number in range(3)]).expand(shape)[None]

    image, _ = Augmenter(level, voxel_size_um, shape)(along.clone(), torch.zeros(1, *shape), seed)

    # The image depends on this axis alone, before and after.
    across = tuple(number + 1 for number in range(3) if number != axis)
    assert (image.amax(across) - image.amin(across)).max() < 1e-3


def test_axes_of_equal_voxel_size_are_rotated_into_each_other() -> None:
    shape = (8, 12, 12)
    ramp = torch.arange(12.0).expand(shape)[None].clone()
    augment = Augmenter(Augmentation.LIGHT, (3.0, 1.0, 1.0), shape)

    augmented = [augment(ramp, torch.zeros(1, *shape), seed)[0] for seed in range(30)]

    rotated = sum(bool((image.amax(3) - image.amin(3)).max() == 0) for image in augmented)
    assert 5 < rotated < 25  # half of them is expected
    assert len({tuple(image[0, 0, :, 0].tolist()) + tuple(image[0, 0, 0].tolist()) for image in augmented}) == 4


def test_translation_is_a_fraction_of_the_side() -> None:
    """Catches a range in voxels that is too small to do anything, as 0.1 would be."""
    shape = (40, 44, 48)
    labels = torch.zeros(1, *shape, dtype=torch.uint8)
    labels[:, 18:22, 20:24, 22:26] = 1
    augment = Augmenter(Augmentation.HEAVY, (3.0, 2.0, 1.0), shape)  # nothing is rotated

    centres = torch.stack([augment(labels.float(), labels, seed)[1].nonzero().float().mean(0) for seed in range(40)])

    assert (centres.amax(0) - centres.amin(0))[1:].min() > 3


def test_same_seed_same_bits_and_the_global_random_state_stays() -> None:
    labels = ids((8, 10, 12))
    augment = Augmenter(Augmentation.HEAVY, (1.0, 1.0, 1.0), (8, 10, 12))
    before = torch.get_rng_state(), np.random.get_state()[1].copy()

    first, again, other = (augment(labels.float(), labels, seed)[0] for seed in (5, 5, 6))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_none_returns_the_volume_unchanged() -> None:
    labels = ids((8, 10, 12))

    image, same = Augmenter(Augmentation.NONE, (1.0, 1.0, 1.0), (8, 10, 12))(labels.float(), labels, 0)

    assert torch.equal(image, labels.float())
    assert torch.equal(same, labels)
