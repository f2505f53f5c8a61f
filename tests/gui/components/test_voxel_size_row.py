"""Docks show the voxel size of the layer that they work on, warn where it is unknown, and set it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_unet3d.data.geometry import Geometry
from napari_unet3d.data.sample import Sample
from napari_unet3d.widgets.components.voxel_size_row import VoxelSizeRow
from napari_unet3d.widgets.viewer.layers import show_sample
from napari_unet3d.widgets.viewer.places import geometry_of

IMAGE = np.zeros((4, 5, 6), np.uint8)


def row_of(dock: Any, name: str) -> VoxelSizeRow:
    match name:
        case "Train":
            dock.source.use_layers()
            return dock.source.voxel_size
        case "Predict":
            return dock.target.voxel_size
        case "Inspect":
            return dock.source.layers.voxel_size
    return dock.voxel_size


@pytest.mark.parametrize("name", ["Train", "Predict", "Inspect", "Dataset"])
def test_the_voxel_size_is_shown_set_and_restored(viewer: Any, open_dock: Any, name: str) -> None:
    image = viewer.add_image(IMAGE, name="scan", translate=(0, 10, 0))
    labels = viewer.add_labels(IMAGE, name="scan prediction", translate=(0, 10, 0))
    elsewhere = viewer.add_labels(IMAGE, name="other")
    voxel_size = row_of(open_dock(name), name)
    chosen = labels if name == "Inspect" else image
    assert voxel_size.text.value == "Voxel size unknown: distances and volumes are in voxels"
    assert "background" in voxel_size.text.native.styleSheet()
    voxel_size.set_button.native.click()
    for box, size in zip(voxel_size.boxes, (2.0, 0.5, 0.25), strict=True):
        box.value = size
    voxel_size.apply_button.native.click()
    assert voxel_size.text.value == "Voxel size 2 × 0.5 × 0.25 µm"
    assert not voxel_size.text.native.styleSheet()
    for layer in (image, labels):
        assert geometry_of(layer) == geometry_of(chosen)
        assert geometry_of(layer).voxel_size_um == (2.0, 0.5, 0.25)
        assert tuple(layer.translate) == (0, 5, 0), "10 voxels along y, as before"
    assert tuple(elsewhere.scale) == (1, 1, 1)
    voxel_size.undo_button.native.click()
    assert [tuple(layer.scale) for layer in (image, labels)] == [(1, 1, 1)] * 2
    assert [tuple(layer.translate) for layer in (image, labels)] == [(0, 10, 0)] * 2
    assert {str(unit) for layer in (image, labels) for unit in layer.units} == {"pixel"}
    assert voxel_size.text.value.startswith("Voxel size unknown")


def test_a_voxel_size_that_is_partly_known_is_completed(viewer: Any, open_dock: Any) -> None:
    image, _ = show_sample(viewer, Sample("scan", IMAGE, geometry=Geometry((None, 0.5, 0.25))))
    voxel_size = open_dock("Predict").target.voxel_size
    assert voxel_size.text.value == "Voxel size unknown × 0.5 × 0.25 µm: distances and volumes are in voxels"
    voxel_size.open_boxes()
    assert [box.value for box in voxel_size.boxes] == [1.0, 0.5, 0.25]
    voxel_size.boxes[0].value = 3.0
    voxel_size.apply()
    assert geometry_of(image).voxel_size_um == (3.0, 0.5, 0.25)


def test_what_is_set_elsewhere_is_shown_and_other_layers_follow_the_menu(viewer: Any, open_dock: Any) -> None:
    image = viewer.add_image(IMAGE, name="a")
    voxel_size = open_dock("Predict").target.voxel_size
    image.scale, image.units = (3, 2, 1), ("um", "um", "um")
    assert voxel_size.text.value == "Voxel size 3 × 2 × 1 µm"
    image.units = ("mm", "mm", "mm")
    assert voxel_size.text.value == "Voxel size 3000 × 2000 × 1000 µm"
    image.units = ("pixel", "pixel", "pixel")
    assert voxel_size.text.value.startswith("Voxel size 3 × 2 × 1 without a unit: ")
    viewer.layers.remove(image)
    assert not voxel_size.native.isVisibleTo(voxel_size.native.parentWidget())
    voxel_size.apply()  # nothing is chosen, which is said


def test_a_negative_scale_and_leading_axes_stay(viewer: Any, open_dock: Any) -> None:
    image = viewer.add_image(IMAGE[None], scale=(1, -1, 1, 1), translate=(0, 3, 0, 0))
    voxel_size = open_dock("Predict").target.voxel_size
    voxel_size.open_boxes()
    voxel_size.boxes[0].value = 2.0
    voxel_size.apply()
    assert (tuple(image.scale), tuple(image.translate)) == ((1, -2, 1, 1), (0, 6, 0, 0))
    assert geometry_of(image).voxel_size_um == (2, 1, 1)
