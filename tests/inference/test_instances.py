from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from matching import object_f1
from scipy import ndimage
from skimage.morphology import h_maxima
from skimage.segmentation import relabel_sequential

from napari_unet3d.configs import PostProcessing, SyntheticConfig
from napari_unet3d.data.geometry import Geometry, VoxelSize
from napari_unet3d.data.synthetic.generate import generate_volume
from napari_unet3d.training.loading.instance_targets import instance_targets
from napari_unet3d.transforms.instances import split_instances

VOXEL = Geometry((2.0, 1.0, 0.5))


def perfect(ids: np.ndarray, geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """The output of a network without errors."""
    boundary, distance = instance_targets(ids, geometry.spacing)
    return (ids > 0).astype(np.float32), np.stack([boundary, distance / 255]).astype(np.float16)


def two_peaks(depth: float) -> tuple[np.ndarray, np.ndarray]:
    """A bar of 5 × 7 × 40 voxels with two peaks of distance 0.8 and a wide valley between them."""
    probability = np.zeros((7, 9, 44), np.float32)
    probability[1:6, 1:8, 2:42] = 1
    along = 0.8 - depth * np.clip(1.5 * np.cos(np.linspace(-np.pi, np.pi, 40)), 0, 1)
    distance = np.zeros_like(probability)
    distance[1:6, 1:8, 2:42] = along
    return probability, np.stack([np.zeros_like(distance), distance]).astype(np.float16)


@pytest.mark.parametrize(
    ("shape", "voxel_size_um", "more"),
    [
        ((64, 80, 72), (1.0, 1.0, 1.0), {}),
        ((24, 96, 80), (2.5, 0.7, 0.9), {"object_shape_min": (8, 22, 20), "object_shape_max": (12, 34, 28)}),
        ((64, 72, 96), (1.0, 1.0, 1.0), {"object_shape_min": (10, 10, 10), "object_shape_max": (16, 16, 16)}),
    ],
)
def test_touching_generated_objects_are_recovered(
    shape: tuple[int, int, int], voxel_size_um: VoxelSize, more: dict[str, object]
) -> None:
    config = SyntheticConfig(difficulty="hard", shape=shape, voxel_size_um=voxel_size_um, seed=3, **more)
    *_, generated = generate_volume(config)
    ids = generated.sample.labels
    n_objects, n_connected = len(np.unique(ids)) - 1, ndimage.label(ids)[1]
    assert n_connected < 0.6 * n_objects  # many of them touch

    labels = split_instances(*perfect(ids, Geometry(voxel_size_um)), PostProcessing(), Geometry(voxel_size_um))

    assert object_f1(labels, ids) >= 0.97
    np.testing.assert_array_equal(labels > 0, ids > 0)


def test_two_halves_of_a_block_are_separated_by_their_boundary_alone() -> None:
    ids = np.zeros((10, 20, 60), np.uint8)
    ids[2:8, 3:17, 5:30] = 1
    ids[2:8, 3:17, 30:55] = 2
    probability, maps = perfect(ids, VOXEL)
    maps[1] = (ids > 0) * np.float16(0.5)  # the distance has no information

    with_boundary = split_instances(probability, maps, PostProcessing(), VOXEL)
    without = split_instances(probability, maps, PostProcessing(boundary_weight=0), VOXEL)

    assert object_f1(with_boundary, ids, 0.9) == 1
    assert without.max() == 1


@pytest.mark.parametrize(("valley", "n_objects"), [(0.25, 1), (0.35, 2)])
def test_peaks_are_separated_if_the_valley_is_deep_enough(valley: float, n_objects: int) -> None:
    settings = PostProcessing(seed_prominence=0.3, boundary_weight=0)

    assert split_instances(*two_peaks(valley), settings, Geometry((1.0, 1.2, 0.9))).max() == n_objects


def test_the_boundary_weight_reduces_the_weight_of_the_distance() -> None:
    output = two_peaks(0.5)

    assert split_instances(*output, PostProcessing(boundary_weight=0.5), VOXEL).max() == 2  # 0.25 of 0.2
    assert split_instances(*output, PostProcessing(boundary_weight=0.7), VOXEL).max() == 1  # 0.15 of 0.2


def test_the_threshold_is_the_minimum_probability_of_an_object() -> None:
    probability, maps = two_peaks(0)
    probability *= np.float32(0.5)

    assert split_instances(probability, maps, PostProcessing(threshold=0.5), VOXEL).any()
    assert not split_instances(probability, maps, PostProcessing(threshold=0.51), VOXEL).any()


@pytest.mark.parametrize(("smallest", "expected"), [(0, [1, 2]), (24, [1, 2]), (24.1, [0, 1]), (61, [0, 0])])
def test_objects_below_the_minimum_volume_are_removed_and_the_others_renumbered(
    smallest: float, expected: list[int]
) -> None:
    ids = np.zeros((8, 9, 20), np.uint8)
    ids[1:3, 1:5, 1:4] = 5  # 24 voxels of 1 µm³
    ids[3:8, 3:7, 10:13] = 3  # 60
    settings = PostProcessing(min_volume=smallest)

    labels = split_instances(*perfect(ids, VOXEL), settings, VOXEL)

    assert [labels[2, 2, 2], labels[5, 5, 11]] == expected
    assert len(np.unique(labels)) == 1 + len(set(expected) - {0})


def test_the_minimum_volume_is_in_um3_despite_rounding_errors() -> None:
    ids = np.zeros((8, 9, 10), np.uint8)
    ids[1:4, 1:4, 1:4] = 1
    voxel = Geometry((0.1, 0.3, 0.7))  # 27 voxels of 0.021 µm³ are 0.567 µm³

    kept = split_instances(*perfect(ids, voxel), PostProcessing(min_volume=0.567), voxel)
    removed = split_instances(*perfect(ids, voxel), PostProcessing(min_volume=0.568), voxel)

    assert kept.max() == 1
    assert removed.max() == 0


def test_specks_without_a_centre_are_removed_and_small_objects_with_one_are_kept() -> None:
    probability = np.zeros((8, 9, 20), np.float32)
    probability[1:6, 1:5, 1:7] = probability[2, 4, 15] = 1  # 120 voxels and 1
    maps = np.stack([np.zeros_like(probability), 0.3 * probability]).astype(np.float16)
    maps[1, 2, 4, 15] = 0.45

    labels = split_instances(probability, maps, PostProcessing(seed_confidence=0.4), VOXEL)

    assert np.argwhere(labels).tolist() == [[2, 4, 15]]
    assert split_instances(probability, maps, PostProcessing(seed_confidence=0.25), VOXEL).max() == 2
    assert not split_instances(probability, maps, PostProcessing(seed_confidence=0.5), VOXEL).any()


def test_values_that_are_not_finite_do_not_break_labels() -> None:
    probability, maps = two_peaks(0.6)
    maps[0, 3, 4, 10] = np.inf
    maps[1, 3, 4, 30] = np.nan
    probability[0, 0, 0] = np.nan

    labels = split_instances(probability, maps, PostProcessing(), VOXEL)

    np.testing.assert_array_equal(labels > 0, probability >= 0.5)


def test_more_than_255_objects_get_a_wider_type() -> None:
    ids = np.zeros((18, 24, 30), np.uint16)
    ids[::3, ::3, ::3] = np.arange(1, 481).reshape(6, 8, 10)

    labels = split_instances(*perfect(ids, VOXEL), PostProcessing(), VOXEL)

    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, ids)


