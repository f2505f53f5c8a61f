from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers.utils import sliding_window_inference

from napari_unet3d.inference.tile_grid import TileGrid, tile_grid
from napari_unet3d.inference.tiling import GaussianBlend, Tiling, gaussian_window, mirror_flips

CPU = torch.device("cpu")
Network = Callable[[torch.Tensor], torch.Tensor]
NO_FLIP = ((),)


def blended(
    volume: np.ndarray,
    grid: TileGrid,
    network: Network,
    n_channels: int = 1,
    n_tiles: int = 2,
    flips: tuple[tuple[int, ...], ...] = NO_FLIP,
) -> np.ndarray:
    """Predict all tiles and return the slices in the order in which they become final."""
    slices: list[tuple[int, np.ndarray]] = []
    tiling = Tiling(
        volume[None], grid, flips, GaussianBlend(grid, n_channels, CPU), lambda z, output: slices.append((z, output))
    )
    while tiling.n_done < tiling.n_total:
        tiling.step(network, CPU, n_tiles)
    assert [z for z, _ in slices] == list(range(volume.shape[0]))
    return np.stack([output for _, output in slices], axis=1)


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def depends_on_tile(tiles: torch.Tensor) -> torch.Tensor:
    """Return two channels that depend on the whole tile, so that overlapping tiles disagree."""
    ramp = torch.linspace(0, 1, tiles.shape[-1]) * torch.linspace(0.5, 1, tiles.shape[-2])[:, None]
    first = tiles - tiles.mean((2, 3, 4), keepdim=True) + ramp
    return torch.cat([first, tiles.amax((2, 3, 4), keepdim=True) * tiles**2], dim=1)


def naive(volume: np.ndarray, grid: TileGrid, network: Network) -> np.ndarray:
    """Blend with sums and weights as large as the volume, as in a textbook."""
    windows = [
        np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (side / 8)) ** 2).astype(np.float64)
        for side in grid.tile_zyx
    ]
    window = windows[0][:, None, None] * windows[1][:, None] * windows[2]
    sums, weights = np.zeros((2, *volume.shape)), np.zeros(volume.shape)
    for row in grid.rows():
        for corner in row:
            box = tuple(slice(start, start + side) for start, side in zip(corner, grid.tile_zyx, strict=True))
            sums[:, *box] += window * network(torch.from_numpy(volume[box])[None, None])[0].numpy()
            weights[box] += window
    return sums / weights


@given(data=st.data(), overlap=st.floats(0, 0.9), stride=st.tuples(*[st.sampled_from([1, 2, 4, 8])] * 3))
def test_tiles_cover_every_voxel_and_stay_inside(
    data: st.DataObject, overlap: float, stride: tuple[int, int, int]
) -> None:
    sides = [
        (data.draw(st.integers(2, 40)) * step, data.draw(st.integers(2, 20)) * step) for step in stride
    ]  # of the volume and of the tile
    shape, tile = (tuple(pair[part] for pair in sides) for part in (0, 1))
    grid = tile_grid(shape, tile, overlap, stride)
    assert grid.n_tiles == sum(len(row) for row in grid.rows())
    for axis, starts in enumerate(grid.starts):
        side = grid.tile_zyx[axis]
        assert side == min(tile[axis], shape[axis])
        covered = np.zeros(shape[axis], int)
        for start in starts:
            assert start % stride[axis] == 0
            assert 0 <= start <= shape[axis] - side
            covered[start : start + side] += 1
        assert covered.min() >= 1
        assert list(starts) == sorted(set(starts))
        steps = np.diff(starts)
        assert (steps <= max(stride[axis], side * (1 - overlap) + 1e-9)).all()


def test_starts_by_hand() -> None:
    grid = tile_grid((20, 48, 40), (24, 16, 32), 0.5, (1, 4, 8))
    assert grid.tile_zyx == (20, 16, 32)
    assert grid.starts == ((0,), (0, 8, 16, 24, 32), (0, 8))
    assert tile_grid((5, 12, 16), (2, 8, 8), 0, (1, 4, 4)).starts == ((0, 2, 3), (0, 4), (0, 8))


def test_the_window_by_hand() -> None:
    # Sigma is one voxel, and the centre is between two voxels.
    np.testing.assert_allclose(gaussian_window(8)[[3, 4, 0, 7]], np.exp([-0.125, -0.125, -6.125, -6.125]))
    assert gaussian_window(95)[47] == 1


@pytest.mark.parametrize("n_tiles", [1, 2, 7])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.8])
def test_slab_by_slab_is_the_same_as_all_at_once(overlap: float, n_tiles: int) -> None:
    volume = noise((28, 20, 36))
    grid = tile_grid((28, 20, 36), (8, 12, 16), overlap, (2, 2, 2))
    assert min(map(len, grid.starts)) > 1
    result = blended(volume, grid, depends_on_tile, n_channels=2, n_tiles=n_tiles)
    np.testing.assert_allclose(result, naive(volume, grid, depends_on_tile), atol=1e-5)


