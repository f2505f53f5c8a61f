"""Ten thousand errors are listed, sorted, searched and selected at once."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QSortFilterProxyModel, Qt

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.ground_truth import GroundTruth
from napari_unet3d.data.sample import Sample
from napari_unet3d.inference.events import Prediction
from napari_unet3d.session.comparison import InspectionResult, compare, inspect_comparison
from napari_unet3d.session.inspection import InspectionSession
from napari_unet3d.session.progress import last_event
from napari_unet3d.widgets.inspect.error_model import ErrorList
from napari_unet3d.widgets.inspect.error_table import ErrorTable

VOXEL = (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def volume():
    """10,648 missed objects of one or, in the first plane of objects, two voxels."""
    truth = np.zeros((44, 44, 66), np.uint8)
    truth[::2, ::2, ::3] = 1
    truth[0, ::2, 1::3] = 1
    nothing = np.zeros_like(truth)
    return Prediction("v", nothing, nothing.astype(np.float32), Geometry(VOXEL)), Sample("v", truth, truth, VOXEL)


@pytest.fixture
def table(qtbot, volume):
    session = InspectionSession()
    table = ErrorTable(session)
    qtbot.addWidget(table.native)
    table.native.show()
    prediction, truth = volume
    comparison = compare(prediction, GroundTruth(truth.labels), 0.25, fast=True)
    session.show(last_event(inspect_comparison(comparison, 0.25), InspectionResult))
    return table


def test_ten_thousand_errors_are_listed_sorted_and_selected(table):
    view, listed = table.view, table.in_view
    assert not isinstance(listed, QSortFilterProxyModel), "it takes seconds for each sort"
    assert listed.rowCount() == 10_000
    assert table.counts.value == "10000 errors, 0 seen; 648 smaller ones are left out"
    assert [error.n_voxels for error in listed.in_order()] == 484 * [2] + 9516 * [1]

    view.selectRow(7000)
    chosen = listed.at(7000)
    assert table._session.selection == chosen
    view.sortByColumn(ErrorList.PLACE, Qt.SortOrder.AscendingOrder)
    places = [error.position_zyx for error in listed.in_order()]
    assert places == sorted(places)
    (row, *_) = {index.row() for index in view.selectionModel().selectedIndexes()}
    assert listed.at(row) == chosen, "the selected error stays selected"

    table.text.value = "20, 40, 6"
    assert 0 < listed.rowCount() < 100
    table.text.value = ""
    table.only_unseen.value = True
    assert listed.rowCount() == 10_000, "the selected one stays"
    table._session.select(listed.at(3))
    assert listed.rowCount() == 9_999
    assert listed.row_of(chosen) is None
    assert table.counts.value.startswith("10000 errors, 2 seen, 9999 listed")
