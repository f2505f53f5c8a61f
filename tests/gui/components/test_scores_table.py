"""The table of scores in docks has the columns of the table of metrics."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from napari_unet3d.configs import Task
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.evaluation.metrics.metric import Metric
from napari_unet3d.evaluation.metrics.score import MetricOptions, score
from napari_unet3d.evaluation.metrics.table import METRICS
from napari_unet3d.evaluation.metrics.types import mean_scores
from napari_unet3d.widgets.components.scores_table import ScoresTable


@pytest.fixture
def toy_metric() -> Iterator[Metric]:
    metric = Metric("volume", "Volume", "Predicted voxels.", lambda pair: float(pair.predicted.sum()))
    METRICS.append(metric)
    yield metric
    METRICS.remove(metric)


def test_a_new_metric_has_a_column(qtbot, toy_metric):
    table = ScoresTable()
    qtbot.addWidget(table)
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[1, 2, 3:5] = 1
    for task in Task:
        table.clear_rows()
        table.show_scores(score(labels, GroundTruth(labels), "cell", options=MetricOptions(task, {1: "wall"})))
        items = [table.horizontalHeaderItem(column) for column in range(table.columnCount())]
        headings = [item.text() for item in items]
        assert ("Found" in headings) == (task is Task.INSTANCE)
        column = headings.index(toy_metric.heading)
        assert items[column].toolTip() == "Predicted voxels. Higher is better."
        assert table.item(0, column).text() == "2.000"
        if task is Task.SEMANTIC:
            assert table.item(1, column).text() == "2.000"


def test_a_mean_says_what_it_leaves_out(qtbot):
    table = ScoresTable()
    qtbot.addWidget(table)
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[1, 2, 3:5] = 1
    scores = [score(labels, GroundTruth(labels), "right"), score(labels * 0, GroundTruth(labels), "missed")]
    for each in scores:
        table.show_scores(each)
    table.show_mean(mean_scores(scores))
    headings = [table.horizontalHeaderItem(column).text() for column in range(table.columnCount())]
    mean = table.item(2, headings.index("Surf.\ndist.\nvoxels"))
    assert mean.text() == "0.00 (−1)"
    assert mean.toolTip().startswith("1 left out of this mean, where Surface distance (HD95) is not defined")
    assert table.item(1, headings.index("Surf.\ndist.\nvoxels")).text() == "–"
    assert table.item(2, headings.index("Dice")).text() == "0.500"


def test_distances_have_their_unit(qtbot):
    """In the heading as long as all volumes have the same, beside the numbers otherwise; then there is no mean."""
    table = ScoresTable()
    qtbot.addWidget(table)
    labels, moved = np.zeros((2, 3, 4, 5), np.uint8)
    labels[1, 2, 1:3] = moved[1, 1, 1:3] = 1
    sized = score(moved, GroundTruth(labels), "sized", Geometry((2.0, 3.0, 1.0)))
    plain = score(moved, GroundTruth(labels), "plain")
    table.show_scores(sized)
    column = [table.horizontalHeaderItem(column).text() for column in range(table.columnCount())].index(
        "Surf.\ndist.\nµm"
    )
    assert (table.item(0, column).text(), table.item(0, column).toolTip()) == ("3.00", "3.00 µm")
    for each in (sized, plain, sized):
        table.show_scores(each)
    table.show_mean(mean_scores([sized, plain]))
    assert table.horizontalHeaderItem(column).text() == "Surf.\ndist."
    assert [table.item(row, column).text() for row in range(3)] == ["3.00 µm", "1.00 voxels", "–"]
    assert (
        "Surface distance (HD95) and Surface match (NSD) have no mean: distances are in voxels for "
        in table.item(2, 0).toolTip()
    )
    assert "plain" in table.item(2, 0).toolTip()
