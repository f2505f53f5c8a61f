"""An Image layer that holds labels is offered where labels are asked for, and becomes a Labels layer with a click."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet3d.widgets.viewer.layer_metadata import dataset_of_layer

SHAPE = (10, 14, 18)
PLACE = {
    "scale": (2.0, 1.0, 0.5),
    "translate": (3.0, -4.0, 20.0),
    "rotate": np.array([[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]]),  # in the plane of the slices
    "affine": np.diag([1.0, 2.0, 1.0, 1.0]),
    "units": ("um",) * 3,
    "axis_labels": ("z", "y", "x"),
}


def objects():
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:6, 2:8, 3:9] = 5
    labels[2:6, 8:12, 3:9] = 300
    return labels


@pytest.fixture
def grey(viewer):
    noise = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
    return viewer.add_image(noise, name="grey", **PLACE)


@pytest.fixture
def mask(viewer, grey):
    """Labels that another tool has saved as floating-point numbers, opened after the image."""
    metadata = {"microscope": "mine"}
    return viewer.add_image(objects().astype(np.float32), name="mask", metadata=metadata, **PLACE)


def rows_of(dock, name):
    """The rows of a dock that offer a layer, and the menus that they belong to."""
    match name:
        case "Train":
            return [(dock.source.layers.convert, dock.labels_layer)]
        case "Dataset":
            return [(dock.new_volume.convert, dock.labels_layer)]
        case "Predict":
            return [(dock.target.convert, dock.truth_layer)]
        case "Objects":
            return [(dock.source.convert, dock.source.labels_layer)]
        case _:
            chosen = dock.source.layers
            return [(chosen.convert_prediction, dock.prediction_layer), (chosen.convert_truth, dock.truth_layer)]


def is_shown(row):
    return row.native.isVisibleTo(row.native.parentWidget())


@pytest.fixture
def convert(qtbot):
    """Click the button of a row and wait until the layer is there."""

    def _convert(row, menu):
        QTest.mouseClick(row.convert_button.native, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: menu.value is not None, timeout=20_000)
        return menu.value

    return _convert


@pytest.mark.parametrize("name", ["Train", "Dataset", "Predict", "Inspect", "Objects"])
def test_the_image_becomes_a_labels_layer_where_labels_are_asked_for(name, viewer, grey, mask, open_dock, convert):
    dock = open_dock(name)
    row, menu = rows_of(dock, name)[0]
    assert menu.value is None
    assert is_shown(row)
    assert row.text.value == "'mask' is an Image that holds labels."
    if name == "Train":
        assert dock.source.from_layers
        assert not dock.setup.sample_prompt.native.isVisibleTo(dock.native), "there is data"
        dock.train()
        assert "press 'Convert to labels' to make one of 'mask'" in dock.message.text()
    if name in ("Train", "Dataset", "Predict"):
        assert dock.image_layer.value is grey, "not the mask, which was opened last"

    layer = convert(row, menu)

    assert isinstance(layer, Labels)
    assert viewer.layers.index(layer) == viewer.layers.index(mask) + 1
    np.testing.assert_array_equal(layer.data, objects())
    assert layer.data.dtype == np.uint16
    assert layer.name == "mask labels"
    assert layer.metadata["microscope"] == "mine"
    for corner in (np.zeros(3), np.array(SHAPE) - 1.0, np.array([0.0, 5.0, 0.0])):
        np.testing.assert_allclose(layer.data_to_world(corner), mask.data_to_world(corner))
    assert (layer.units, layer.axis_labels) == (mask.units, mask.axis_labels)
    assert mask in viewer.layers
    assert not mask.visible
    assert not is_shown(row)
    assert "mask labels" in dock.message.text()


def test_inspect_asks_for_the_prediction_first_and_then_for_its_truth(viewer, grey, mask, open_dock, convert, qtbot):
    other = viewer.add_image(objects() > 5, name="by hand", **PLACE)
    dock = open_dock("Inspect")
    (prediction, prediction_menu), (truth, truth_menu) = rows_of(dock, "Inspect")
    viewer.layers.selection = {mask}
    dock.reset_choices()
    assert (is_shown(prediction), is_shown(truth)) == (True, False)
    assert convert(prediction, prediction_menu).name == "mask labels"
    assert (is_shown(prediction), is_shown(truth)) == (False, True)
    assert truth.image is other
    assert convert(truth, truth_menu).name == "by hand labels"
    assert truth_menu.value.data.dtype == np.uint8
    assert (is_shown(prediction), is_shown(truth)) == (False, False)


def test_painting_in_the_labels_leaves_the_image_as_it_is(viewer, grey, open_dock, convert):
    array = objects()
    viewer.add_image(array, name="ids", **PLACE)
    dock = open_dock("Train")
    layer = convert(*rows_of(dock, "Train")[0])
    layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 7)
    assert layer.data[0, 0, 0] == 7
    assert array[0, 0, 0] == 0


def test_deleting_the_labels_undoes_it(viewer, grey, mask, open_dock, convert):
    dock = open_dock("Train")
    row, menu = rows_of(dock, "Train")[0]
    viewer.layers.remove(convert(row, menu))
    assert menu.value is None
    assert is_shown(row)
    assert row.image is mask
    assert convert(row, menu).name == "mask labels"


@pytest.mark.parametrize("kind", ["probability", "other shape", "chosen as image", "several resolutions", "colour"])
def test_what_is_no_labels_of_the_image_is_not_offered(kind, viewer, grey, open_dock):
    match kind:
        case "probability":
            viewer.add_image(objects() / 300, name="p", **PLACE)
        case "other shape":
            viewer.add_image(objects()[1:], name="m", **PLACE)
        case "several resolutions":
            viewer.add_image([objects(), objects()[::2, ::2, ::2]], name="m", multiscale=True, **PLACE)
        case "colour":
            viewer.add_image(np.stack([objects().astype(np.uint8)] * 3, axis=-1), name="m", rgb=True, **PLACE)
        case _:
            meant = viewer.add_image(objects(), name="m", **PLACE)
    dock = open_dock("Train")
    if kind == "chosen as image":
        assert is_shown(rows_of(dock, "Train")[0][0])
        dock.image_layer.value = meant
    assert not is_shown(rows_of(dock, "Train")[0][0])


@pytest.mark.parametrize("by_hand", [False, True])
def test_labels_that_were_chosen_are_enough(by_hand, viewer, grey, mask, open_dock):
    for name in ("painted", "also painted"):
        viewer.add_labels(objects(), name=name, **PLACE)
    dock = open_dock("Train")
    assert dock.labels_layer.value.name == "also painted"
    assert is_shown(rows_of(dock, "Train")[0][0]), "the mask may be meant"
    if by_hand:
        QTest.keyClick(dock.labels_layer.native, Qt.Key.Key_Up)
    else:
        dock.labels_layer.value = viewer.layers["painted"]
    assert dock.labels_layer.value.name == "painted"
    assert not is_shown(rows_of(dock, "Train")[0][0])


def test_labels_of_a_file_stay_there(viewer, grey, open_dock, convert):
    on_disk = da.from_array(objects(), chunks=(5, 7, 9))
    viewer.add_image(on_disk, name="on disk", **PLACE)
    layer = convert(*rows_of(open_dock("Train"), "Train")[0])
    assert layer.data is on_disk


def test_a_value_that_is_no_whole_number_is_named_and_nothing_is_lost(viewer, grey, mask, open_dock, qtbot):
    mask.data[7, 0, 17] = 0.37  # outside of what was looked at
    dock = open_dock("Train")
    row, menu = rows_of(dock, "Train")[0]
    assert is_shown(row)
    row.convert_button.native.click()
    qtbot.waitUntil(lambda: dock.message.kind == "error", timeout=20_000)
    assert "0.37" in dock.message.text()
    assert menu.value is None
    assert mask.visible
    assert row.convert_button.enabled


def test_an_image_that_is_removed_meanwhile_is_forgotten(viewer, grey, mask, open_dock, qtbot):
    dock = open_dock("Train")
    row, _menu = rows_of(dock, "Train")[0]
    row.convert_button.native.click()
    viewer.layers.remove(mask)
    qtbot.waitUntil(lambda: dock.jobs.running("convert") is None, timeout=20_000)
    assert [type(layer) for layer in viewer.layers] == [Image]
    assert not is_shown(row)


def test_the_converted_layer_knows_the_dataset_of_the_image(viewer, dataset, open_dock, convert):
    (file, *_) = sorted((dataset / "train" / "labels").iterdir())
    viewer.open(file, plugin="napari", layer_type="image")
    layer = convert(*rows_of(open_dock("Train"), "Train")[0])
    assert dataset_of_layer(layer) == dataset