def test_a_volume_without_background_is_one_object() -> None:
    flat = np.ones((2, 4, 5, 6), np.float16)

    assert (split_instances(np.ones((4, 5, 6), np.float32), flat, PostProcessing(), VOXEL) == 1).all()


def random_output(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Landscape and foreground from smooth noise; no two heights are equal."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(3, 9, 12, 15)), (0, 1.5, 1.5, 1.5))
    probability, boundary, distance = (noise - noise.min()) / np.ptp(noise)
    return probability.astype(np.float32), np.stack([boundary, distance]).astype(np.float32)


def are_same_partition(first: np.ndarray, second: np.ndarray) -> bool:
    pairs = np.unique(np.stack([first.ravel(), second.ravel()]), axis=1)
    return pairs.shape[1] == len(np.unique(first)) == len(np.unique(second))


SEEDS = st.integers(0, 2**20)
DEPTHS = st.sampled_from([0.0, 0.02, 0.05, 0.1])


@settings(max_examples=25)
@given(SEEDS, DEPTHS, st.sampled_from([0.0, 30.0, 200.0]))
def test_every_voxel_of_the_foreground_has_an_id_unless_it_is_removed(seed: int, depth: float, smallest: float) -> None:
    probability, maps = random_output(seed)
    options = {"threshold": 0.5, "seed_prominence": depth, "seed_confidence": 0}

    everything = split_instances(probability, maps, PostProcessing(**options), VOXEL)
    large = split_instances(probability, maps, PostProcessing(**options, min_volume=smallest), VOXEL)

    np.testing.assert_array_equal(everything > 0, probability >= 0.5)
    counts = np.bincount(everything.ravel())  # voxels of 1 µm³
    assert (counts > 0).all()
    expected = np.where(counts[everything] >= smallest, everything, 0)
    np.testing.assert_array_equal(large, relabel_sequential(expected)[0])
    for number in range(1, len(counts)):
        assert ndimage.label(everything == number)[1] == 1


@settings(max_examples=60)
@given(SEEDS, DEPTHS, st.integers(0, 2))
@example(1, 0.05, 0)  # three basins meet in one voxel
def test_a_mirrored_output_gives_mirrored_objects(seed: int, depth: float, axis: int) -> None:
    probability, maps = random_output(seed)
    options = PostProcessing(seed_prominence=depth, seed_confidence=0)

    labels = split_instances(probability, maps, options, VOXEL)
    mirrored = split_instances(np.flip(probability, axis), np.flip(maps, axis + 1), options, VOXEL)

    assert are_same_partition(labels, np.flip(mirrored, axis))


@settings(max_examples=15)
@given(SEEDS, st.sampled_from([0.03, 0.08]))
def test_there_are_as_many_objects_as_scikit_images_h_maxima(seed: int, depth: float) -> None:
    _, maps = random_output(seed)
    everywhere = np.ones(maps.shape[1:], np.float32)
    landscape = ndimage.gaussian_filter(maps[1], [0.5 / size for size in VOXEL.spacing], mode="nearest")
    faces = ndimage.generate_binary_structure(3, 1)
    slightly_less, expected = (ndimage.label(h_maxima(landscape, h, faces))[1] for h in (depth * 0.99, depth))
    assume(slightly_less == expected)  # scikit-image rounds floats to a fraction of the depth

    labels = split_instances(
        everywhere, maps, PostProcessing(seed_prominence=depth, boundary_weight=0, seed_confidence=0), VOXEL
    )

    assert labels.max() == expected
