from __future__ import annotations

import numpy as np
import pytest

from napari_unet3d.evaluation.error_table import ErrorKind

VOXEL = (2.0, 1.0, 0.5)


@pytest.fixture
def layers(viewer):
    """A volume of 20 × 24 × 30 voxels: of two true boxes one is missed; the other is too wide; something is extra."""
    truth = np.zeros((20, 24, 30), np.uint8)
    truth[5:9, 6:12, 7:17] = 1
    truth[12:18, 12:20, 18:26] = 1
    found = truth.copy()
    found[5:9, 6:12, 7:17] = 0
    found[12:18, 12:20, 26:29] = 1
    found[1:3, 1:3, 1:3] = 1
    place = {"scale": VOXEL, "units": ("um",) * 3}
    image = viewer.add_image(truth * 100.0, name="v", **place)
    return (
        image,
        viewer.add_labels(truth, name="v labels", **place),
        viewer.add_labels(found, name="v prediction", **place),
    )


def test_layers_are_found_compared_and_gone_through(open_dock, layers, wait_for_end, viewer):
    image, truth, prediction = layers
    dock = open_dock("Inspect")
    chosen = dock.source
    assert [chosen.prediction.value, chosen.truth.value, chosen.image.value] == [prediction, truth, image]
    told = []
    dock.inspection_changed.connect(told.append)
    dock.error_selected.connect(told.append)
    dock.tolerance_box.setValue(0.5)
    wait_for_end(dock, dock.run_bar.start_button.click)
    assert told == [dock.inspection, None]
    missed, wide, extra = dock.inspection.errors.objects
    assert [each.kind for each in (missed, wide, extra)] == [ErrorKind.MISSED, ErrorKind.EXTRA, ErrorKind.EXTRA]
    assert missed.volume_um3 == 4 * 6 * 10
    dock.go_on()
    assert told[2:] == [missed]
    assert dock.selected_error == missed
    assert viewer.dims.current_step == missed.position_zyx
