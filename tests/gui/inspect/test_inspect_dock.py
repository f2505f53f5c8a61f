"""The Inspect dock on layers: by clicks, keys and the mouse in the view, as a person would use it."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_unet3d.evaluation.errors.types import ErrorKind
from napari_unet3d.widgets.inspect.error_model import ErrorList
from napari_unet3d.widgets.viewer.view_state import camera_of

MISSED, WIDE, EXTRA = "240", "144", "8"  # volumes in µm³
GREEN, RED, BLUE = (64, 255, 64), (255, 32, 32), (32, 80, 255)


@pytest.fixture
def viewer(make_napari_viewer, qtbot):
    """A viewer that fills the screen of a laptop, below its title bar."""
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1366, 728)
    qtbot.waitExposed(viewer.window._qt_window)
    return viewer


@pytest.fixture
def canvas(viewer):
    return viewer.window._qt_viewer.canvas.native


@pytest.fixture
def dock(open_dock, boxes, wait_for_end):
    dock = open_dock("Inspect")
    dock.tolerance.value = 0.25
    wait_for_end(dock, dock.inspect)
    assert listed(dock) == [MISSED, WIDE, EXTRA]
    return dock


def listed(dock):
    """The volumes in the table, from above."""
    model = dock.errors.table.view.model()
    return [model.index(row, ErrorList.VOLUME).data() for row in range(model.rowCount())]


def is_like(pixels, colour):
    return np.abs(pixels[..., :3].astype(int) - colour).max(axis=-1) < 60


def middle_of(viewer):
    """The pixel in the middle of the view, and whether the mark is anywhere near."""
    pixels = viewer.screenshot(flash=False)
    height, width = pixels.shape[:2]
    near = pixels[height // 4 : -height // 4, width // 4 : -width // 4]
    return pixels[height // 2, width // 2], is_like(near, GREEN).sum() > 50


def pixel_of(viewer, canvas, layer, voxel):
    """Where a voxel is on the canvas, in 3D seen from the front."""
    camera = camera_of(viewer)
    y, x = (np.array(layer.data_to_world(voxel)) - camera.center)[1:] * camera.zoom
    return canvas.rect().center() + QPoint(round(x), round(y))


def test_layers_are_found_compared_and_gone_through(open_dock, boxes, wait_for_end, viewer):
    image, truth, prediction = boxes
    dock = open_dock("Inspect")
    assert [dock.prediction_layer.value, dock.truth_layer.value, dock.image_layer.value] == [prediction, truth, image]
    assert not dock.errors.native.isVisibleTo(dock.native)
    told = []
    dock.session.events.errors.connect(told.append)
    dock.session.events.selection.connect(told.append)
    dock.tolerance.value = 0.5
    wait_for_end(dock, dock.inspect)
    assert told == [dock.session.errors]
    missed, wide, extra = dock.session.errors.errors
    assert [each.kind for each in (missed, wide, extra)] == [ErrorKind.MISSED, ErrorKind.EXTRA, ErrorKind.EXTRA]
    assert missed.volume == 4 * 6 * 10
    dock.next_error()
    assert told[1:] == [missed]
    assert dock.session.selection == missed
    assert viewer.dims.current_step == missed.position_zyx


def test_table_and_steps_are_in_view_on_a_laptop(dock, qtbot):
    def is_in_view(widget):
        corner = widget.mapTo(dock.scroll_area.viewport(), QPoint(0, 0))
        return corner.y() >= 0 and corner.y() + widget.height() <= dock.scroll_area.viewport().height()

    magicgui_parts = (dock.views, dock.tolerance, dock.errors.steps.next_button)
    parts = (dock.scores, dock.errors.table.view, *(each.native for each in magicgui_parts))
    qtbot.waitUntil(lambda: all(is_in_view(each) for each in parts))
    assert dock.errors.native.isVisible()
    qtbot.waitUntil(lambda: dock.source.native.visibleRegion().isEmpty())
    assert dock.section.heading.text.endswith("What to inspect  ·  v")
    columns = {each: dock.errors.table.view.columnViewportPosition(each) for each in (ErrorList.WHAT, ErrorList.NOTE)}
    assert columns[ErrorList.NOTE] + 40 < dock.errors.table.view.viewport().width(), "notes can be seen"
    assert columns[ErrorList.NOTE] - columns[ErrorList.WHAT] > 50


def test_the_row_of_what_is_shown_fits_with_larger_fonts(dock):
    dock.views.native.setStyleSheet(dock.views.native.styleSheet() + " QPushButton { font-size: 11pt; }")
    assert (
        dock.views.native.minimumSizeHint().width()
        <= 350 - 2 * 8 - dock.scroll_area.verticalScrollBar().sizeHint().width()
    )


def test_a_click_on_a_row_goes_to_the_error_and_marks_it(dock, viewer, click_row, boxes):
    rows = dict(zip((MISSED, WIDE, EXTRA), dock.session.errors.errors, strict=True))
    for row, (name, colour) in enumerate(((MISSED, BLUE), (WIDE, GREEN), (EXTRA, GREEN))):
        click_row(dock.errors.table.view, row)
        error = rows[name]
        assert dock.session.selection == error
        assert viewer.dims.current_step == error.position_zyx
        world = boxes[0].data_to_world(error.position_zyx)
        np.testing.assert_allclose(camera_of(viewer).center[1:], world[1:], atol=1e-6)
        pixel, is_marked = middle_of(viewer)
        assert is_like(pixel, colour), f"{name}: {pixel}"  # of what is thin, all is outline
        assert is_marked
        assert dock.errors.table.rows.note_on(error).is_seen
    assert dock.errors.table.counts.value.startswith("3 errors, 3 seen")


def test_the_mark_is_seen_in_3d_and_the_angle_stays(dock, viewer, click_row):
    viewer.dims.ndisplay = 3
    camera_of(viewer).angles = (10, 20, 30)
    angles = camera_of(viewer).angles
    click_row(dock.errors.table.view, 1)
    _, is_marked = middle_of(viewer)
    assert is_marked
    np.testing.assert_allclose(camera_of(viewer).angles, angles)
    viewer.dims.ndisplay = 2  # an outline again, through which the error is seen
    _, is_marked = middle_of(viewer)
    assert is_marked
    click_row(dock.errors.table.view, 0)
    viewer.dims.ndisplay = 3
    assert is_like(middle_of(viewer)[0], GREEN)
    viewer.dims.ndisplay = 2
    assert is_like(middle_of(viewer)[0], BLUE)


def test_keys_go_on_to_what_was_not_seen_and_back(dock, canvas):
    missed, wide, extra = dock.session.errors.errors
    steps = []
    for modifier in (Qt.KeyboardModifier.NoModifier,) * 2 + (Qt.KeyboardModifier.ShiftModifier,):
        QTest.keyClick(canvas, Qt.Key.Key_J, modifier)
        steps.append(dock.session.selection)
    QTest.keyClick(canvas, Qt.Key.Key_J)
    assert [*steps, dock.session.selection] == [missed, wide, missed, extra]
    QTest.keyClick(canvas, Qt.Key.Key_J)
    assert dock.session.selection == missed, "from the top again when all were seen"


def test_a_double_click_on_an_error_chooses_it_in_slices_and_in_3d(dock, viewer, canvas, qtbot, boxes):
    missed, wide, _ = dock.session.errors.errors
    for n_displayed, voxel, error in ((2, (7, 8, 9), missed), (3, (15, 16, 27), wide), (3, (7, 8, 9), missed)):
        dock.select(None)
        viewer.dims.ndisplay = n_displayed
        viewer.reset_view()
        viewer.dims.set_point(0, voxel[0] * 2.0)
        QTest.mouseDClick(canvas, Qt.MouseButton.LeftButton, pos=pixel_of(viewer, canvas, boxes[0], voxel))
        qtbot.waitUntil(lambda: dock.session.selection is not None)
        assert dock.session.selection == error
        assert dock.errors.table.view.currentIndex().row() == (0 if error is missed else 1)
        np.testing.assert_allclose(camera_of(viewer).center[-2:], boxes[0].data_to_world(error.position_zyx)[1:])


def test_volumes_are_sorted_as_numbers(dock, qtbot):
    header = dock.errors.table.view.horizontalHeader()
    place = QPoint(header.sectionViewportPosition(ErrorList.VOLUME) + 20, header.height() // 2)
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert listed(dock) == [EXTRA, WIDE, MISSED]
    dock.next_error()
    assert dock.session.selection.volume == 8


def test_filters_leave_out_what_nobody_asked_for(dock, qtbot, click_row):
    table = dock.errors.table
    assert [table.kind.native.itemText(row) for row in range(3)] == ["All kinds", "missed (1)", "extra (2)"]
    qtbot.keyClicks(table.kind.native, "extra")
    assert listed(dock) == [WIDE, EXTRA]
    assert table.counts.value.startswith("3 errors, 0 seen, 2 listed")
    click_row(table.view, 0)
    qtbot.mouseClick(table.only_unseen.native, Qt.MouseButton.LeftButton)
    assert listed(dock) == [WIDE, EXTRA], "what one looks at stays"
    dock.next_error()
    assert listed(dock) == [EXTRA]
    qtbot.mouseClick(table.only_unseen.native, Qt.MouseButton.LeftButton)
    table.kind.value = None
    table.minimum_volume.native.selectAll()
    qtbot.keyClicks(table.minimum_volume.native, "144")
    assert listed(dock) == [MISSED, WIDE]
    table.minimum_volume.value = 0
    qtbot.keyClicks(table.text.native, "WHOLE")
    assert listed(dock) == [MISSED, EXTRA]


def test_another_tolerance_is_followed_while_the_view_stays(dock, qtbot, viewer):
    dock.views.show_one("prediction")
    dock.tolerance.native.selectAll()
    before = dock.session.errors
    qtbot.keyClicks(dock.tolerance.native, "2.2")
    qtbot.keyClick(dock.tolerance.native, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: dock.session.errors is not before)
    assert listed(dock) == [MISSED]
    assert dock.errors.table.counts.value == "1 error, 0 seen; 2 hidden as noise"
    assert viewer.layers["v prediction"].visible
    assert not viewer.layers["v difference"].visible


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda dock, viewer: viewer.layers.remove("v prediction"), "No prediction is chosen"),
        (lambda dock, viewer: setattr(dock.truth_layer, "value", None), "No ground truth is chosen"),
        (
            lambda dock, viewer: setattr(dock.truth_layer, "value", dock.prediction_layer.value),
            "The layer 'v prediction' is chosen as prediction and as ground truth",
        ),
        (
            lambda dock, viewer: setattr(viewer.layers["v labels"], "data", np.ones((20, 24, 31), np.uint8)),
            "The prediction has 20 × 24 × 30 voxels, the ground truth 20 × 24 × 31",
        ),
    ],
)
def test_what_cannot_be_compared_is_said(open_dock, boxes, viewer, change, words, qtbot):
    dock = open_dock("Inspect")
    change(dock, viewer)
    qtbot.mouseClick(dock.job_bar.start_button.native, Qt.MouseButton.LeftButton)
    assert dock.message.text().startswith(words)
    assert dock.message.kind == "error"
    assert dock.jobs.latest("inspect") is None
    assert not dock.errors.native.isVisible()
