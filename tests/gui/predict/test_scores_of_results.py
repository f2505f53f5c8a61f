"""The table of scores of the Predict dock: classes, objects, and how it fits."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.configs import Task
from napari_unet3d.data.geometry import Geometry
from napari_unet3d.inference.events import Prediction, VolumeEvaluated
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.session.comparison import compare, decode

VOXEL_SIZE = (2.0, 1.0, 0.5)
STRIDES = ((2, 2, 2),)


@pytest.fixture
def dock(open_dock):
    return open_dock("Predict")


def answer(labels, plan, name="mine"):
    labels = np.array(labels, np.uint16)
    return Prediction(name, labels, (labels > 0).astype(np.float32), Geometry(VOXEL_SIZE), plan)


def evaluated(prediction, painted):
    """The event of a test volume whose labels were painted in the convention of the model."""
    outcome = compare(prediction, decode(painted, prediction))
    image = np.zeros(prediction.labels.shape, np.uint8)
    return VolumeEvaluated(outcome.scores, image, outcome.truth, prediction, 1, 1)


def texts(table, row):
    return [table.item(row, column).text().strip() for column in range(table.columnCount())]


def test_classes_have_a_row_each_and_a_colour_for_the_wrong_one(dock, viewer):
    classes = (LabelClass(value=1, name="core"), LabelClass(value=4, name="shell"), LabelClass(value=5, name="none"))
    plan = Plan(task=Task.SEMANTIC, strides=STRIDES, classes=classes)
    painted = np.zeros((3, 4, 5), np.uint8)
    painted[1, 1:3, 1:4], painted[2, 2, 2:4] = 1, 4
    predicted = painted.copy()
    predicted[1, 1, 1] = 4
    for name in ("one", "two", "one"):  # a volume that comes again keeps its rows
        dock.results.add_evaluated(evaluated(answer(predicted, plan, name), painted))
    table = dock.results.table
    assert table.names == ["one"] * 4 + ["two"] * 4
    assert [texts(table, row)[:2] for row in (1, 2, 3)] == [["core", "0.909"], ["shell", "0.800"], ["none", "–"]]
    assert texts(table, 4)[1] == texts(table, 0)[1] == "0.855"
    table.cellDoubleClicked.emit(6, 0)  # a class opens its volume
    difference = viewer.layers["two difference"]
    assert np.argwhere(difference.data == 3).tolist() == [[1, 1, 1]]
    np.testing.assert_allclose(difference.colormap.map(3), [1, 200 / 255, 0, 1], atol=0.01)
    assert "wrong class" in dock.results.legend.value


def test_objects_are_counted_in_the_table(dock, viewer):
    painted = np.zeros((3, 4, 9), np.uint16)
    painted[1, 1, :4], painted[1, 1, 5:9], painted[2, 3, 5:8] = 3, 8, 9
    predicted = painted.copy()
    predicted[1, 1, 2:4] = 40
    predicted[2, 3, 5:8] = 0
    dock.results.add_evaluated(evaluated(answer(predicted, Plan(task=Task.INSTANCE, strides=STRIDES)), painted))
    table = dock.results.table
    headings = [table.horizontalHeaderItem(column).text() for column in range(table.columnCount())]
    assert dict(zip(headings, texts(table, 0), strict=True)) == {
        "Name": "mine",
        "Dice": "0.842",
        "F1": "0.667",  # one half has an IoU of 0.5
        "Found": "2/3",
        "Split": "1",
        "Merg.": "0",
        "Seen": "?",
    }
    assert all(table.horizontalHeaderItem(column).toolTip() for column in range(1, table.columnCount()))
    dock.results.show_selected()
    assert "wrong class" not in dock.results.legend.value


@pytest.mark.parametrize("task", list(Task))
def test_the_table_fits_into_a_narrow_dock(dock, qtbot, task):
    plan = Plan(task=task, strides=STRIDES, classes=(LabelClass(value=1, name="core"),) * (task is Task.SEMANTIC))
    painted, predicted = np.zeros((3, 40, 90), np.uint8), np.zeros((3, 40, 90), np.uint8)
    painted[1, 2, 3:30] = predicted[1, 2, 20:30] = predicted[0, 39, 89] = 1
    dock.results.add_evaluated(evaluated(answer(predicted, plan, "6"), painted))
    table = dock.results.table
    table.resize(350 - 24, 90)
    qtbot.waitUntil(lambda: table.columnWidth(0) > 0)
    header = table.horizontalHeader()
    assert header.length() <= table.viewport().width()
    assert table.columnWidth(0) >= 60
