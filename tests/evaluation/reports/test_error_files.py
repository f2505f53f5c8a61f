"""The table of errors and the pictures of the worst, on volumes whose errors are counted by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from napari_unet3d.data.geometry import UNKNOWN, Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Sample
from napari_unet3d.evaluation.errors.find import list_errors
from napari_unet3d.evaluation.reports.error_files import N_WORST, ErrorFiles, write_errors
from napari_unet3d.evaluation.reports.error_picture import error_picture, scale_bar_length, slice_colours

VOXEL_SIZE = (3.0, 0.5, 1.0)


def one_missed_one_extra() -> tuple[np.ndarray, GroundTruth]:
    """A bar of 2 × 4 × 6 voxels that was missed and a cube of 3 × 3 × 3 that is extra; each is alone."""
    prediction, truth = np.zeros((2, 9, 30, 40), np.uint8)
    truth[1:3, 4:8, 5:11] = 1
    prediction[5:8, 20:23, 30:33] = 1
    return prediction, GroundTruth(truth)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_counted_by_hand(tmp_path: Path) -> None:
    prediction, truth = one_missed_one_extra()
    write_errors(tmp_path / "e.csv", "scan, 1", list_errors(prediction, truth, geometry=Geometry(VOXEL_SIZE)))
    missed, extra = read(tmp_path / "e.csv")
    assert [row["volume"] for row in (missed, extra)] == ["scan, 1", "scan, 1"]
    assert (missed["kind"], float(missed["error_volume"]), missed["n_voxels"]) == ("missed", 2 * 4 * 6 * 1.5, "48")
    assert (extra["kind"], float(extra["error_volume"]), extra["n_voxels"]) == ("extra", 27 * 1.5, "27")
    assert [int(extra[f"{axis}_voxel"]) for axis in "zyx"] == [6, 21, 31]
    assert [float(extra[axis]) for axis in "zyx"] == [6 * 3, 21 * 0.5, 31]
    assert (extra["predicted"], extra["true"], missed["predicted"], missed["true"]) == ("1", "", "", "1")
    assert missed["distance_unit"] == extra["distance_unit"] == "µm"
    assert "picture" not in missed


@pytest.mark.parametrize("geometry", [UNKNOWN, Geometry((None, 0.5, 1.0)), Geometry((6.0, 2.0, 2.0), is_um=False)])
def test_without_a_voxel_size_sizes_are_in_voxels(tmp_path: Path, geometry: Geometry) -> None:
    """A ratio of sides without a unit counts for distances (a slice is 3 voxels), and volumes count voxels."""
    prediction, truth = one_missed_one_extra()
    errors = list_errors(prediction, truth, geometry=geometry)
    write_errors(tmp_path / "e.csv", "scan", errors)
    missed, extra = read(tmp_path / "e.csv")
    assert missed["distance_unit"] == extra["distance_unit"] == "voxels"
    assert (float(missed["error_volume"]), float(extra["error_volume"])) == (48, 27)
    slice_thickness = 1 if geometry.is_um else 3
    assert [float(extra[axis]) for axis in "zyx"] == [6 * slice_thickness, 21, 31]
    assert not any(name.endswith("_um") for name in missed)
    text = error_picture(np.zeros(truth.labels.shape), prediction, truth, errors, errors[0]).axes[0].texts[0]
    assert text.get_text() == "5 voxels"  # of 24


def test_only_the_largest_of_all_volumes_have_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = ErrorFiles(tmp_path)
    sizes = []
    for name, side in (("small", 1), ("large/1", 2)):
        truth = np.zeros((6, 40, 60), np.uint8)
        for number in range(N_WORST - 2):
            y, x = 6 * (number // 6), 8 * (number % 6)
            truth[1 : 1 + side, y : y + side, x : x + side + number % 3] = 1
        nothing, image = np.zeros_like(truth), rng.integers(0, 99, truth.shape)
        errors = list_errors(nothing, GroundTruth(truth), geometry=Geometry(VOXEL_SIZE))
        sizes += [each.volume for each in errors.errors]
        files.add(Sample(name, image), nothing, GroundTruth(truth), errors)
    rows = read(tmp_path / "errors.csv")
    assert len(rows) == len(sizes) == 2 * (N_WORST - 2)
    drawn = {row["picture"]: float(row["error_volume"]) for row in rows if row["picture"]}
    assert sorted(drawn.values(), reverse=True) == sorted(sizes, reverse=True)[:N_WORST]
    assert {path.name for path in (tmp_path / "errors").iterdir()} == set(drawn)
    assert sum(name.startswith("large_1-") for name in drawn) == N_WORST - 2


def test_a_picture_shows_the_error_in_its_colour_at_its_place(tmp_path: Path) -> None:
    prediction, truth = one_missed_one_extra()
    errors = list_errors(prediction, truth, geometry=Geometry(VOXEL_SIZE))
    image = np.full(prediction.shape, 50)
    image[:, :, 20:] = 70
    for error, channel in zip(errors.errors, (2, 0), strict=True):
        error_picture(image, prediction, truth, errors, error).savefig(tmp_path / "e.png")
        pixels = imread(tmp_path / "e.png")[..., :3]
        assert pixels.shape[0] == pixels.shape[1]
        inside = pixels[..., channel] > np.delete(pixels, channel, 2).max(2) + 0.2
        box = np.array(error.box_zyx)[1:]
        height, width = (box[:, 1] - box[:, 0]) * VOXEL_SIZE[1:]
        side_um = 24  # 24 of the longest voxel in the slice, which is more than twice the error
        rows, columns = (np.ptp(np.flatnonzero(inside.any(axis))) for axis in (1, 0))
        assert columns / pixels.shape[1] == pytest.approx(width / side_um, rel=0.2)
        assert rows / columns == pytest.approx(height / width, rel=0.2)


def test_channels_are_drawn_in_the_colours_of_the_viewer_with_their_names() -> None:
    prediction, truth = one_missed_one_extra()
    errors = list_errors(prediction, truth, geometry=Geometry(VOXEL_SIZE))
    image = np.zeros((3, *prediction.shape), np.uint16)
    image[0, :, :, ::2], image[1, :, 1::2], image[2, :, :, 1] = 900, 70, 5  # magenta, green, cyan
    figure = error_picture(image, prediction, truth, errors, errors[0], ("dapi", "a" * 40, "$x$"))
    texts = {text.get_text(): text.get_color() for text in figure.axes[0].texts}
    assert {name: texts[name] for name in ("dapi", "a" * 23 + "…", "$x$")} == {
        "dapi": (1, 0, 1),
        "a" * 23 + "…": (0, 1, 0),
        "$x$": (0, 1, 1),
    }
    colours = slice_colours(image[:, 0])
    assert colours.shape == (30, 40, 3)
    assert [colours[0, 0].tolist(), colours[1, 3].tolist()] == [[1, 0, 1], [0, 1, 0]]
    assert colours[1, 0].tolist() == [1, 1, 1], "magenta and green"
    assert colours[0, 1].tolist() == [0, 1, 1], "however dark the channel is"
    drawn = figure.axes[0].images[0].get_array()
    assert drawn.shape[2] == 3


def test_one_channel_is_grey() -> None:
    plane = np.arange(1000).reshape(25, 40)
    low, high = np.percentile(plane, [0.5, 99.8])
    expected = np.clip((plane - low) / (high - low), 0, 1)
    for image in (plane, plane[None]):
        np.testing.assert_allclose(slice_colours(image), np.repeat(expected[..., None], 3, -1))
    assert not slice_colours(np.full((5, 6), 7)).any()


@pytest.mark.parametrize(("side", "bar"), [(24, 5), (100, 20), (9, 2), (0.3, 0.05), (4000, 1000)])
def test_scale_bars_are_round(side: float, bar: float) -> None:
    assert scale_bar_length(side) == pytest.approx(bar)
