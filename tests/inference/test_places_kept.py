"""Every place of a volume goes through reading, training, predicting and writing unchanged, in every format."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_unet3d.configs import PredictionConfig, TrainingConfig
from napari_unet3d.data.dataset import read_samples
from napari_unet3d.data.formats.registry import FORMATS
from napari_unet3d.data.geometry import Geometry, make_geometry, turn_onto
from napari_unet3d.data.reading import read_volume
from napari_unet3d.data.volumes import write_volume
from napari_unet3d.errors import UserError
from napari_unet3d.inference.predict import predict_files
from napari_unet3d.model.checkpoint import Checkpoint
from napari_unet3d.training.loop import train

CPU = PredictionConfig(device="cpu")
SUFFIXES = [
    suffix for each in FORMATS if each.write is not None for suffix in each.suffixes if suffix not in each.written_as
]
ONE_OF_EACH = [".tif", ".ome.tif", ".nii.gz", ".npy", ".ome.zarr", ".h5", ".nrrd", ".mha", ".mrc"]
WITH_DIRECTIONS = [".nii.gz", ".npy", ".nrrd", ".mha"]
TURNS = [rotation.as_matrix().round() for rotation in Rotation.create_group("O")]
TURNS += [np.diag([-1.0, 1.0, 1.0]) @ turn for turn in TURNS]  # the flipped ones
OBLIQUE = Rotation.from_euler("xyz", [20, 5, 3], degrees=True).as_matrix()
SIZE = st.floats(0.01, 5000).map(lambda size: float(np.float32(size)))
LENGTH = st.floats(-1e4, 1e4).map(lambda length: float(np.float32(length)))
SHAPE = (6, 8, 10)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Return places of all kinds: turned, flipped, oblique, moved, without a unit, known in part or not at all."""
    sizes = draw(st.one_of(st.tuples(SIZE, SIZE, SIZE), st.just((None,) * 3), st.tuples(st.none(), SIZE, SIZE)))
    matrix = draw(st.sampled_from([None, *TURNS, OBLIQUE]))
    origin = draw(st.one_of(st.none(), st.tuples(LENGTH, LENGTH, LENGTH)))
    return make_geometry(sizes, matrix, origin, "NIfTI", is_um=draw(st.booleans()) or None in sizes)


