from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.evaluation.metrics.uncertainty import class_entropy, foreground_entropy, uncertain_locations

VOXEL_SIZE = (2.0, 0.5, 1.0)


def spots(*places: tuple[tuple[int, int, int], float], shape: tuple[int, int, int] = (20, 60, 40)) -> np.ndarray:
    """Draw round spots of uncertainty, 2 µm wide, of the given heights."""
    z, y, x = (index * size for index, size in zip(np.indices(shape), VOXEL_SIZE, strict=True))
    volume = np.zeros(shape, np.float32)
    for place, height in places:
        distance = sum((axis - at * size) ** 2 for axis, at, size in zip((z, y, x), place, VOXEL_SIZE, strict=True))
        volume = np.maximum(volume, height * np.exp(-distance / 8)).astype(np.float32)
    return volume


def test_entropy_of_foreground_by_hand() -> None:
    probability = np.array([[[0, 0.25, 0.5]], [[0.75, 0.9, 1]]], np.float32)
    entropy = foreground_entropy(probability)
    np.testing.assert_allclose(entropy, [[[0, 0.811278, 1]], [[0.811278, 0.468996, 0]]], atol=1e-5)
    assert entropy.dtype == np.float32


def test_entropy_of_classes_by_hand() -> None:
    # Background and three classes: all alike; half and half; certain; certainly background.
    classes = np.array([[0.25, 0.5, 1, 0], [0.25, 0.5, 0, 0], [0.25, 0, 0, 0]], np.float16).reshape(3, 1, 2, 2)
    entropy = class_entropy(1 - (1 - classes.sum(0)).astype(np.float32), classes)
    np.testing.assert_allclose(entropy, [[[1, 0.5], [0, 0]]], atol=1e-6)


def test_one_class_is_like_foreground() -> None:
    probability = np.random.default_rng(0).random((2, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(
        class_entropy(probability, probability[None]), foreground_entropy(probability), atol=1e-6
    )


def test_the_worst_places_come_first() -> None:
    volume = spots(((5, 10, 8), 0.6), ((14, 40, 30), 0.9), ((5, 50, 8), 0.3))
    places = uncertain_locations(volume, VOXEL_SIZE, min_distance=6)
    assert [place.position_zyx for place in places] == [(14, 40, 30), (5, 10, 8), (5, 50, 8)]
    scores = [place.score for place in places]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] / scores[1] == pytest.approx(1.5, rel=0.05)
    assert uncertain_locations(volume, VOXEL_SIZE, n=1, min_distance=6) == places[:1]


def test_distances_are_those_of_the_microscope() -> None:
    # Six voxels apart along y are 3 µm, along z 12 µm.
    along_y = spots(((10, 30, 20), 0.9), ((10, 42, 20), 0.8))
    along_z = spots(((4, 30, 20), 0.9), ((10, 30, 20), 0.8))
    assert len(uncertain_locations(along_y, VOXEL_SIZE, min_distance=8)) == 1
    assert len(uncertain_locations(along_z, VOXEL_SIZE, min_distance=8)) == 2


def test_a_broad_region_counts_more_than_a_single_voxel() -> None:
    volume = spots(((14, 40, 30), 0.7))
    volume[4, 10, 8] = 1.0
    first = uncertain_locations(volume, VOXEL_SIZE, min_distance=8)[0]
    assert first.position_zyx == (14, 40, 30)


def test_what_is_annotated_is_left_out() -> None:
    volume = spots(((5, 10, 8), 0.6), ((14, 40, 30), 0.9))
    annotated = np.zeros(volume.shape, bool)
    annotated[8:] = True
    places = uncertain_locations(volume, VOXEL_SIZE, min_distance=6, annotated=annotated)
    assert places[0].position_zyx == (5, 10, 8)
    assert all(place.position_zyx[0] < 8 for place in places)
    assert volume.max() == np.float32(0.9), "the volume itself is not changed"


def test_a_painted_slice_does_not_hide_what_lies_beside_it() -> None:
    volume = spots(((14, 40, 30), 0.9))
    annotated = np.zeros(volume.shape, bool)
    annotated[14] = True
    (place,) = uncertain_locations(volume, VOXEL_SIZE, min_distance=12, n=1, annotated=annotated)
    assert place.position_zyx in ((13, 40, 30), (15, 40, 30))


def test_there_are_no_places_where_all_is_sure() -> None:
    assert uncertain_locations(np.zeros((4, 6, 5), np.float32), VOXEL_SIZE) == ()
    everything = np.ones((4, 6, 5), bool)
    assert uncertain_locations(np.ones((4, 6, 5), np.float32), VOXEL_SIZE, annotated=everything) == ()


def test_an_even_volume_gives_places_apart_from_each_other_and_the_same_each_time() -> None:
    volume = np.full((20, 60, 40), 0.5, np.float32)
    places = uncertain_locations(volume, VOXEL_SIZE, n=10, min_distance=12)
    assert len(places) == 10
    positions = np.array([place.position_zyx for place in places]) * VOXEL_SIZE
    distances = np.linalg.norm(positions[:, None] - positions, axis=-1)
    assert distances[~np.eye(10, dtype=bool)].min() >= 12
    assert places == uncertain_locations(volume, VOXEL_SIZE, n=10, min_distance=12)
