"""The Objects dock by clicks, keys and the mouse in the view, as a person would use it."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from qtpy.QtCore import QItemSelectionModel, QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_unet3d.widgets.objects.table_model import REVIEWED
from napari_unet3d.widgets.viewer.label_colours import colour_of
from napari_unet3d.widgets.viewer.view_state import camera_of

PLACE = {"scale": (2.0, 1.0, 0.5), "units": ("um",) * 3}
PINK = (255, 61, 242)
LEFT, NONE, CTRL = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def viewer(make_napari_viewer, qtbot):
    """A viewer that is really drawn, for the mouse, keys and pixels; small, since that is slow in 3D."""
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(900, 640)
    qtbot.waitExposed(viewer.window._qt_window)
    return viewer


@pytest.fixture
def canvas(viewer):
    return viewer.window._qt_viewer.canvas.native


@pytest.fixture
def cells(viewer):
    """Objects 2 and 3 side by side, 7 below them, which is two boxes with a bridge, and 9 in a corner."""
    labels = np.zeros((12, 40, 60), np.uint8)
    labels[3:9, 4:12, 4:16] = 2
    labels[3:9, 4:12, 16:28] = 3
    labels[3:9, 20:30, 6:22] = labels[3:9, 20:30, 34:54] = 7
    labels[5:7, 24:26, 22:34] = 7
    labels[10:, 36:, 56:] = 9
    image = viewer.add_image(labels * 10.0, name="cells", **PLACE)
    return image, viewer.add_labels(labels, name="cells prediction", **PLACE)


@pytest.fixture
def dock(open_dock, cells):
    return open_dock("Objects")


@pytest.fixture
def measured(dock, wait_for_end):
    wait_for_end(dock, dock.job_bar.start_button.native.click)
    assert column(dock, "Object") == ["2", "3", "7", "9"]
    return dock


@pytest.fixture
def updated(measured, qtbot):
    """Wait until the table is up to date after an edit."""

    def _wait():
        qtbot.waitUntil(lambda: not measured._wants_update and measured.jobs.running("objects") is None, timeout=10_000)
        assert not measured.session.done.is_stale

    return _wait


def headings(dock):
    model = dock.table.view.model()
    return [model.headerData(each, Qt.Orientation.Horizontal) for each in range(model.columnCount())]


def column(dock, heading):
    """The cells of a column, from above."""
    model, place = dock.table.view.model(), headings(dock).index(heading)
    return [model.index(row, place).data() for row in range(model.rowCount())]


def pixel_of(viewer, canvas, layer, voxel):
    """Where a voxel is on the canvas, in 3D seen from the front."""
    camera = camera_of(viewer)
    y, x = (np.array(layer.data_to_world(voxel)) - camera.center)[1:] * camera.zoom
    return canvas.rect().center() + QPoint(round(x), round(y))


@pytest.fixture
def click(viewer, canvas, cells):
    """Click on a voxel in the view."""

    def _click(voxel, modifier=NONE):
        if viewer.dims.ndisplay == 2:
            viewer.dims.set_point(0, voxel[0] * 2.0)
        QTest.mouseClick(canvas, LEFT, modifier, pixel_of(viewer, canvas, cells[1], voxel))
        QApplication.processEvents()

    return _click


def drag(viewer, canvas, layer, first, last):
    """Draw a line from one voxel to another in the view."""
    start, end = (pixel_of(viewer, canvas, layer, voxel) for voxel in (first, last))
    QTest.mousePress(canvas, LEFT, NONE, start)
    for part in (0.3, 0.6, 1.0):
        QTest.mouseMove(canvas, start + (end - start) * part)
        QApplication.processEvents()
    QTest.mouseRelease(canvas, LEFT, NONE, end)
    QApplication.processEvents()


def press(canvas, key, modifier=Qt.KeyboardModifier.ShiftModifier):
    canvas.setFocus()
    QTest.keyClick(canvas, key, modifier)
    QApplication.processEvents()


def selected_rows(dock):
    rows = {index.row() for index in dock.table.view.selectionModel().selectedRows()}
    return [column(dock, "Object")[row] for row in sorted(rows)]


def test_layers_that_are_open_are_chosen(dock, cells):
    assert (dock.source.labels_layer.value, dock.source.image_layer.value) == (cells[1], cells[0])
    assert dock.table.counts.value == "The objects are not measured yet."
    assert not dock.table.save_button.enabled
    assert not dock.table.reviewed_button.enabled, "nothing is selected"


def test_objects_are_measured_in_micrometres(measured, cells):
    assert column(measured, "Volume\nµm³") == ["576", "576", "2208", "32"]
    assert column(measured, "Mean") == ["20", "30", "70", "90"]
    assert column(measured, "At border") == ["", "", "", "yes"]
    assert column(measured, "Neighbours") == ["1", "1", "0", "0"]
    features = cells[1].features
    assert features["index"].tolist() == list(range(10))
    assert features["volume"][7] == 2208


@pytest.mark.parametrize("n_displayed", [2, 3])
def test_a_click_in_the_view_selects_the_row_and_outlines_the_object(measured, viewer, cells, click, n_displayed):
    viewer.dims.ndisplay = n_displayed
    viewer.reset_view()
    assert not measured.table.reviewed_button.enabled
    click((3, 8, 8))
    assert measured.session.selection == (2,)
    assert measured.table.reviewed_button.enabled
    assert selected_rows(measured) == ["2"]
    assert cells[1].selected_label == 2
    click((3, 8, 20), CTRL)
    assert measured.session.selection == (2, 3)
    assert selected_rows(measured) == ["2", "3"]
    outline = viewer.layers["cells prediction selected"]
    there = np.zeros((12, 40, 60), bool)
    start = np.rint(cells[1].world_to_data(outline.data_to_world((0, 0, 0)))).astype(int)
    there[tuple(slice(at, at + side) for at, side in zip(start, outline.data.shape, strict=True))] = outline.data > 0
    np.testing.assert_array_equal(there, np.isin(cells[1].data, [2, 3]))
    pixels = viewer.screenshot(flash=False)[..., :3].astype(int)
    shades = pixels[
        (np.abs(pixels / np.maximum(1, pixels.max(-1, keepdims=True)) - np.divide(PINK, 255)) < 0.15).all(-1)
    ]
    assert len(shades) > 200
    click((3, 1, 1))
    assert measured.session.selection == ()
    assert not outline.visible


def test_a_click_in_the_table_moves_the_view(measured, viewer, cells, click_row):
    click_row(measured.table.view, 3)
    assert measured.session.selection == (9,)
    assert cells[1].selected_label == 9
    voxel = measured.session.table.voxel_of(9)
    assert viewer.dims.current_step[0] == voxel[0]
    np.testing.assert_allclose(camera_of(viewer).center[-2:], cells[1].data_to_world(voxel)[1:])


def test_numbers_are_sorted_as_numbers_and_the_selection_stays(measured, qtbot, click_row):
    click_row(measured.table.view, 0)
    header = measured.table.view.horizontalHeader()
    place = headings(measured).index("Volume\nµm³")
    for expected in (["32", "576", "576", "2208"], ["2208", "576", "576", "32"]):
        pixel = QPoint(header.sectionViewportPosition(place) + 20, header.height() // 2)
        qtbot.mouseClick(header.viewport(), LEFT, pos=pixel)
        assert column(measured, "Volume\nµm³") == expected
        assert selected_rows(measured) == ["2"]


def test_a_filter_lists_and_selects(measured, qtbot):
    line = measured.table.filter.native
    qtbot.keyClicks(line, "volume < 600 and not border")
    assert column(measured, "Object") == ["2", "3"]
    assert measured.table.counts.value == "4 objects, 0 reviewed, 2 listed"
    measured.table.select_button.native.click()
    assert measured.session.selection == (2, 3)
    assert selected_rows(measured) == ["2", "3"]
    line.clear()
    qtbot.keyClicks(line, "size > 3")
    assert "no column called 'size'" in measured.table.filter_error.value
    assert column(measured, "Object") == ["2", "3", "7", "9"]
    line.clear()
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert not measured.table.filter_error.visible


def test_merging_is_one_step_to_undo_and_updates_the_table(measured, cells, canvas, click, updated):
    before = cells[1].data.copy()
    click((5, 8, 8))
    click((5, 8, 20), CTRL)
    press(canvas, Qt.Key.Key_M)
    np.testing.assert_array_equal(cells[1].data, np.where(before == 3, 2, before))
    assert measured.message.text() == "Merged 3 into 2."
    assert measured.table.stale.visible
    updated()
    assert not measured.table.stale.visible
    assert column(measured, "Object") == ["2", "7", "9"]
    assert column(measured, "Volume\nµm³")[0] == "1152"
    assert measured.table.counts.value == "3 objects, 1 reviewed, 1 selected"
    press(canvas, Qt.Key.Key_Z, CTRL)  # the layer's own undo
    np.testing.assert_array_equal(cells[1].data, before)
    updated()
    assert column(measured, "Object") == ["2", "3", "7", "9"]
    assert measured.session.reviewed == set()
    measured.editing.redo_button.native.click()
    assert not (cells[1].data == 3).any()


@pytest.mark.parametrize("n_displayed", [2, 3])
def test_points_split_an_object_at_its_bridge(dock, viewer, cells, canvas, click, n_displayed):
    before = cells[1].data.copy()
    viewer.dims.ndisplay = n_displayed
    viewer.reset_view()
    dock.editing.points_button.native.click()
    for voxel in ((3, 22, 10), (3, 28, 50)):
        click(voxel)
    assert len(dock.session.points) == 2
    assert len(viewer.layers["cells prediction split points"].data) == 2
    press(canvas, Qt.Key.Key_S)
    assert (cells[1].data[3:9, 20:30, 34:54] == 7).all()
    assert (cells[1].data[3:9, 20:30, 6:22] == 10).all()
    np.testing.assert_array_equal(cells[1].data > 0, before > 0)
    assert "cells prediction split points" not in viewer.layers
    assert dock.session.selection == (7, 10)
    cells[1].undo()
    np.testing.assert_array_equal(cells[1].data, before)


def test_a_point_in_another_object_is_explained(dock, cells, click):
    dock.editing.points_button.native.click()
    click((5, 22, 10))
    click((5, 8, 8))
    assert dock.message.text().startswith("That is object 2; the points before are in object 7.")
    click((1, 1, 1))
    assert dock.message.text().startswith("There is background.")
    dock.editing.points_button.native.click()
    assert dock.session.points == ()


@pytest.mark.parametrize("n_displayed", [2, 3])
def test_a_line_cuts_an_object_and_the_view_stays(dock, viewer, cells, canvas, n_displayed):
    before = cells[1].data.copy()
    viewer.dims.ndisplay = n_displayed
    viewer.reset_view()
    viewer.dims.set_point(0, 10.0)
    center = camera_of(viewer).center
    press(canvas, Qt.Key.Key_C)
    drag(viewer, canvas, cells[1], (5, 18, 44), (5, 32, 44))
    assert dock.message.text().startswith("Split object 7 into 7 ("), dock.message.text()
    assert (cells[1].data[3:9, 20:30, 46:54] == 10).all()
    assert (cells[1].data[3:9, 20:30, 6:22] == 7).all()
    assert (cells[1].data[3:9, 20:30, 34:43] == 7).all()
    np.testing.assert_array_equal(cells[1].data > 0, before > 0)
    np.testing.assert_allclose(camera_of(viewer).center, center)
    assert "cells prediction cut" not in viewer.layers
    drag(viewer, canvas, cells[1], (5, 18, 50), (5, 24, 50))
    assert "does not divide" in dock.message.text()


def test_other_edits_by_their_buttons(dock, cells, click):
    layer = cells[1]
    layer.data[5, 6, 8] = 0
    click((5, 4, 4))
    dock.editing.fill_button.native.click()
    assert layer.data[5, 6, 8] == 2
    dock.editing.fill_button.native.click()
    assert dock.message.text().startswith("There is no hole in object 2")
    layer.data[5:7, 24:26, 26:28] = 0  # breaks the bridge
    click((5, 22, 10))
    dock.editing.separate_button.native.click()
    assert dock.session.selection == (7, 10)
    assert layer.data[5, 25, 10] == 10
    dock.editing.undo_button.native.click()
    click((5, 22, 10))
    dock.editing.largest_button.native.click()
    assert layer.data[5, 25, 10] == 0
    click((5, 8, 20))
    dock.editing.radius.value = 1.5
    dock.editing.smooth_button.native.click()
    assert layer.data[3, 4, 27] == 0  # a corner is round
    assert (layer.data[3:9, 4:12, 4:16] == 2).all()
    dock.editing.delete_button.native.click()
    assert not (layer.data == 3).any()
    assert dock.session.selection == ()
    dock.editing.renumber_button.native.click()
    assert np.unique(layer.data).tolist() == [0, 1, 2, 3]
    for _ in range(6):
        dock.editing.undo_button.native.click()
    assert np.unique(layer.data).tolist() == [0, 2, 3, 7, 9]


def test_painting_is_noticed_and_only_then_measured_again(measured, cells, viewer, updated):
    layer = cells[1]
    layer.selected_label = 9
    layer.paint((1, 2, 50), 9)
    assert measured.table.stale.visible
    updated()
    assert int(column(measured, "Volume\nµm³")[3]) > 32
    assert column(measured, "Pieces")[3] == "2"


def test_objects_are_coloured_by_a_column_and_back(measured, cells, viewer, canvas):
    image, layer = cells
    own = [colour_of(layer, number) for number in (2, 7, 9)]
    measured.colours.column.value = "volume"
    assert [colour_of(layer, number) for number in (9, 7)] == ["#440154", "#fde725"]
    assert measured.colours.legend.isVisible()
    viewer.dims.set_point(0, 10.0)
    image.visible = False
    layer.opacity = 1
    pixel = pixel_of(viewer, canvas, layer, (5, 25, 10))
    shade = viewer.screenshot(flash=False)[pixel.y(), pixel.x(), :3].astype(int)
    assert np.abs(shade - (0xFD, 0xE7, 0x25)).max() < 8
    assert "2208 µm³" in measured.colours.legend.text()
    measured.colours.column.value = ""
    assert [colour_of(layer, number) for number in (2, 7, 9)] == own
    assert not measured.colours.legend.isVisible()


def test_reviewed_objects_are_checked_in_the_table(measured, canvas, click, qtbot):
    click((5, 8, 8))
    press(canvas, Qt.Key.Key_R)
    assert measured.session.reviewed == {2}
    view = measured.table.view
    checks = [view.model().index(row, REVIEWED).data(Qt.ItemDataRole.CheckStateRole) for row in range(4)]
    assert [Qt.CheckState(each) is Qt.CheckState.Checked for each in checks] == [True, False, False, False]
    index = view.model().index(2, REVIEWED)
    place = view.visualRect(index)
    qtbot.mouseClick(view.viewport(), LEFT, pos=QPoint(place.left() + 10, place.center().y()))
    assert measured.session.reviewed == {2, 7}
    press(canvas, Qt.Key.Key_R)  # the selected one again
    assert measured.session.reviewed == {7}


def test_the_table_is_saved_as_it_is_listed(measured, tmp_path, qtbot):
    qtbot.keyClicks(measured.table.filter.native, "volume > 40")
    measured.save_table(tmp_path / "cells.csv")
    with open(tmp_path / "cells.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["Object"], float(row["Volume (µm³)"])) for row in rows] == [("2", 576), ("3", 576), ("7", 2208)]
    assert measured.message.text().startswith("3 objects of 4 saved in ")
    measured.save_table(tmp_path / "cells.csv" / "below a file.csv")
    assert measured.message.kind == "error"


def test_measuring_is_cancelled_and_the_old_table_stays(measured, cells, viewer, qtbot, wait_for_end):
    table = measured.session.table
    many = np.zeros((40, 120, 120), np.uint16)
    many[::2, ::3, ::3] = np.arange(1, many[::2, ::3, ::3].size + 1).reshape(many[::2, ::3, ::3].shape)
    layer = viewer.add_labels(many, name="many", **PLACE)
    measured.proofread(layer)
    assert measured.session.table is None
    measured.job_bar.start_button.native.click()
    job = measured.jobs.running("objects")
    with qtbot.waitSignal(job.ended, timeout=20_000):
        measured.job_bar.stop_button.native.click()
    assert measured.session.table is None
    assert measured.message.text().startswith("Cancelled")
    measured.proofread(cells[1])
    assert measured.session.table is table


def test_selecting_all_of_many_rows_is_one_selection(measured):
    view = measured.table.view
    view.selectAll()
    assert sorted(measured.session.selection) == [2, 3, 7, 9]
    flag = QItemSelectionModel.SelectionFlag
    view.selectionModel().select(view.model().index(0, 0), flag.ClearAndSelect | flag.Rows)
    assert measured.session.selection == (2,)


def test_what_is_edited_while_it_is_measured_is_measured_again(dock, cells, viewer, qtbot):
    many = np.zeros((6, 60, 60), np.uint16)
    many[::2, ::3, ::3] = np.arange(1, many[::2, ::3, ::3].size + 1).reshape(many[::2, ::3, ::3].shape)
    dock.proofread(viewer.add_labels(many, name="many", **PLACE))
    dock.job_bar.start_button.native.click()
    first = dock.jobs.running("objects")
    with qtbot.waitSignal(first.progressed, timeout=10_000):
        pass
    dock.session.select([1, 2])
    dock.session.merge()
    qtbot.waitUntil(lambda: not dock._wants_update and dock.jobs.running("objects") is None, timeout=60_000)
    assert first.stopped
    table = dock.session.table
    assert len(table) == many[many > 0].size - 1
    assert table.column("volume")[:2].tolist() == [2, 1]
    assert table.column("pieces")[:2].tolist() == [2, 1]
    assert not dock.session.done.is_stale
