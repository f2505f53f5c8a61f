"""The parts that blocks are made of, against what computes the same for a whole volume."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_unet3d.configs import Normalisation
from napari_unet3d.data.boxes import Box
from napari_unet3d.data.collected_intensities import Samples, collect, has_outliers, outliers_of
from napari_unet3d.data.intensities import clip_bounds, outlier_bounds
from napari_unet3d.data.outliers import find_outliers
from napari_unet3d.inference.blockwise.grid import BlockCost, BlockGrid, choose_block
from napari_unet3d.inference.blockwise.network_input import reflect
from napari_unet3d.inference.tile_grid import TileGrid, tile_grid
from napari_unet3d.inference.tiling import GaussianBlend, Tiling
from napari_unet3d.transforms.normalise import fit_scale
from napari_unet3d.transforms.resample import to_shape
from napari_unet3d.transforms.resample_part import box_parts, needed_box, resample_part

SHAPE = (7, 11, 13)
sides = st.tuples(*[st.integers(2, 24)] * 3)


@st.composite
def boxes(draw: st.DrawFn, shape: tuple[int, int, int]) -> Box:
    found = []
    for side in shape:
        start = draw(st.integers(0, side - 1))
        found.append(slice(start, draw(st.integers(start + 1, side))))
    return found[0], found[1], found[2]


@given(data=st.data(), old=sides, new=sides)
def test_a_part_is_resampled_as_the_whole(
    data: st.DataObject, old: tuple[int, int, int], new: tuple[int, int, int]
) -> None:
    volume = np.random.default_rng(sum(old)).random(old, np.float32)
    box = data.draw(boxes(new))
    parts = box_parts(box, old, new)
    found = resample_part(volume[needed_box(parts)], parts)
    np.testing.assert_allclose(found, to_shape(volume, new, is_labels=False)[box], rtol=0, atol=2e-6)


@given(st.integers(1, 9), st.integers(0, 30), st.integers(0, 30))
def test_reflection_is_that_of_padding(length: int, before: int, after: int) -> None:
    expected = np.pad(np.arange(length), (before, after), mode="symmetric")
    assert reflect(np.arange(-before, length + after), length).tolist() == expected.tolist()


def collected(image: NDArray[np.generic], percentiles: tuple[float, float]) -> object:
    found = collect(image.dtype, SHAPE)
    grid = BlockGrid(SHAPE, (3, 5, 4))
    every = [grid.box(number) for number in range(grid.n_blocks)]
    for box in every:
        found.add(image[box], box) if isinstance(found, Samples) else found.add(image[box])
    if isinstance(found, Samples) and has_outliers(found, percentiles):
        found.begin_second_pass(clip_bounds(found, percentiles))
        for box in every:
            found.add_again(image[box], outlier_bounds(found, percentiles))
    return found


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("hot", [False, True])
@pytest.mark.parametrize("method", list(Normalisation))
def test_statistics_of_parts_are_those_of_the_volume(dtype: str, hot: bool, method: Normalisation) -> None:
    image = np.random.default_rng(3).normal(50, 9, SHAPE).astype(dtype)
    if hot:
        image[2, 3, 4] = 120
        image[5, 1, 1] = 0
    percentiles = (1.0, 99.0)
    whole = fit_scale(image, method, percentiles)
    parts = collected(image, percentiles)
    found = fit_scale(parts, method, percentiles)  # type: ignore[arg-type]
    for name in ("shift", "scale", "low", "high"):
        assert getattr(found, name) == pytest.approx(getattr(whole, name), rel=1e-12, abs=1e-12)
    expected = find_outliers(image, percentiles)
    if expected is None or expected.remedy is not None:  # defects need neighbours, and are not looked for
        assert outliers_of(parts, image.size, percentiles) is None  # type: ignore[arg-type]
    else:
        assert outliers_of(parts, image.size, percentiles) == expected  # type: ignore[arg-type]


def test_percentiles_of_large_volumes_are_of_the_same_voxels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_unet3d.data.intensities._MAX_SORTED", 150)
    image = np.random.default_rng(4).random(SHAPE)
    whole, found = (
        fit_scale(image, Normalisation.PERCENTILE),
        fit_scale(collected(image, (0, 100)), Normalisation.PERCENTILE),
    )  # type: ignore[arg-type]
    assert (whole.shift, whole.scale) == (found.shift, found.scale)


def blend(volume: NDArray[np.float32], grid: TileGrid) -> NDArray[np.float32]:
    slices: list[NDArray[np.float32]] = []
    cpu = torch.device("cpu")
    tiling = Tiling(volume[None], grid, ((),), GaussianBlend(grid, 1, cpu), lambda _, output: slices.append(output))
    while tiling.n_done < tiling.n_total:
        tiling.step(lambda tiles: tiles - tiles.mean((2, 3, 4), keepdim=True), cpu, 2)
    return np.stack(slices, axis=1)[0]


@given(data=st.data())
@settings(max_examples=40)
def test_the_tiles_of_a_part_blend_to_the_same_bits(data: st.DataObject) -> None:
    volume = np.random.default_rng(5).random((16, 20, 28), np.float32)
    grid = tile_grid(volume.shape, (8, 20, 12), 0.5, (4, 4, 4))
    box = data.draw(boxes(volume.shape))
    part, corner = grid.part(box)
    covered = tuple(slice(at, at + side) for at, side in zip(corner, part.shape_zyx, strict=True))
    inside = tuple(slice(own.start - at, own.stop - at) for own, at in zip(box, corner, strict=True))
    assert np.array_equal(blend(volume[covered], part)[inside], blend(volume, grid)[box])


@given(sides, sides)
def test_blocks_cover_a_volume_once(shape: tuple[int, int, int], block: tuple[int, int, int]) -> None:
    grid, n_times = BlockGrid(shape, block), np.zeros(shape, int)
    for number in range(grid.n_blocks):
        n_times[grid.box(number)] += 1
    assert (n_times == 1).all()
    assert sorted(number for column in grid.columns() for number in column) == list(range(grid.n_blocks))
    for column in grid.columns():
        assert [grid.lower_neighbour(number, 0) for number in column] == [None, *column[:-1]]


def test_blocks_are_as_wide_as_memory_allows() -> None:
    cost = BlockCost((64, 64, 64), 12, 12)
    blocks = [choose_block((2048,) * 3, (64,) * 3, cost, limit * 2**20) for limit in (1, 100, 400, 4000)]
    assert blocks[0] == (64, 64, 64)
    assert all(small[1] * small[2] <= large[1] * large[2] for small, large in pairwise(blocks))
    assert all(cost.n_bytes(block) <= limit * 2**20 for block, limit in zip(blocks[1:], (100, 400, 4000), strict=True))
    assert all(block[0] == 64 for block in blocks)
