from __future__ import annotations

import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from napari_unet3d.configs import Axis
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.errors import UserError
from napari_unet3d.evaluation.reports.figure import (
    curves_figure,
    history_figure,
    slice_positions,
    slices_figure,
    write_curves,
    write_figure,
)
from napari_unet3d.runs.history import EpochRecord, best_record

RED, BLUE = (mpl.colormaps["coolwarm"](value) for value in (1.0, 0.0))


def volumes() -> tuple[np.ndarray, np.ndarray]:
    """One box in the ground truth, moved by three voxels along x in the prediction; sides are unequal."""
    truth, prediction = np.zeros((12, 20, 30), np.uint16), np.zeros((12, 20, 30), np.uint8)
    truth[2:10, 4:12, 6:16] = 5
    prediction[2:10, 4:12, 9:19] = 1
    return truth, prediction


def test_positions_of_the_tutorial() -> None:
    assert slice_positions(128) == [10, 31, 63, 95, 116]


@given(n_voxels=st.integers(1, 3000), n_slices=st.integers(1, 20))
def test_positions_are_rising_and_inside(n_voxels: int, n_slices: int) -> None:
    positions = slice_positions(n_voxels, n_slices)
    assert len(positions) == min(n_voxels, n_slices)
    assert positions == sorted(set(positions))
    assert positions[0] >= 0
    assert positions[-1] < n_voxels


@pytest.mark.parametrize("axis", list(Axis))
def test_panels_show_the_slices_of_truth_prediction_and_difference(axis: Axis) -> None:
    truth, prediction = volumes()
    figure = slices_figure(GroundTruth(truth), prediction, axis=axis)
    shown = [np.asarray(panel.get_images()[0].get_array()) for panel in figure.axes[:15]]
    for column, position in enumerate(slice_positions(truth.shape[axis.number])):
        wanted = np.take(truth, position, axis.number) > 0
        found = np.take(prediction, position, axis.number) > 0
        np.testing.assert_array_equal(shown[column], wanted)
        np.testing.assert_array_equal(shown[5 + column], found)
        np.testing.assert_array_equal(shown[10 + column], found.astype(int) - wanted.astype(int))
        assert figure.axes[column].get_title() == f"{axis.value} = {position}"


def test_what_is_not_annotated_is_grey_and_no_difference() -> None:
    truth, prediction = volumes()
    annotated = np.zeros(truth.shape, bool)
    annotated[:, :10] = True
    figure = slices_figure(GroundTruth(truth * annotated, annotated), prediction)
    shown = [np.asarray(panel.get_images()[0].get_array()) for panel in figure.axes[:15]]
    assert np.all(shown[2][10:] == np.float32(0.4))
    assert set(np.unique(shown[2][:10])) == {0, 1}
    assert shown[7][10:].any()
    assert not shown[12][10:].any()
    assert shown[12][:10].any()


def test_extra_is_red_and_missed_is_blue_at_their_places(tmp_path: Path) -> None:
    truth, prediction = volumes()
    figure = slices_figure(GroundTruth(truth), prediction)
    write_figure(tmp_path / "figure.png", figure)
    picture = imread(tmp_path / "figure.png")
    height, width = picture.shape[:2]
    middle = figure.axes[12].get_position()  # third row, third column

    def colour_at(y: float, x: float) -> np.ndarray:
        row = height * (1 - middle.y1 + (y + 0.5) / 20 * middle.height)
        column = width * (middle.x0 + (x + 0.5) / 30 * middle.width)
        return picture[int(row), int(column)]

    np.testing.assert_allclose(colour_at(8, 17), RED, atol=0.02)
    np.testing.assert_allclose(colour_at(8, 7), BLUE, atol=0.02)
    np.testing.assert_allclose(colour_at(8, 12), mpl.colormaps["coolwarm"](0.5), atol=0.02)


