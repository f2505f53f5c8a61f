"""ROIs for ImageJ by clicks: of all objects, or of what is selected and in view."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

roifile = pytest.importorskip("roifile")


@pytest.fixture
def cells(viewer):
    labels = np.zeros((6, 10, 16), np.uint8)
    labels[1:5, 2:8, 2:14] = 2
    labels[5, 9, 15] = 5
    return viewer.add_labels(labels, name="cells", scale=(2, 1, 0.5), translate=(10, 20, 30), units=("um",) * 3)


@pytest.fixture
def panel(open_dock, cells):
    return open_dock("Objects").rois


def test_rois_are_written_of_all_slices_or_of_the_one_in_view(panel, cells, tmp_path, qtbot):
    def finish():
        qtbot.mouseClick(panel.job_bar.start_button.native, Qt.MouseButton.LeftButton)
        job = panel._context.jobs.latest("objects-rois")
        assert job is not None, panel.message.text()
        if job.is_running:
            with qtbot.waitSignal(job.ended, timeout=20_000):
                pass

    viewer, file = panel._context.viewer, tmp_path / "cells_RoiSet.zip"
    panel.folder.value = tmp_path
    finish()
    assert panel.message.text().startswith(f"5 ROIs of 2 objects are in {file}.")
    assert {roi.position for roi in roifile.roiread(file)} == {2, 3, 4, 5, 6}

    finish()
    assert panel.message.kind == "error"
    assert "exists already" in panel.message.text()

    panel.overwrite.value = panel.only_slice.value = True
    viewer.dims.set_point(0, 10 + 3 * 2)
    finish()
    assert [roi.name for roi in roifile.roiread(file)] == ["object_2_slice_4"]
    assert "1 object of 'cells' not in these slices: left out." in panel.message.text()

    viewer.dims.ndisplay = 3
    panel.job_bar.start_button.native.click()
    assert "The view shows no slice along z" in panel.message.text()