@pytest.mark.parametrize("shape", [(28, 20, 36), (8, 26, 40), (30, 12, 16)])
def test_tiles_are_blended_as_by_monai(shape: tuple[int, int, int]) -> None:
    volume, tile = noise(shape, 1), (8, 12, 16)
    grid = tile_grid(shape, tile, 0.5, (2, 2, 2))
    window = np.multiply.outer(
        np.multiply.outer(gaussian_window(tile[0]), gaussian_window(tile[1])), gaussian_window(tile[2])
    )
    expected = sliding_window_inference(
        torch.from_numpy(volume)[None, None],
        tile,
        sw_batch_size=3,
        predictor=depends_on_tile,
        overlap=0.5,
        roi_weight_map=torch.from_numpy(window.astype(np.float32)),  # its own is cut off at 1e-3
    )
    assert isinstance(expected, torch.Tensor)
    np.testing.assert_allclose(blended(volume, grid, depends_on_tile, n_channels=2), expected[0].numpy(), atol=1e-4)


@settings(max_examples=25)
@given(shape=st.tuples(*[st.integers(4, 24)] * 3), tile=st.tuples(*[st.integers(2, 12)] * 3))
def test_an_identity_network_returns_the_volume(shape: tuple[int, int, int], tile: tuple[int, int, int]) -> None:
    volume = noise(shape, 2)
    grid = tile_grid(shape, tile, 0.5, (1, 1, 1))
    np.testing.assert_allclose(blended(volume, grid, lambda tiles: tiles.clone())[0], volume, atol=1e-6)


def test_a_single_tile_is_the_network_output_bit_by_bit() -> None:
    volume = noise((6, 10, 14), 3)
    grid = tile_grid((6, 10, 14), (8, 16, 16), 0.5, (2, 2, 2))
    assert grid.n_tiles == 1
    expected = depends_on_tile(torch.from_numpy(volume)[None, None])[0].numpy()
    np.testing.assert_array_equal(blended(volume, grid, depends_on_tile, n_channels=2), expected)


def test_mirror_images_are_averaged_in_place() -> None:
    assert len(set(mirror_flips())) == 8
    assert mirror_flips()[0] == ()
    volume = noise((8, 12, 20), 4)
    grid = tile_grid((8, 12, 20), (4, 8, 8), 0.5, (2, 2, 2))

    def one_sided(tiles: torch.Tensor) -> torch.Tensor:  # looks at the previous voxel along x and z
        return 0.7 * tiles.roll(1, 4) + 0.3 * tiles.roll(1, 2)

    def by_hand(tiles: torch.Tensor) -> torch.Tensor:
        mean = torch.zeros_like(tiles)
        for axes in mirror_flips():
            mean += one_sided(tiles.flip(axes)).flip(axes) / 8
        return mean

    result = blended(volume, grid, one_sided, flips=mirror_flips())
    np.testing.assert_allclose(result, blended(volume, grid, by_hand), atol=1e-6)
    # Averaged over all mirror images, the previous and the next voxel have the same weight.
    mirrored = blended(volume[:, :, ::-1].copy(), grid, one_sided, flips=mirror_flips())[..., ::-1]
    np.testing.assert_allclose(result, mirrored, atol=1e-6)


def test_a_failed_batch_is_tried_again_and_counted_once() -> None:
    volume = noise((12, 12, 16), 5)
    grid = tile_grid((12, 12, 16), (8, 8, 8), 0.5, (2, 2, 2))
    fails = iter([True, False, True, True] + [False] * 100)

    def flaky(tiles: torch.Tensor) -> torch.Tensor:
        if next(fails):
            raise torch.OutOfMemoryError("as on a GPU")
        return depends_on_tile(tiles)

    slices = []
    tiling = Tiling(volume[None], grid, NO_FLIP, GaussianBlend(grid, 2, CPU), lambda _, output: slices.append(output))
    n_tried, n_tiles = 0, 2
    while tiling.n_done < tiling.n_total:
        n_tried += 1
        try:
            tiling.step(flaky, CPU, n_tiles)
        except torch.OutOfMemoryError:
            n_tiles = 1
    assert n_tried > 3
    assert tiling.n_done == tiling.n_total == grid.n_tiles == 12
    np.testing.assert_allclose(np.stack(slices, 1), naive(volume, grid, depends_on_tile), atol=1e-5)


def test_only_one_slab_of_sums_is_in_memory() -> None:
    shape, tile = (240, 32, 40), (8, 16, 16)
    grid = tile_grid(shape, tile, 0.5, (2, 2, 2))
    blend = GaussianBlend(grid, 3, CPU)
    assert blend._sums.shape == (3, 8, 32, 40)
    volume, result = noise(shape), np.empty(shape, np.float16)

    def keep(z: int, output: np.ndarray) -> None:
        result[z] = output[0]

    tracemalloc.start()
    tiling = Tiling(volume[None], grid, NO_FLIP, blend, keep)
    while tiling.n_done < tiling.n_total:
        tiling.step(lambda tiles: tiles.repeat(1, 3, 1, 1, 1), CPU, 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < prod(shape)  # bytes; a second volume or a count map would take four times that
    np.testing.assert_allclose(result, volume, atol=1e-3)