def volume(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and its labels: a bright box in noise, nowhere symmetric."""
    rng, labels = np.random.default_rng(seed), np.zeros(SHAPE, np.uint8)
    labels[1:4, 1:5, 2:8] = 1
    return (labels * 150 + rng.integers(0, 50, SHAPE)).astype(np.uint8), labels


def assert_same(found: Geometry, expected: Geometry) -> None:
    for one, other in zip(found.sizes, expected.sizes, strict=True):
        assert one == (None if other is None else pytest.approx(other, rel=1e-5))
    if any(expected.sizes):
        assert found.is_um == expected.is_um
    for name, default in (("directions", np.eye(3)), ("origin", np.zeros(3))):
        one, other = (getattr(each, name) for each in (found, expected))
        np.testing.assert_allclose(*(default if each is None else each for each in (one, other)), rtol=1e-5, atol=1e-4)


def test_formats_that_write_are_all_tried() -> None:
    assert {*ONE_OF_EACH} <= {*SUFFIXES}


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=8)
@given(geometry=geometries())
def test_a_prediction_lies_where_its_image_lies(
    untrained: Callable[..., Checkpoint], suffix: str, geometry: Geometry
) -> None:
    """Through the files of the command; what a format cannot keep is not even written as an image."""
    with TemporaryDirectory() as folder:
        image, out = Path(folder) / f"a{suffix}", Path(folder) / "out"
        refusal = ""
        try:
            write_volume(image, volume(0)[0], geometry=geometry)
        except UserError as error:
            refusal = str(error)
        assert bool(refusal) != image.exists()
        if refusal:
            assert re.search("cannot keep where the volume lies|without a voxel size", refusal)
            return
        list(predict_files(untrained(patch=(8,)), [image], out, CPU, probability=True))
        results = sorted(path for path in out.iterdir() if not path.name.endswith(".json"))
        assert [path.name for path in results] == [f"a_labels{suffix}", f"a_probability{suffix}"]
        for path in results:
            assert_same(read_volume(path).geometry, geometry)


def turned(array: np.ndarray, geometry: Geometry, turn: np.ndarray) -> tuple[np.ndarray, Geometry]:
    """Return the same voxels in the same places with other axes, by the columns of a signed permutation (x, y, z)."""
    axes_xyz, is_flipped = np.abs(turn).argmax(0), turn.sum(0) < 0
    axes_zyx = [2 - axis for axis in axes_xyz[::-1]]
    stored = np.flip(array.transpose(axes_zyx), [axis for axis in range(3) if is_flipped[::-1][axis]])
    first = np.zeros(3)  # of the stored array, as an index of the other one
    first[axes_zyx] = np.where(is_flipped[::-1], np.array(array.shape)[axes_zyx] - 1, 0)
    sizes = [geometry.sizes[axis] for axis in axes_zyx]
    matrix = np.array(geometry.directions).T @ turn
    return stored, make_geometry(sizes, matrix, geometry.position(first.tolist()), geometry.frame)


def test_turned_labels_and_image_go_through_training_and_prediction(tmp_path: Path) -> None:
    """One run on volumes of all formats, at random places, whose labels are stored with other axes where possible."""
    rng, data = np.random.default_rng(3), tmp_path / "data"
    expected: dict[str, tuple[np.ndarray, Geometry]] = {}
    for number, suffix in enumerate(ONE_OF_EACH):
        has_directions = suffix in WITH_DIRECTIONS
        has_origin = has_directions or suffix in (".h5", ".ome.zarr", ".mrc")
        place = make_geometry(
            rng.uniform(0.2, 4, 3).astype(np.float32).tolist(),
            TURNS[rng.integers(len(TURNS))] if has_directions else None,
            rng.uniform(-50, 50, 3).tolist() if has_origin else None,
            "NIfTI" if suffix in (".nii.gz", ".npy") else "ITK" if has_directions else "",
        )
        image, labels = volume(number)
        stored, its_place = (
            turned(labels, place, TURNS[rng.integers(len(TURNS))]) if has_directions else (labels, place)
        )
        write_volume(data / "train/images" / f"{number}{suffix}", image, geometry=place)
        write_volume(data / "train/labels" / f"{number}{suffix}", stored, geometry=its_place)
        expected[str(number)] = labels, place
    samples = read_samples(data)
    assert {sample.name for sample in samples} == {*expected}
    for sample in samples:
        np.testing.assert_array_equal(sample.labels, expected[sample.name][0])
        assert_same(sample.geometry, expected[sample.name][1])
    list(train(data, tmp_path / "run", TrainingConfig(epochs=1, patch=(8,), device="cpu", save_snapshots=False)))
    list(predict_files(tmp_path / "run", [data / "train/images"], tmp_path / "out", CPU))
    written = {path.name.split("_")[0]: path for path in (tmp_path / "out").iterdir() if path.suffix != ".json"}
    assert {*written} == {*expected}
    for name, (_, place) in expected.items():
        assert_same(read_volume(written[name]).geometry, place)


@pytest.mark.parametrize("number", range(0, 48, 5))
def test_the_turn_of_this_test_is_the_one_that_is_undone(number: int) -> None:
    place = make_geometry((2.0, 0.5, 0.25), OBLIQUE @ TURNS[7], (1.0, -2.0, 3.0), "NIfTI")
    labels = volume(0)[1]
    array, geometry = turn_onto(*turned(labels, place, TURNS[number]), place)
    np.testing.assert_array_equal(array, labels)
    assert_same(geometry, place)
