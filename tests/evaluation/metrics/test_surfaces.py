from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

from napari_unet3d.evaluation.metrics.surfaces import SurfaceScores, compare_surfaces, surface_of

VOXEL = (2.0, 0.5, 0.7)
SHAPES = st_numpy.array_shapes(min_dims=3, max_dims=3, max_side=6)
Mask = NDArray[np.bool_]


def box(shape: tuple[int, int, int], *sides: tuple[int, int]) -> Mask:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask


def two_masks(data: st.DataObject, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    return data.draw(st_numpy.arrays(bool, shape)), data.draw(st_numpy.arrays(bool, shape))


@pytest.mark.parametrize(("axis", "distance_um"), [(0, 4.0), (1, 1.0), (2, 1.4)])
def test_single_voxels_two_apart_along_each_axis(axis: int, distance_um: float) -> None:
    predicted, target = np.zeros((7, 8, 9), bool), np.zeros((7, 8, 9), bool)
    place = [3, 4, 5]
    predicted[tuple(place)] = True
    place[axis] -= 2
    target[tuple(place)] = True
    assert compare_surfaces(predicted, target, VOXEL, distance_um).nsd == 1
    scores = compare_surfaces(predicted, target, VOXEL, distance_um * 0.99)
    assert scores == SurfaceScores(pytest.approx(distance_um), 0.0)


def test_a_slab_that_is_one_voxel_too_thick_by_hand() -> None:
    # 1 × 4 × 5 voxels against 2 × 4 × 5: all are surface, 20 are shared, 20 are 2 µm away.
    target, predicted = box((6, 8, 9), (2, 3), (2, 6), (2, 7)), box((6, 8, 9), (2, 4), (2, 6), (2, 7))
    assert compare_surfaces(predicted, target, VOXEL, 1.9) == SurfaceScores(2.0, pytest.approx(40 / 60))
    assert compare_surfaces(predicted, target, VOXEL, 2.0) == SurfaceScores(2.0, 1.0)


def test_one_far_voxel_in_forty_is_beyond_the_percentile() -> None:
    target = box((20, 8, 9), (2, 4), (2, 6), (2, 7))
    predicted = target.copy()
    predicted[19, 7, 8] = True
    assert compare_surfaces(predicted, target, VOXEL, 1.0).hd95 == 0
    assert compare_surfaces(predicted, target, VOXEL, 1.0).nsd == pytest.approx(80 / 81)


def test_empty_masks() -> None:
    empty, full = np.zeros((3, 4, 5), bool), box((3, 4, 5), (1, 2), (1, 3), (1, 4))
    assert compare_surfaces(empty, empty, VOXEL, 1.0) == SurfaceScores(0.0, 1.0)
    for pair in ((empty, full), (full, empty)):
        scores = compare_surfaces(*pair, VOXEL, 1e9)
        assert scores.hd95 is None
        assert scores.nsd == 0


def test_the_border_of_the_volume_is_a_surface() -> None:
    surface = surface_of(np.ones((3, 4, 5), bool))
    inside = box((3, 4, 5), (1, 2), (1, 3), (1, 4))
    np.testing.assert_array_equal(surface, ~inside)


def test_what_is_not_annotated_hides_surfaces() -> None:
    mask = box((6, 8, 9), (0, 6), (2, 6), (2, 7))
    one_slice = box((6, 8, 9), (3, 4), (0, 8), (0, 9))
    expected = box((6, 8, 9), (3, 4), (2, 6), (2, 7)) & ~box((6, 8, 9), (3, 4), (3, 5), (3, 6))
    np.testing.assert_array_equal(surface_of(mask & one_slice, one_slice), expected)
    at_the_border = box((6, 8, 9), (0, 1), (0, 8), (0, 9))
    np.testing.assert_array_equal(surface_of(mask & at_the_border, at_the_border)[0], expected[3])


def test_errors_outside_of_the_annotation_do_not_count() -> None:
    target = box((7, 8, 9), (1, 6), (2, 6), (2, 7))
    annotated = box((7, 8, 9), (0, 7), (0, 8), (0, 6))
    predicted = target.copy()
    predicted[:, :, 6:] = True
    assert compare_surfaces(predicted, target, VOXEL, 0.1).nsd < 1
    assert compare_surfaces(predicted, target & annotated, VOXEL, 0.1, annotated) == SurfaceScores(0.0, 1.0)


def test_masks_without_any_face_towards_what_is_known() -> None:
    annotated = box((6, 8, 9), (0, 2), (0, 8), (0, 9)) | box((6, 8, 9), (4, 5), (2, 4), (2, 4))
    predicted = box((6, 8, 9), (4, 5), (2, 4), (2, 4))  # fills its island of annotation: no surface
    scores = compare_surfaces(predicted, np.zeros_like(predicted), VOXEL, 1.0, annotated)
    assert scores.hd95 is None
    assert scores.nsd == 0
    assert compare_surfaces(predicted, predicted, VOXEL, 1.0, annotated) == SurfaceScores(0.0, 1.0)


def as_monai(mask: Mask) -> torch.Tensor:
    return torch.from_numpy(mask[None, None].astype(np.float32))


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI's own call
@settings(max_examples=40)
@given(data=st.data(), shape=SHAPES, tolerance=st.sampled_from([0.0, 0.45, 0.6, 1.1, 3.0]))
def test_they_are_those_of_monai(data: st.DataObject, shape: tuple[int, ...], tolerance: float) -> None:
    """Also at the border; MONAI leaves empty masks undefined."""
    predicted, target = two_masks(data, shape)
    if not predicted.any() or not target.any():
        return
    scores = compare_surfaces(predicted, target, VOXEL, tolerance)
    pair = as_monai(predicted), as_monai(target)
    distance = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=VOXEL)
    dice = compute_surface_dice(*pair, [tolerance], include_background=True, spacing=VOXEL)
    assert scores.hd95 == pytest.approx(distance.item(), rel=1e-5, abs=1e-5)
    assert scores.nsd == pytest.approx(dice.item(), rel=1e-5)


