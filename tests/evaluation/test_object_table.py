"""The table of objects: numbers computed by hand, and updates that equal a measurement from scratch."""

from __future__ import annotations

import csv
import sys

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops_table

from napari_unet3d.data.geometry import Geometry, make_geometry
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.object_filter import matching_rows
from napari_unet3d.evaluation.object_measuring import ObjectVolume, is_like_classes, measure_objects
from napari_unet3d.evaluation.object_table import write_objects

VOXEL = Geometry((2.0, 1.0, 0.5))


def measure(labels, geometry=VOXEL, previous=None, **image):
    *_, table = measure_objects(ObjectVolume(labels, geometry, **image), previous)
    return table


@pytest.fixture
def cuboids():
    """Object 2 of 4 × 8 × 20 voxels, 8 × 8 × 10 µm, at the border; 5 touches it, face to face, 9 does not."""
    labels = np.zeros((12, 30, 60), np.uint16)
    labels[3:7, 10:18, :20] = 2
    labels[3:7, 18:20, 5:9] = 5
    labels[9:11, 25:27, 40:50] = labels[2, 2, 50] = 9
    return labels


def test_a_cuboid_is_measured_as_by_hand(cuboids):
    table = measure(cuboids)
    assert table.numbers.tolist() == [2, 5, 9]
    row = dict(zip([column.key for column in table.columns], table.cells[0], strict=True))
    assert row["volume"] == 8 * 8 * 10
    assert row["surface"] == pytest.approx(2 * (8 * 8 + 8 * 10 + 8 * 10), rel=0.11)  # edges are rounded
    assert (row["z"], row["y"], row["x"]) == (4.5 * 2, 13.5, 9.5 * 0.5)
    assert row["elongation"] == pytest.approx(10 / 8)
    assert (row["border"], row["pieces"]) == (1, 1)
    assert table.column("neighbours").tolist() == [1, 1, 0]
    assert table.column("border").tolist() == [1, 0, 0]
    assert table.column("pieces").tolist() == [1, 1, 2]
    assert all(cuboids[tuple(voxel)] == number for voxel, number in zip(table.voxels, table.numbers, strict=True))


def test_a_ball_is_round_in_micrometres():
    grid = np.indices((24, 48, 96)) * np.array(VOXEL.spacing).reshape(3, 1, 1, 1)
    ball = (np.linalg.norm(grid - np.array((24, 24, 24)).reshape(3, 1, 1, 1), axis=0) <= 16).astype(np.uint8)
    table = measure(ball)
    assert table.column("elongation")[0] == pytest.approx(1, abs=0.02)
    assert table.column("volume")[0] == pytest.approx(4 / 3 * np.pi * 16**3, rel=0.01)
    assert table.column("surface")[0] == pytest.approx(4 * np.pi * 16**2, rel=0.09)
    assert measure(ball, Geometry()).column("elongation")[0] == pytest.approx(4, rel=0.02)


def test_intensities_are_those_of_scikit_image(cuboids):
    channels = np.random.default_rng(0).integers(0, 1000, (2, *cuboids.shape)).astype(np.uint16)
    table = measure(cuboids, channels=tuple(channels), channel_names=("DAPI", "actin 2"))
    for channel, name in zip(channels, ("dapi", "actin_2"), strict=True):
        expected = regionprops_table(cuboids, channel, properties=("intensity_mean", "intensity_min", "intensity_max"))
        for each in ("mean", "min", "max"):
            np.testing.assert_allclose(table.column(f"{each}_{name}"), expected[f"intensity_{each}"])


def test_places_are_in_the_world_and_units_follow_the_voxel_size(cuboids):
    turned = make_geometry((2.0, 1.0, 0.5), np.diag([-1.0, 1.0, 1.0]), (100.0, 0.0, 7.0), "NIfTI")
    table = measure(cuboids, turned)
    assert [float(table.column(axis)[0]) for axis in "zyx"] == [7 + 9, 13.5, 100 - 4.75]
    unknown = measure(cuboids, Geometry())
    assert [float(unknown.column(axis)[0]) for axis in "zyx"] == [4.5, 13.5, 9.5]
    assert unknown.column("volume")[0] == 4 * 8 * 20
    assert [column.unit for column in unknown.columns if column.unit] == ["voxels", "voxels²", *["voxels"] * 3]
    assert [column.unit for column in table.columns if column.unit] == ["µm³", "µm²", *["µm"] * 3]


def test_large_numbers_take_no_memory():
    labels = np.zeros((4, 5, 6), np.uint32)
    labels[1:3, 1:3, 1:3], labels[0, 0, 5] = 4_000_000_000, 7
    table = measure(labels)
    assert table.numbers.tolist() == [7, 4_000_000_000]
    assert table.features()["index"].tolist() == [0, 7, 4_000_000_000]


def test_features_have_a_row_for_background_and_for_gaps(cuboids):
    features = measure(cuboids).features()
    assert features["index"].tolist() == list(range(10))
    assert features["volume"][2] == 640
    assert np.isnan(features["volume"][[0, 1, 3, 4, 6, 7, 8]]).all()


def test_labels_without_objects_are_refused():
    with pytest.raises(UserError, match="no objects"):
        measure(np.zeros((4, 5, 6), np.uint8))


def test_classes_are_told_from_objects(cuboids):
    assert not is_like_classes(measure(cuboids))
    classes = np.zeros((8, 20, 20), np.uint8)
    classes[2:4, ::4, ::4], classes[5:7, ::4, ::4] = 1, 2
    assert is_like_classes(measure(classes))