def test_panels_have_the_proportions_of_the_object() -> None:
    truth, prediction = volumes()
    figure = slices_figure(GroundTruth(truth), prediction, axis=Axis.X, spacing=(3.0, 0.9, 10.0))
    panel = figure.axes[0].get_window_extent()
    assert panel.height / panel.width == pytest.approx(12 * 3.0 / (20 * 0.9), rel=1e-3)


@pytest.mark.parametrize("shape", [(1, 40, 6), (12, 5, 90), (3, 8, 8)])
def test_no_words_are_cut_off_or_laid_over_others(shape: tuple[int, int, int]) -> None:
    empty = np.zeros(shape, np.uint8)
    figure = slices_figure(GroundTruth(empty), empty, title="2026-01-01_scan_$of$_a_very_long_name · Dice 0.970")
    boxes = {text.get_text(): text.get_window_extent() for text in words_of(figure)}
    for words, box in boxes.items():
        assert figure.bbox.x0 <= box.x0, words
        assert box.x1 <= figure.bbox.x1, words
        assert figure.bbox.y0 <= box.y0, words
        assert box.y1 <= figure.bbox.y1, words
    texts = list(boxes)
    for index, first in enumerate(texts):
        for second in texts[index + 1 :]:
            assert not boxes[first].overlaps(boxes[second]), (first, second)


def words_of(figure: Figure) -> list[Text]:
    figure.draw_without_rendering()
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def test_shapes_must_be_the_same() -> None:
    truth, prediction = volumes()
    with pytest.raises(UserError, match=r"\(12, 20, 29\)"):
        slices_figure(GroundTruth(truth), prediction[..., 1:])


def test_the_best_epoch_has_the_lowest_validation_loss() -> None:
    history = [EpochRecord(1, 0.9, 0.8), EpochRecord(2, 0.1), EpochRecord(3, 0.5, 0.3), EpochRecord(4, 0.4, 0.3)]
    best = best_record(history)
    assert best is not None
    assert best.epoch == 3
    without = best_record([EpochRecord(1, 0.9), EpochRecord(2, 0.2), EpochRecord(3, 0.4)])
    assert without is not None
    assert without.epoch == 2
    assert best_record([]) is None


def test_an_overflowed_epoch_is_not_the_best() -> None:
    best = best_record([EpochRecord(1, 0.5, math.nan), EpochRecord(2, 0.6, 0.7), EpochRecord(3, 0.4, math.inf)])
    assert best is not None
    assert best.epoch == 2


def test_validation_without_foreground_tells_no_best_epoch() -> None:
    history = [EpochRecord(1, 0.9), EpochRecord(2, 0.4, 0.0, math.nan), EpochRecord(3, 0.5, 0.2, math.nan)]
    assert best_record(history) is history[-1]
    (losses,) = history_figure(history).axes  # no panel for a Dice that has no meaning
    assert "last epoch: 3 (loss 0.2)" in [each.get_text() for each in losses.get_legend().get_texts()]


def test_curves_show_losses_of_their_epochs_and_mark_the_best() -> None:
    figure = curves_figure([EpochRecord(1, 0.9, 0.8), EpochRecord(2, 0.6), EpochRecord(3, 0.5, 0.3)])
    train, validation, best = figure.axes[0].get_lines()
    np.testing.assert_array_equal(train.get_xydata(), [[1, 0.9], [2, 0.6], [3, 0.5]])
    np.testing.assert_array_equal(validation.get_xydata(), [[1, 0.8], [3, 0.3]])
    np.testing.assert_array_equal(best.get_xydata(), [[3, 0.3]])
    assert best.get_label() == "best epoch: 3 (loss 0.3)"


@pytest.mark.parametrize("history", [[], [EpochRecord(1, 0.5)]])
def test_curves_of_short_runs_are_written(history: list[EpochRecord], tmp_path: Path) -> None:
    write_curves(tmp_path / "new folder" / "curves.png", history)
    assert imread(tmp_path / "new folder" / "curves.png").shape[2] == 4
