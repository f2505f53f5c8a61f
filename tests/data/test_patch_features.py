"""Patches that differ: their features against numpy, and the order in which they are chosen."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.data.patch_features import choose_patches, compute_features, patch_side

SPACING = (2.0, 1.0, 1.0)


def features_of(image, annotation=None, spacing=SPACING):
    annotation = np.zeros(image.shape, np.uint8) if annotation is None else annotation
    *steps, features = compute_features([image], annotation, spacing)
    assert steps == [(n + 1, len(steps)) for n in range(len(steps))]
    return features


def test_patches_are_as_long_as_wide_in_space_and_hold_mean_and_deviation():
    image = np.random.default_rng(0).normal(100, 20, (24, 50, 48))
    features = features_of(image)
    assert features.side == patch_side(image.shape, SPACING) == (4, 4, 4)
    assert features.shape == (6, 12, 12)  # without what is left over along y
    part = image[8:12, 4:8, 44:48].astype(np.float32)
    assert features.brightness[0, 2, 1, 11] == pytest.approx(part.mean(), rel=1e-5)
    assert features.structure[0, 2, 1, 11] == pytest.approx(part.std(), rel=1e-4)


def regions():
    """A volume of which one end is empty, one has fine structure, and the middle is bright and even."""
    rng = np.random.default_rng(1)
    image = rng.normal(0, 0.1, (24, 48, 48))
    image[:, :, 16:32] += 200
    image[:, :, 32:] += rng.choice([0.0, 100.0], (24, 48, 16))
    return image


def test_without_an_annotation_the_first_place_has_structure():
    first, *_ = choose_patches(features_of(regions()))
    assert first.position_zyx[2] >= 30
    assert "much structure" in first.reason


def test_each_place_is_unlike_what_is_annotated():
    image = regions()
    annotation = np.zeros(image.shape, np.uint8)
    annotation[10:14, 20:24, 36:44] = 2  # among the structure
    chosen = choose_patches(features_of(image, annotation), 6)
    assert len({place.position_zyx for place in chosen}) == 6
    assert any(16 <= place.position_zyx[2] < 32 for place in chosen[:3]), "bright and even"
    assert {"darker", "more even", "brighter"} & {place.reason.split(" than")[0] for place in chosen}
    for place in chosen:
        z, y, x = place.position_zyx
        assert not annotation[max(0, z - 4) : z + 5, max(0, y - 4) : y + 5, max(0, x - 4) : x + 5].any()
        assert all(4 <= at < side - 4 for at, side in zip(place.position_zyx, image.shape, strict=True))


def test_a_single_hot_voxel_does_not_come_first():
    image = np.random.default_rng(2).normal(100, 1, (16, 40, 40))
    image[8, 20, 20] = 60_000
    first, *_ = choose_patches(features_of(image, spacing=(1.0, 1.0, 1.0)))
    assert not all(abs(at - hot) < 4 for at, hot in zip(first.position_zyx, (8, 20, 20), strict=True))


def test_an_even_image_is_spread_over_in_space():
    image = np.full((12, 12, 12), 7.0)
    chosen = choose_patches(features_of(image, spacing=(1.0, 1.0, 1.0)), 4)
    assert len({place.position_zyx for place in chosen}) == len(chosen) >= 1


def test_when_all_is_annotated_there_is_nothing_to_suggest():
    image = regions()
    assert choose_patches(features_of(image, np.ones(image.shape, np.uint8))) == ()


def test_small_volumes_and_several_channels():
    rng = np.random.default_rng(3)
    channels = [rng.normal(size=(3, 5, 4)), rng.normal(size=(3, 5, 4))]
    *_, features = compute_features(channels, np.zeros((3, 5, 4), np.uint8), (1.0, 1.0, 1.0))
    assert features.brightness.shape == (2, 1, 1, 1)
    (only,) = choose_patches(features)
    assert only.position_zyx == (1, 1, 1)