def painted():
    """Return a strategy for what is painted: a box and a number."""
    start = st.tuples(*(st.integers(0, side - 1) for side in (10, 40, 70)))
    return st.tuples(start, st.tuples(st.integers(1, 6), *[st.integers(1, 40)] * 2), st.integers(0, 5))


@settings(max_examples=40)
@given(before=st.lists(painted(), min_size=1, max_size=6), later=st.lists(painted(), max_size=2))
def test_an_update_equals_a_measurement_from_scratch(before, later):
    labels = np.zeros((10, 40, 70), np.uint8)
    labels[0, 0, 0] = 6

    def paint(strokes):
        for start, size, number in strokes:
            labels[tuple(slice(at, at + side) for at, side in zip(start, size, strict=True))] = number

    paint(before)
    if not labels.any():
        return
    previous = measure(labels)
    paint(later)
    if not labels.any():
        return
    updated, scratch = measure(labels, previous=previous), measure(labels)
    np.testing.assert_array_equal(updated.cells, scratch.cells)
    np.testing.assert_array_equal(updated.boxes, scratch.boxes)
    np.testing.assert_array_equal(updated.voxels, scratch.voxels)
    np.testing.assert_array_equal(updated.fingerprint, scratch.fingerprint)


def test_only_what_has_changed_is_measured_again(cuboids):
    previous = measure(cuboids)
    previous.cells[:, 1] = [-2, -5, -9]  # what is kept shows
    cuboids[9, 25, 40] = 0
    assert measure(cuboids, previous=previous).column("volume").tolist() == [-2, -5, 40.0]


def test_csv_has_units_in_its_headings(cuboids, tmp_path):
    table = measure(cuboids, channels=(cuboids * 2,), channel_names=("",))
    write_objects(tmp_path / "cells.csv", table, np.array([2, 0]), {9})
    with open(tmp_path / "cells.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["Object"] for row in rows] == ["9", "2"]
    assert float(rows[1]["Volume (µm³)"]) == 640
    assert (rows[1]["At border"], rows[1]["Mean"], rows[1]["Reviewed"]) == ("yes", "4.0", "no")
    assert (rows[0]["At border"], rows[0]["Pieces"], rows[0]["Reviewed"]) == ("no", "2", "yes")
    assert "Surface (µm²)" in rows[0]
    assert "z (µm)" in rows[0]


COLUMNS = {"volume": np.array([5.0, 50.0, 500.0, np.nan]), "border": np.array([0.0, 1.0, 1.0, 0.0])}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("", [1, 1, 1, 1]),
        ("volume < 50", [1, 0, 0, 0]),
        ("volume <= 50 and border", [0, 1, 0, 0]),
        ("not border", [1, 0, 0, 1]),
        ("volume = 50 or volume ≥ 500", [0, 1, 1, 0]),
        ("Volume != 50 and (border or volume<-1)", [0, 0, 1, 0]),
        ("4 < volume < 51", [1, 1, 0, 0]),
        ("border == 1", [0, 1, 1, 0]),
        ("1", [1, 1, 1, 1]),
    ],
)
def test_conditions_choose_rows(condition, expected):
    assert matching_rows(condition, COLUMNS).tolist() == [bool(each) for each in expected]


@pytest.mark.parametrize(
    "condition", ["volume <", "volume < 'a'", "__import__('os')", "volume.sum() > 1", "[1]", "volume in 3", "a\0b"]
)
def test_conditions_that_cannot_be_read_are_explained(condition):
    with pytest.raises(UserError, match=r"cannot be read|no column"):
        matching_rows(condition, COLUMNS)


@pytest.mark.parametrize(("own", "beside"), [(slice(32, 40), 31), (slice(20, 32), 32)])
def test_a_neighbour_that_comes_across_the_border_of_a_block_is_counted(own, beside):
    labels = np.zeros((4, 4, 64), np.uint8)
    labels[1:3, 1:3, own] = 1
    previous = measure(labels)
    labels[2, 2, beside] = 2
    assert measure(labels, previous=previous).column("neighbours").tolist() == [1, 1]


def test_parquet_has_the_types_that_csv_has_not(cuboids, tmp_path):
    image = np.full(cuboids.shape, 2.0)
    image[cuboids == 5] = np.nan
    table = measure(cuboids, channels=(image,), channel_names=("",))
    write_objects(tmp_path / "cells.parquet", table, np.array([1, 0]), {2})
    read = pandas.read_parquet(tmp_path / "cells.parquet")
    assert read["Object"].tolist() == [5, 2]
    assert read["Volume (µm³)"].tolist() == [4 * 2 * 4, 640]
    assert read["At border"].tolist() == [False, True]
    assert read["Reviewed"].tolist() == [False, True]
    assert read["Mean"].isna().tolist() == [True, False]
    kinds = {
        "Object": "int64",
        "Neighbours": "int64",
        "At border": "bool",
        "Reviewed": "bool",
        "Surface (µm²)": "float64",
    }
    assert {heading: str(read[heading].dtype) for heading in kinds} == kinds
    with pytest.raises(UserError, match=r"cannot be written as 'cells\.xlsx'; choose a name that ends in \.csv or"):
        write_objects(tmp_path / "cells.xlsx", table, np.arange(3), set())
    assert [path.name for path in tmp_path.iterdir()] == ["cells.parquet"]


def test_a_missing_library_is_one_sentence(cuboids, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    with pytest.raises(UserError, match=r"needs pyarrow\. Install it with: pip install 'napari-unet3d\[parquet\]'"):
        write_objects(tmp_path / "cells.parquet", measure(cuboids), np.arange(3), set())
    assert not list(tmp_path.iterdir())
