from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_unet3d.data.synthetic.placement import OccupancyGrid

BLOCK = np.ones((3, 4, 5), bool)


def cross(size):
    """A mask whose bounding box is mostly empty and whose middle is not."""
    mask = np.zeros((size, size, size), bool)
    middle = size // 2
    mask[middle, middle, :] = mask[middle, :, middle] = mask[:, middle, middle] = True
    return mask


def paint(labels, start, mask, number):
    box = tuple(slice(low, low + size) for low, size in zip(start, mask.shape, strict=True))
    assert not labels[box][mask].any()
    labels[box][mask] = number


@pytest.mark.parametrize("gap", [0, 1, 3])
@pytest.mark.parametrize("cell_edge", [2, 3, 5])
@pytest.mark.parametrize("mask", [BLOCK, cross(7)], ids=["block", "cross"])
@pytest.mark.parametrize("beside", [False, True])
def test_objects_never_overlap_and_keep_their_gap(gap, cell_edge, mask, beside):
    room, rng = OccupancyGrid((17, 22, 27), gap, cell_edge), np.random.default_rng(1)
    labels = np.zeros((17, 22, 27), int)
    for number in range(1, 13):
        start = (room.find_adjacent(mask, rng) if beside else None) if number > 1 else room.find(mask, rng)
        start = room.find(mask, rng) if start is None else start
        if start is None:
            break
        paint(labels, start, mask, number)
        room.occupy(start, mask)
    assert labels.max() >= 4
    for number in range(1, labels.max() + 1):
        steps = ndimage.distance_transform_cdt(labels != number, "chessboard")  # 1 beside the object
        assert steps[(labels > 0) & (labels != number)].min() > gap


@pytest.mark.parametrize("gap", [0, 2])
def test_an_object_beside_another_is_exactly_the_gap_away(gap):
    for seed in range(10):
        room, rng = OccupancyGrid((40, 50, 60), gap, 2), np.random.default_rng(seed)
        labels = np.zeros((40, 50, 60), int)
        first = np.array([18, 22, 27])
        paint(labels, first, BLOCK, 1)
        room.occupy(first, BLOCK)
        paint(labels, room.find_adjacent(cross(7), rng), cross(7), 2)
        steps = ndimage.distance_transform_cdt(labels != 1, "chessboard")
        assert steps[labels == 2].min() == gap + 1


def test_nothing_is_beside_anything_in_an_empty_room():
    assert OccupancyGrid((9, 9, 9), 0, 2).find_adjacent(BLOCK, np.random.default_rng(0)) is None


@pytest.mark.parametrize("cell_edge", [2, 3, 4])
@pytest.mark.parametrize("hole", [(0, 0, 0), (27, 11, 9), (34, 25, 20)])
def test_the_only_hole_in_a_full_volume_is_found(cell_edge, hole):
    wall = np.ones((41, 32, 27), bool)
    wall[tuple(slice(low, low + 7) for low in hole)] = False
    room, rng = OccupancyGrid(wall.shape, 0, cell_edge), np.random.default_rng(2)
    room.occupy(np.zeros(3, int), wall)
    np.testing.assert_array_equal(room.find(np.ones((7, 7, 7), bool), rng), hole)
    assert room.find(np.ones((7, 7, 8), bool), rng) is None


def test_a_full_volume_has_no_room_left():
    room = OccupancyGrid((12, 14, 16), 0, 2)
    room.occupy(np.zeros(3, int), np.ones((12, 14, 16), bool))
    assert room.find(np.ones((5, 5, 5), bool), np.random.default_rng(0)) is None
    assert room.find(cross(5), np.random.default_rng(0)) is None


def test_a_mask_larger_than_the_volume_has_no_room():
    assert OccupancyGrid((9, 9, 9), 0, 2).find(np.ones((3, 10, 3), bool), np.random.default_rng(0)) is None


def test_every_free_place_is_as_likely_as_any_other():
    mask = np.ones((3, 3, 5), bool)
    room, rng = OccupancyGrid((3, 3, 30), 0, 2), np.random.default_rng(3)
    room.occupy(np.array([0, 0, 12]), np.ones((3, 3, 4), bool))
    starts = [int(room.find(mask, rng)[2]) for _ in range(2300)]
    counts = np.bincount(starts, minlength=26)
    free = [*range(8), *range(16, 26)]
    assert counts.sum() == counts[free].sum()
    expected = 2300 / len(free)
    assert (np.square(counts[free] - expected) / expected).sum() < 40  # chi², 17 degrees of freedom, p = 0.001


@pytest.mark.parametrize("cell_edge", [2, 3, 5])
def test_the_coarse_grid_agrees_with_the_voxels(cell_edge):
    room, rng = OccupancyGrid((16, 19, 23), 1, cell_edge), np.random.default_rng(4)
    taken = np.zeros((16, 19, 23), bool)
    for _ in range(12):
        size = rng.integers(2, 9, 3)
        start = rng.integers(0, np.array(taken.shape) - size + 1)
        room.occupy(start, np.ones(size, bool))
        taken[tuple(slice(max(0, low - 1), high + 1) for low, high in zip(start, start + size, strict=True))] = True
    for cell in np.ndindex(room._cells.shape):
        voxels = taken[tuple(slice(c * cell_edge, (c + 1) * cell_edge) for c in cell)]
        assert room._cells[cell] == (2 if voxels.all() else 1 if voxels.any() else 0)


def test_a_gap_wider_than_the_volume_fills_it():
    room = OccupancyGrid((10, 12, 14), 1000, 2)
    room.occupy(np.array([4, 4, 4]), BLOCK)
    assert room.find(np.ones((1, 1, 1), bool), np.random.default_rng(0)) is None
