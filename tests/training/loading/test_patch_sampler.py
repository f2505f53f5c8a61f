from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet3d.training.loading.patch_sampler import PatchSampler, grid_tiles

SIDES = st.integers(1, 9)


@given(shape=st.tuples(SIDES, SIDES, SIDES), data=st.data())
def test_tiles_cover_every_voxel_and_count_it_once(shape, data):
    patch = tuple(data.draw(st.integers(1, side)) for side in shape)
    covered, counted = np.zeros(shape, int), np.zeros(shape, int)

    for tile in grid_tiles(shape, patch):
        box = tuple(slice(start, start + side) for start, side in zip(tile.start, patch, strict=True))
        assert covered[box].shape == patch
        covered[box] += 1
        fresh = tuple(
            slice(s + f, s + side) for s, f, side in zip(tile.start, tile.first_uncovered, patch, strict=True)
        )
        counted[fresh] += 1

    assert covered.min() >= 1
    assert (counted == 1).all()


@given(seed=st.integers(0, 1000), on_foreground=st.booleans(), data=st.data())
def test_patches_lie_inside_and_hold_what_they_are_drawn_for(seed, on_foreground, data):
    patch = tuple(data.draw(st.integers(2, side)) for side in (8, 10, 12))
    targets = np.full((8, 10, 12), 255, np.uint8)
    targets[2:4, 3:9, 1:11] = 0
    targets[3, 4, 5:8] = 1

    start = PatchSampler(targets, seed=0).draw(np.random.default_rng(seed), patch, on_foreground=on_foreground)

    box = targets[tuple(slice(first, first + side) for first, side in zip(start, patch, strict=True))]
    assert box.shape == patch
    assert (box == 1).any() if on_foreground else (box != 255).any()


def test_of_very_many_voxels_an_even_part_is_a_candidate():
    """40 planes of 1000 foreground voxels: patches of single voxels must come from all of them alike."""
    targets = np.ones((40, 25, 40), np.uint8)
    places, rng = PatchSampler(targets, seed=0), np.random.default_rng(0)

    planes = [places.draw(rng, (1, 1, 1), on_foreground=True)[0] for _ in range(4000)]

    assert np.bincount(planes, minlength=40).min() > 50
    assert places.n_annotated == 40_000


def test_voxels_are_counted_by_value():
    targets = np.zeros((3, 4, 5), np.uint8)
    targets[0, 0, :3], targets[1:, 1, 1] = 2, 255

    places = PatchSampler(targets, seed=0)

    assert places.n_voxels_of[[0, 1, 2, 255]].tolist() == [55, 0, 3, 2]
    assert places.n_annotated == 58


@pytest.mark.parametrize("on_foreground", [True, False])
def test_a_volume_without_foreground_gives_patches_anywhere(on_foreground):
    places, rng = PatchSampler(np.zeros((6, 7, 8), np.uint8), seed=0), np.random.default_rng(0)

    starts = {places.draw(rng, (2, 3, 4), on_foreground=on_foreground) for _ in range(2000)}

    assert starts == {(z, y, x) for z in range(5) for y in range(5) for x in range(5)}
