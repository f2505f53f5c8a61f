"""Objects that are in several blocks have one number, whatever the blocks are."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import adapted_rand_error

from napari_unet3d.configs import PostProcessing
from napari_unet3d.data.boxes import Box, whole_box
from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.inference.blockwise.fragments import MapsReader, connected_fragments, separated_fragments
from napari_unet3d.inference.blockwise.grid import BlockGrid
from napari_unet3d.inference.blockwise.object_files import write_objects
from napari_unet3d.inference.blockwise.objects import FragmentStore, NumberedObjects
from napari_unet3d.inference.blockwise.stitching import ObjectColumns, join, number_objects, pairs_by_overlap
from napari_unet3d.inference.postprocess import remove_small
from napari_unet3d.transforms.instances import split_instances

SHAPE = (24, 40, 48)


@pytest.fixture(scope="module")
def maps() -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """Make probability, boundary and distance of 40 overlapping balls, as a good network predicts them."""
    rng, grid = np.random.default_rng(1), np.indices(SHAPE)
    depth = np.full(SHAPE, -1.0)
    for _ in range(40):
        centre, radius = rng.uniform(0, SHAPE), rng.uniform(3, 6)
        ball = 1 - np.sqrt(((grid - centre[:, None, None, None]) ** 2).sum(0)) / radius
        depth = np.maximum(depth, ball)
    probability = np.clip(0.5 + depth, 0, 1).astype(np.float32)
    distance = np.clip(depth + 0.02 * rng.random(SHAPE), 0, 1)
    boundary = np.exp(-((distance / 0.15) ** 2)) * (depth > 0)
    return probability, np.stack([boundary, distance]).astype(np.float16)


def numbered(
    store: FragmentStore, grid: BlockGrid, found: NumberedObjects, shape: tuple[int, int, int]
) -> NDArray[np.int64]:
    labels, offsets = np.zeros(shape, np.int64), store.offsets()
    for number in range(grid.n_blocks):
        values = np.concatenate([[0], found.values[offsets[number] : offsets[number + 1]]])
        labels[grid.box(number)] = values[store.array[grid.box(number)]]
    return labels


@pytest.mark.parametrize("block", [(12, 20, 24), (9, 40, 13)])
@pytest.mark.parametrize("halo", [1, 8])
def test_objects_are_those_of_the_whole_volume(
    block: tuple[int, int, int], halo: int, maps: tuple[NDArray[np.float32], NDArray[np.float16]], tmp_path: Path
) -> None:
    probability, channels = maps
    config = PostProcessing(seed_prominence=0.1)
    whole = split_instances(probability, channels, config, UNKNOWN)
    (foreground,) = ndimage.find_objects((probability >= config.threshold).astype(np.uint8))
    reader, grid = MapsReader(probability, channels, foreground, config, UNKNOWN), BlockGrid(SHAPE, block)
    store = FragmentStore(tmp_path / "fragments", grid, (8, 8, 8))
    is_whole = []

    def find(box: Box) -> object:
        fragments, all_seen = separated_fragments(reader, box, halo, lambda region: True)
        is_whole.append(all_seen)
        return fragments

    list(store.fill(list(range(grid.n_blocks)), find))  # type: ignore[arg-type]
    found = numbered(store, grid, store.join(None, 1, config.seed_confidence), SHAPE)
    assert all(is_whole)
    assert whole.max() > 20
    assert found.max() == whole.max()
    assert np.array_equal(found > 0, whole > 0)
    assert adapted_rand_error(whole, found)[0] < 1e-9  # so none ends at a face where the whole one does not


def test_what_does_not_fit_into_memory_is_cut_and_said(
    maps: tuple[NDArray[np.float32], NDArray[np.float16]],
) -> None:
    reader = MapsReader(*maps, whole_box(SHAPE), PostProcessing(), UNKNOWN)
    _, is_whole = separated_fragments(reader, np.s_[8:16, 10:20, 12:24], 1, lambda region: False)
    assert not is_whole


@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(3, 9)] * 3), st.floats(0.2, 0.7), st.integers(2, 30))
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_small_regions_of_classes_are_found_across_faces_edges_and_corners(
    tmp_path_factory: pytest.TempPathFactory, seed: int, block: tuple[int, int, int], fraction: float, smallest: int
) -> None:
    rng, shape = np.random.default_rng(seed), (9, 10, 11)
    labels = np.where(rng.random(shape) < fraction, rng.integers(1, 3, shape), 0).astype(np.uint8)
    grid = BlockGrid(shape, block)
    store = FragmentStore(tmp_path_factory.mktemp("regions"), grid, (4, 4, 4))
    list(store.fill(list(range(grid.n_blocks)), lambda box: connected_fragments(labels[box], box, shape)))
    found = numbered(store, grid, store.join(labels, smallest, None), shape)
    assert np.array_equal(found, remove_small(labels, smallest, UNKNOWN))


def test_fragments_match_by_the_majority_of_their_face() -> None:
    own, other = np.array([[1, 1, 1, 2], [3, 3, 0, 2]]), np.array([[5, 5, 0, 0], [6, 7, 7, 0]])
    assert pairs_by_overlap(own, other).tolist() == [[1, 5], [3, 6], [3, 7]]
    assert pairs_by_overlap(np.zeros((2, 2), int), own[:, :2]).shape == (0, 2)


def test_joining_is_transitive_and_numbers_follow_the_first_fragment() -> None:
    n_objects, objects = join(6, np.array([[4, 2], [2, 0], [3, 5]]))
    assert (n_objects, objects.tolist()) == (3, [0, 1, 0, 2, 0, 2])


def test_the_table_of_objects_has_known_numbers(tmp_path: Path) -> None:
    labels = np.zeros((4, 6, 8), np.uint8)
    labels[1:3, 2:4, 0:6] = 1  # in two blocks, at the border
    labels[1, 4, 7] = 2  # too small
    labels[0:2, 0, 7] = 3
    image, grid = np.arange(labels.size, dtype=np.uint16).reshape(labels.shape), BlockGrid((4, 6, 8), (4, 6, 4))
    parts = [connected_fragments(labels[grid.box(number)], grid.box(number), labels.shape) for number in range(2)]
    columns = ObjectColumns(tmp_path / "columns", 3)
    for number, (part, objects) in enumerate(zip(parts, ([0], [1, 0, 2]), strict=True)):
        order = np.array(objects, np.int32)
        inside = [image[grid.box(number)][part.labels == each + 1].sum() for each in range(len(part))]
        columns.add(order, {**part.table, "intensity_0": np.array(inside, float)})
    numbers = number_objects(columns, 3, 2, None)
    assert numbers.tolist() == [1, 2, 0]
    geometry = Geometry((2.0, 1.0, 0.5), origin=(100.0, 10.0, 1.0))
    write_objects(tmp_path / "objects.csv", columns, numbers, geometry, ["DAPI"])
    first, second = csv.DictReader((tmp_path / "objects.csv").read_text().splitlines())
    assert first["Object"] == "1"
    assert float(first["Volume (µm³)"]) == 24.0
    assert [float(first[f"{axis} (µm)"]) for axis in "zyx"] == [1 + 1.5 * 2, 10 + 2.5, 100 + 2.5 * 0.5]
    assert [int(first[f"{axis} {end} (voxels)"]) for axis in "zyx" for end in ("start", "stop")] == [1, 3, 2, 4, 0, 6]
    assert first["At border"] == "yes"
    assert float(first["Mean of DAPI"]) == image[labels == 1].mean()
    assert (second["Object"], second["At border"], float(second["Volume (µm³)"])) == ("2", "yes", 2.0)

    write_objects(tmp_path / "objects.parquet", columns, numbers, geometry, ["DAPI"])
    table = pandas.read_parquet(tmp_path / "objects.parquet")
    of_text = pandas.read_csv(tmp_path / "objects.csv", true_values=["yes"], false_values=["no"])
    pandas.testing.assert_frame_equal(table, of_text)
    write_objects(tmp_path / "none.parquet", None, np.zeros(0, np.int64), geometry, ["DAPI"])
    pandas.testing.assert_frame_equal(pandas.read_parquet(tmp_path / "none.parquet"), table[:0])
