"""Inspect on layers without a voxel size, and on ground truth whose axes are flipped in the viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet3d.widgets.inspect.error_model import ErrorList


def heading(dock: Any, column: int) -> str:
    return dock.errors.table.rows.headerData(column, Qt.Orientation.Horizontal)


def cells(dock: Any, column: int) -> list[str]:
    model = dock.errors.table.view.model()
    return [model.index(row, column).data() for row in range(model.rowCount())]


def test_without_a_voxel_size_all_is_in_voxels(boxes: Any, open_dock: Any, wait_for_end: Any) -> None:
    """The scale 2 × 1 × 0.5 without a unit is a ratio: distances are in voxels along x, volumes count voxels."""
    for layer in boxes:
        layer.units = "pixel"
    dock = open_dock("Inspect")
    wait_for_end(dock, dock.inspect)
    assert dock.tolerance.native.text() == "1.00 voxels"  # the smallest side of 4 × 2 × 1
    dock.tolerance.value = 0.25
    wait_for_end(dock, dock.inspect)
    assert heading(dock, ErrorList.VOLUME) == "voxels"
    assert cells(dock, ErrorList.VOLUME) == ["240", "144", "8"]
    assert cells(dock, ErrorList.DEPTH)[1] == "3"  # three voxels along x
    assert dock.errors.table.minimum_volume.native.suffix() == " voxels"
    dock.session.select(dock.session.errors[0])
    assert dock.correction.where.value == "At: error 1, missed, 240 voxels"
    assert dock.correction.side.native.suffix() == " voxels"
    assert "µm" not in dock.correction.where.value


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_ground_truth_that_is_flipped_is_turned_onto_the_prediction(
    boxes: Any, open_dock: Any, wait_for_end: Any, axis: int
) -> None:
    _, truth, _ = boxes
    translate, scale = np.zeros(3), np.array(truth.scale)
    translate[axis] = scale[axis] * (truth.data.shape[axis] - 1)
    scale[axis] *= -1
    truth.data = np.flip(truth.data, axis)
    truth.scale, truth.translate = scale, translate
    dock = open_dock("Inspect")
    dock.tolerance.value = 0.25
    wait_for_end(dock, dock.inspect)
    assert cells(dock, ErrorList.VOLUME) == ["240", "144", "8"]
    assert dock.message.kind == "warning"
    assert "'v labels' are swapped or flipped against those of 'v prediction'" in dock.message.text()
    told = dock.cursor_info._describe(dock.session.comparison, (6, 8, 10))
    assert told.startswith("Ground truth foreground · prediction background"), "of the voxel of the prediction"


def test_ground_truth_elsewhere_is_told(boxes: Any, open_dock: Any, wait_for_end: Any) -> None:
    boxes[1].translate = (0, 40, 0)
    dock = open_dock("Inspect")
    wait_for_end(dock, dock.inspect)
    assert "'v labels' lies elsewhere in the viewer than 'v prediction'" in dock.message.text()
    assert "y 40" in dock.message.text()