@given(data=st.data(), margins=st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 3))
def test_they_are_those_of_all_pairs_of_surface_voxels(
    data: st.DataObject, margins: tuple[tuple[int, int], ...]
) -> None:
    """Small masks somewhere in a volume of which any part is annotated; every distance is computed."""
    predicted, target = (np.pad(mask, margins) for mask in two_masks(data, (2, 3, 4)))
    annotated = data.draw(st_numpy.arrays(bool, predicted.shape))
    predicted, target = predicted & annotated, target & annotated
    places = [np.argwhere(surface_of(mask, annotated)) * VOXEL for mask in (predicted, target)]
    if not all(map(len, places)) or np.array_equal(predicted, target):
        return
    distances = cdist(*places)
    there, back = distances.min(axis=1), distances.min(axis=0)
    scores = compare_surfaces(predicted, target, VOXEL, 0.6, annotated)
    assert scores.hd95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert scores.nsd == pytest.approx(np.mean(np.concatenate([there, back]) <= 0.6))


@given(data=st.data(), shape=SHAPES)
def test_surfaces_are_those_of_an_erosion(data: st.DataObject, shape: tuple[int, ...]) -> None:
    mask = data.draw(st_numpy.arrays(bool, shape))
    np.testing.assert_array_equal(surface_of(mask), mask & ~ndimage.binary_erosion(mask))


@given(data=st.data(), shape=SHAPES)
def test_exchanging_both_changes_nothing(data: st.DataObject, shape: tuple[int, ...]) -> None:
    predicted, target = two_masks(data, shape)
    annotated = data.draw(st.none() | st_numpy.arrays(bool, shape))
    one = compare_surfaces(predicted, target, VOXEL, 0.6, annotated)
    other = compare_surfaces(target, predicted, VOXEL, 0.6, annotated)
    assert one.hd95 == pytest.approx(other.hd95)
    assert one.nsd == other.nsd


@given(data=st.data(), shape=SHAPES)
def test_annotating_everything_is_annotating_nothing_in_particular(data: st.DataObject, shape: tuple[int, ...]) -> None:
    predicted, target = two_masks(data, shape)
    plain = compare_surfaces(predicted, target, VOXEL, 0.6)
    everywhere = compare_surfaces(predicted, target, VOXEL, 0.6, np.ones(shape, bool))
    assert plain.nsd == everywhere.nsd
    assert plain.hd95 == pytest.approx(everywhere.hd95)


@given(data=st.data(), shape=SHAPES, factor=st.sampled_from([0.25, 3.0, 10.0]))
def test_larger_voxels_are_further_apart(data: st.DataObject, shape: tuple[int, ...], factor: float) -> None:
    predicted, target = two_masks(data, shape)
    z, y, x = (factor * size for size in VOXEL)
    plain, scaled = (
        compare_surfaces(predicted, target, size, 0.6 * by) for size, by in ((VOXEL, 1.0), ((z, y, x), factor))
    )
    expected = None if plain.hd95 is None else pytest.approx(factor * plain.hd95)
    assert scaled.hd95 == expected
    assert scaled.nsd == plain.nsd
