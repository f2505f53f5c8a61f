"""Painting from scratch in the dock Annotate: the layer, the brushes, filling, undo, and what is said."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels
from napari.utils.colormaps.standardize_color import transform_color
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet3d.widgets.viewer.annotation_layers import BACKGROUND_COLOUR, class_colours
from napari_unet3d.widgets.viewer.label_colours import colour_of

SHAPE = (16, 40, 36)
PLACE = {"scale": (2.0, 1.0, 1.0), "translate": (5.0, -3.0, 7.0), "units": ("um",) * 3, "axis_labels": ("z", "y", "x")}


def press(viewer, key, modifier=Qt.KeyboardModifier.NoModifier):
    canvas = viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    QTest.keyClick(canvas, key, modifier)


def paint_square(layer, z, side, value=2):
    """Paint a square as a stroke does, in one step."""
    mask = np.zeros(SHAPE, bool)
    mask[z, 20 - side : 20 + side, 18 - side : 18 + side] = True
    layer.data_setitem(np.nonzero(mask), value)


def distance(one, other):
    return float(np.linalg.norm(255 * (transform_color(one)[0][:3] - transform_color(other)[0][:3])))


def test_one_click_makes_a_layer_in_the_place_of_the_image_and_takes_the_brush(dock, viewer, image):
    layer = viewer.layers["bone annotation"]
    assert isinstance(layer, Labels)
    assert layer.data.shape == SHAPE
    assert layer.data.dtype == np.uint8
    for name in ("scale", "translate", "rotate", "shear"):
        np.testing.assert_allclose(getattr(layer, name), getattr(image, name))
    assert layer.units == image.units
    assert tuple(layer.axis_labels) == PLACE["axis_labels"]
    assert viewer.layers.selection.active is layer
    assert (layer.mode, layer.selected_label) == ("paint", 2)
    assert dock.brushes.buttons[2].isChecked()
    assert [button.text() for button in dock.brushes.buttons.values()] == ["Background", "Object", "Eraser"]
    dock.annotate_button.native.click()
    assert [each.name for each in viewer.layers] == ["bone", "bone annotation"], "no second one"


def test_a_turned_image_and_one_with_a_leading_axis_get_layers_in_their_place(viewer, open_dock, volume):
    data = volume[0]
    turned = viewer.add_image(data, name="turned", rotate=(0, 0, 30), shear=(0.1, 0, 0), scale=(3, 1, 2))
    dock = open_dock("Annotate")
    dock.image_layer.value = turned
    dock.annotate()
    np.testing.assert_allclose(dock.link.layer.extent.world, turned.extent.world)
    five = viewer.add_image(data[None], name="film", scale=(1, 3, 1, 2), translate=(0, 9, 8, 7))
    dock.image_layer.value = five
    dock.annotate()
    np.testing.assert_allclose(dock.link.layer.extent.world, five.extent.world[:, 1:])


def test_strokes_paint_what_the_buttons_say_and_the_progress_follows(dock, viewer, stroke, settle):
    layer = dock.link.layer
    layer.brush_size = 4
    viewer.dims.set_current_step(0, 8)
    stroke((20, 14), (20, 22))
    assert set(np.unique(layer.data)) == {0, 2}
    assert layer.data[8, 20, 18] == 2
    assert set(np.nonzero(layer.data)[0]) == {8}
    settle(dock)
    assert dock.brushes.progress.value == "1 slice along z painted. Paint some background too."
    n_object = int((layer.data == 2).sum())
    assert dock.brushes._counts[2].text().startswith(f"{n_object} voxels")
    QTest.mouseClick(dock.brushes.buttons[1], Qt.MouseButton.LeftButton)
    stroke((4, 4), (4, 30))
    assert layer.data[8, 4, 15] == 1
    QTest.mouseClick(dock.brushes.buttons[0], Qt.MouseButton.LeftButton)
    assert layer.mode == "erase"
    stroke((20, 14), (20, 22))
    settle(dock)
    assert (layer.data == 2).sum() == 0
    assert dock.brushes._counts[2].text().startswith("0 voxels")
    press(viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    settle(dock)
    assert (layer.data == 2).sum() == n_object
    assert dock.brushes._counts[2].text().startswith(f"{n_object} voxels"), "an undo by key is noticed"


def test_a_ball_goes_through_several_slices(dock, viewer, stroke):
    QTest.mouseClick(dock.brushes.is_3d.native, Qt.MouseButton.LeftButton)
    dock.brushes.size.value = 6
    assert (dock.link.layer.n_edit_dimensions, dock.link.layer.brush_size) == (3, 6)
    viewer.dims.set_current_step(0, 8)
    stroke((20, 18))
    assert len(set(np.nonzero(dock.link.layer.data)[0])) > 2


def test_the_dock_follows_the_controls_and_keys_of_napari(dock, viewer):
    layer = dock.link.layer
    layer.brush_size, layer.n_edit_dimensions = 17, 3
    assert (dock.brushes.size.value, dock.brushes.is_3d.value) == (17, True)
    layer.selected_label = 1
    assert dock.brushes.buttons[1].isChecked()
    press(viewer, Qt.Key.Key_1)
    assert dock.brushes.buttons[0].isChecked()
    press(viewer, Qt.Key.Key_E, Qt.KeyboardModifier.ShiftModifier)
    assert (layer.mode, layer.selected_label) == ("paint", 2)
    press(viewer, Qt.Key.Key_B, Qt.KeyboardModifier.ShiftModifier)
    assert layer.selected_label == 1
    layer.mode = "pan_zoom"
    assert not any(button.isChecked() for button in dock.brushes.buttons.values())


def test_background_looks_like_no_class_and_classes_look_like_their_predictions(dock, viewer, image):
    layer = dock.link.layer
    predicted = viewer.add_labels(np.ones(SHAPE, np.uint8), name="bone prediction", **PLACE)
    assert colour_of(layer, 2) == colour_of(predicted, 1)
    assert colour_of(layer, 1) == BACKGROUND_COLOUR
    for _ in range(8):
        dock.brushes.add_class()
    colours = class_colours(dock.link.session.classes)
    for value in range(2, 11):
        assert colour_of(layer, value) == colours[value] == colour_of(predicted, value)
        assert distance(colours[value], BACKGROUND_COLOUR) > 60
    for colour in ("black", "white", colour_of(predicted, 1)):
        assert distance(BACKGROUND_COLOUR, colour) > 100


def test_what_is_painted_is_seen_in_its_colour(dock, viewer):
    layer = dock.link.layer
    layer.opacity = 1
    paint_square(layer, 8, 15, 1)
    paint_square(layer, 8, 6, 2)
    viewer.dims.set_current_step(0, 8)
    picture = viewer.screenshot(flash=False)[..., :3].reshape(-1, 3).astype(int)
    for value in (1, 2):
        colour = np.array([int(colour_of(layer, value)[at : at + 2], 16) for at in (1, 3, 5)])
        assert (np.abs(picture - colour).max(axis=1) <= 2).sum() > 500, f"label {value} is not seen"


def test_slices_between_are_filled_in_one_step(dock, viewer, qtbot, settle):
    layer = dock.link.layer
    paint_square(layer, 4, 4)
    paint_square(layer, 10, 10)
    viewer.dims.set_current_step(0, 6)
    before = layer.data.copy()
    press(viewer, Qt.Key.Key_Q, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: "are filled" in dock.message.text())
    assert [(plane[20] == 2).sum() for plane in layer.data[4:11]] == [8, 10, 12, 14, 16, 18, 20]
    settle(dock)
    assert "7 slices along z" in dock.brushes.progress.value
    QTest.mouseClick(dock.undo_button.native, Qt.MouseButton.LeftButton)
    np.testing.assert_array_equal(layer.data, before)
    QTest.mouseClick(dock.redo_button.native, Qt.MouseButton.LeftButton)
    assert (layer.data[7] == 2).any()
    settle(dock)
    assert "7 slices along z" in dock.brushes.progress.value


def test_slices_along_another_axis_are_filled_and_what_is_impossible_is_said(dock, viewer, qtbot):
    layer = dock.link.layer
    dock.fill_between()
    qtbot.waitUntil(lambda: dock.message.kind == "error")
    assert "There is no gap to fill at slice 7 along z" in dock.message.text()
    viewer.dims.order = (2, 0, 1)  # slices along x
    mask = np.zeros(SHAPE, bool)
    mask[3:9, 5:15, [10, 14]] = True
    layer.data_setitem(np.nonzero(mask), 2)
    viewer.dims.set_current_step(2, 12)
    dock.fill_between()
    qtbot.waitUntil(lambda: "between slices 10 to 14 along x" in dock.message.text())
    expected = np.zeros(SHAPE, bool)
    expected[3:9, 5:15, 10:15] = True
    np.testing.assert_array_equal(layer.data == 2, expected)
    viewer.dims.ndisplay = 3
    dock.fill_between()
    assert "change from 3D to slices" in dock.message.text()
    dock.fill_slice()
    assert "change from 3D to slices" in dock.message.text()


def test_the_rest_of_a_slice_becomes_background_in_one_step(dock, viewer):
    layer = dock.link.layer
    paint_square(layer, 8, 5)
    before = layer.data.copy()
    viewer.dims.set_current_step(0, 8)
    QTest.mouseClick(dock.rest_button.native, Qt.MouseButton.LeftButton)
    np.testing.assert_array_equal(layer.data[8], np.where(before[8] == 2, 2, 1))
    assert not layer.data[[7, 9]].any()
    press(viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(layer.data, before)


def test_classes_are_added_and_named_by_typing(dock, viewer, qtbot):
    layer, name = dock.link.layer, dock.brushes.class_name.native
    name.selectAll()
    QTest.keyClicks(name, "Wall")
    QTest.keyClick(name, Qt.Key.Key_Return)
    assert dock.brushes.buttons[2].text() == "Wall"
    QTest.mouseClick(dock.brushes.add_button.native, Qt.MouseButton.LeftButton)
    assert layer.selected_label == 3
    name.selectAll()
    QTest.keyClicks(name, "wall")
    QTest.keyClick(name, Qt.Key.Key_Return)
    assert "is empty or used already" in dock.message.text()
    assert name.text() == "Object 2"
    name.selectAll()
    QTest.keyClicks(name, "Lumen")
    QTest.keyClick(name, Qt.Key.Key_Return)
    assert [button.text() for button in dock.brushes.buttons.values()] == ["Background", "Wall", "Lumen", "Eraser"]
    assert [button.accessibleName() for button in dock.brushes.buttons.values()][2] == "Brush: Lumen"
    assert len({button.icon().cacheKey() for button in dock.brushes.buttons.values()}) == 4


def test_the_dock_finds_the_annotation_again_when_it_is_opened_again(dock, viewer, open_dock, close_dock):
    layer = dock.link.layer
    dock.brushes.add_class()
    paint_square(layer, 8, 5, 3)
    close_dock(dock)
    again = open_dock("Annotate")
    assert again.link.layer is layer
    assert again.link.session.classes.names == ("Object", "Object 2")
    assert again.brushes._counts[3].text().startswith("100 voxels")


def test_each_image_has_its_own_annotation(dock, viewer, volume):
    first = dock.link.layer
    other = viewer.add_image(volume[0][::-1], name="other", **PLACE)
    dock.image_layer.value = other
    assert dock.link.layer is None
    assert not dock.brushes.native.isVisibleTo(dock.native)
    dock.annotate()
    assert dock.link.layer.name == "other annotation"
    dock.image_layer.value = viewer.layers["bone"]
    assert dock.link.layer is first


def test_all_channels_of_a_volume_share_one_annotation(viewer, volume, open_dock):
    channels = [viewer.add_image(volume[0], name=f"cell {name}", **PLACE) for name in ("dapi", "actin")]
    dock = open_dock("Annotate")
    dock.image_layer.value = channels[0]
    dock.channels.value = channels[1:]
    dock.annotate()
    assert [layer.name for layer in viewer.layers] == ["cell dapi", "cell actin", "cell annotation"]


def test_what_cannot_be_annotated_is_explained(viewer, open_dock):
    dock = open_dock("Annotate")
    dock.annotate()
    assert "No image layer is chosen" in dock.message.text()
    for data, options, words in (
        (np.zeros((5, 9, 8, 7)), {"axis_labels": ("t", "z", "y", "x")}, "5 time points"),
        (np.zeros((9, 8, 3)), {"rgb": True}, "colour image"),
        (np.zeros((9, 8)), {}, "2 dimensions"),
    ):
        dock.image_layer.value = viewer.add_image(data, **options)
        dock.annotate()
        assert words in dock.message.text()
        assert dock.message.kind == "error"
    assert not any(isinstance(layer, Labels) for layer in viewer.layers)


def test_buttons_without_an_annotation_say_what_to_do(viewer, image, open_dock):
    dock = open_dock("Annotate")
    for action in (dock.fill_between, dock.fill_slice, dock.suggest, dock.train):
        dock.message.clear()
        action()
        assert "press 'Annotate'" in dock.message.text()
    dock.undo()
    dock.redo()


def test_labels_without_a_class_are_pointed_out(dock, settle):
    paint_square(dock.link.layer, 8, 5, 7)
    settle(dock)
    assert "Label 7 has no class" in dock.brushes.progress.value
    dock.train()
    assert "Label 7 has no class" in dock.message.text()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_is_cut_off_on_a_laptop(dock, viewer, qtbot, theme):
    viewer.theme = theme
    window = viewer.window._qt_window
    window.resize(1366, 728)
    qtbot.wait(100)
    for control in (dock.fill_button, dock.rest_button, dock.suggestions.job_bar.start_button, dock.train_button):
        assert control.native.width() >= control.native.minimumSizeHint().width(), control.text
        assert control.native.isVisibleTo(dock.native)
    for made in dock.brushes.buttons.values():
        assert made.width() >= made.sizeHint().width(), made.text()
