from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_unet3d.configs import Task
from napari_unet3d.model.plan import LabelClass, Plan
from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.viewer.layer_metadata import keep_mask, mark_origin
from napari_unet3d.widgets.viewer.view_state import camera_of, grid_of, text_of

SHAPE = (6, 20, 30)
PLACE = {"scale": (3.0, 1.0, 0.5), "translate": (5.0, -4.0, 20.0), "units": ("um",) * 3}
CLASSES = (LabelClass(value=1, name="core"), LabelClass(value=2, name="shell"))
COLOURS = {"truth": (0, 255, 0), "prediction": (0, 255, 255), "extra": (255, 32, 32), "missed": (32, 80, 255)}


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(900, 500)
    return viewer


@pytest.fixture
def layers(viewer):
    """Of a block of class 1 the near rows are missed, and there are extra ones beyond; one column is of class 2."""
    truth = np.zeros(SHAPE, np.uint8)
    truth[2:4, 4:12, 6:24] = 1
    found = np.zeros(SHAPE, np.uint8)
    found[2:4, 8:16, 6:24] = 1
    found[2:4, 8:12, 20:24] = 2
    image = viewer.add_image(np.full(SHAPE, 60, np.uint8), name="v", contrast_limits=(0, 255), **PLACE)
    chance = np.linspace(0, 1, np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    viewer.add_image(chance, name="v probability", visible=False, **PLACE)
    looks = {"opacity": 1, **PLACE}
    labels = [
        viewer.add_labels(truth, name="v labels", colormap={None: "transparent", 1: "lime"}, **looks),
        viewer.add_labels(found, name="v prediction", colormap={None: "transparent", 1: "cyan", 2: "cyan"}, **looks),
    ]
    mark_origin(labels[1:], VolumeOrigin("v", Plan(task=Task.SEMANTIC, strides=(), classes=CLASSES)))
    return image, *labels


@pytest.fixture
def dock(open_dock, layers, wait_for_end):
    dock = open_dock("Inspect")
    dock.tolerance.value = 0.1
    wait_for_end(dock, dock.inspect)
    assert dock.session.errors is not None, dock.message.text()
    return dock


@pytest.fixture
def canvas(viewer):
    return viewer.window._qt_viewer.canvas.native


def colours_on(viewer):
    pixels = viewer.screenshot(flash=False)[..., :3].astype(int)
    return {name for name, rgb in COLOURS.items() if (np.abs(pixels - rgb).max(axis=-1) < 45).sum() > 50}


def point_at(viewer, canvas, voxel, qtbot, dock):
    """Move the mouse to the middle of a voxel, and wait for what is told."""
    world = np.array(voxel) * PLACE["scale"] + PLACE["translate"]
    if viewer.dims.ndisplay == 2:
        viewer.dims.set_point(0, world[0])
    camera = camera_of(viewer)
    y, x = (world - camera.center)[1:] * camera.zoom
    target = canvas.rect().center() + QPoint(round(x), round(y))
    places = [None]

    def arrive(_viewer, event):
        places.append(tuple(event.pos))
        dock.cursor_info.setText("")  # what is told later is of this place

    def is_told() -> bool:  # a busy display may lose a move, or send one late
        if places[-1] != (target.x(), target.y()):
            QTest.mouseMove(canvas, target + QPoint(1, 1))
            QTest.mouseMove(canvas, target)
            return False
        return dock.cursor_info.text() != ""

    viewer.mouse_move_callbacks.append(arrive)
    qtbot.waitUntil(is_told, timeout=20_000)
    viewer.mouse_move_callbacks.remove(arrive)
    return dock.cursor_info.text().splitlines()


def test_pointing_tells_what_is_there(dock, viewer, canvas, qtbot, layers):
    viewer.reset_view()
    chance = viewer.layers["v probability"].data
    number = dock.session.errors.regions
    for voxel, truth, found, kind in (
        ((2, 5, 10), "core", "background", "missed"),
        ((3, 10, 22), "core", "shell", "wrong class"),
        ((2, 14, 8), "background", "core", "extra"),
        ((2, 9, 8), "core", "core", None),
    ):
        labels, numbers, place = point_at(viewer, canvas, voxel, qtbot, dock)
        assert labels == f"Ground truth {truth} · prediction {found}"
        error = "" if kind is None else f" · {kind} (error {number[voxel]})"
        assert numbers == f"Probability {chance[voxel]:.2f}{error}"
        assert place == "Voxel z {}, y {}, x {}".format(*voxel)
    layers[1].data[2, 5, 10] = 2
    assert point_at(viewer, canvas, (2, 5, 10), qtbot, dock)[0].startswith("Ground truth shell"), "as it was painted"
    assert "Hover over" in point_at(viewer, canvas, (2, 22, 10), qtbot, dock)[0]


def test_pointing_in_3d_meets_the_first_voxel_that_is_seen(dock, viewer, canvas, qtbot, layers):
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    dock.views.show_one("difference")
    assert point_at(viewer, canvas, (2, 5, 10), qtbot, dock)[0] == "Ground truth core · prediction background"
    seen = point_at(viewer, canvas, (2, 14, 8), qtbot, dock)
    assert seen[2] in ("Voxel z 2, y 14, x 8", "Voxel z 3, y 14, x 8")
    assert "Hover over" in point_at(viewer, canvas, (2, 9, 8), qtbot, dock)[0], "agreement is not drawn"
    dock.views.show_one("prediction")
    assert point_at(viewer, canvas, (2, 9, 8), qtbot, dock)[0] == "Ground truth core · prediction core"


def test_a_key_steps_from_truth_to_prediction_to_difference(dock, viewer, canvas, qtbot, layers):
    viewer.dims.set_point(0, 11.0)
    camera, selected = camera_of(viewer), set(viewer.layers.selection)
    text_of(viewer).text = "mine"
    dock.views.show_one("difference")
    before = (camera.center, camera.zoom, viewer.dims.point)
    seen = []
    for _ in range(4):
        QTest.keyClick(canvas, Qt.Key.Key_G)
        seen.append((text_of(viewer).text, colours_on(viewer)))
        down = [words for words, button in dock.views.buttons.items() if button.value]
        assert down == [text_of(viewer).text.removeprefix("ground ")]
    assert [words for words, _ in seen] == [
        "ground truth",
        "prediction",
        "difference",
        "ground truth",
    ]  # the difference was shown
    assert dict(seen) == {"ground truth": {"truth"}, "prediction": {"prediction"}, "difference": {"extra", "missed"}}
    assert (camera.center, camera.zoom, viewer.dims.point) == before
    assert set(viewer.layers.selection) == selected
    layers[1].visible = layers[2].visible = True  # in napari's own list
    assert not any(button.value for button in dock.views.buttons.values())
    assert (text_of(viewer).text, text_of(viewer).visible) == ("mine", False)


def test_closing_the_dock_puts_everything_back(dock, viewer, canvas, close_dock):
    names = [layer.name for layer in viewer.layers]
    QTest.keyClick(canvas, Qt.Key.Key_G, Qt.KeyboardModifier.ShiftModifier)
    assert dock.views.side_button.value
    assert grid_of(viewer).enabled
    close_dock(dock)
    assert [layer.name for layer in viewer.layers] == names
    assert not grid_of(viewer).enabled
    assert viewer.mouse_move_callbacks == []


def test_closing_the_viewer_while_side_by_side_is_fine(dock, viewer):
    dock.views.side_button.native.click()
    viewer.close()


def test_corrections_get_a_cell_of_their_own(dock, viewer, qtbot):
    dock.views.side_button.native.click()
    dock.select(dock.session.errors.errors[0])
    dock.correction.accept_truth()
    qtbot.waitUntil(lambda: grid_of(viewer).shape[0] * grid_of(viewer).shape[1] >= 4)
    corrected = viewer.layers["v corrected"]
    assert corrected.visible
    dock.views.side_button.native.click()
    assert not grid_of(viewer).enabled
    assert corrected.visible
    assert not any(layer.name.startswith("corrected") for layer in viewer.layers)


def test_corrections_of_a_volume_that_is_called_after_its_part_get_a_cell(dock, viewer, layers, qtbot, wait_for_end):
    mark_origin(layers[2:], VolumeOrigin("v (test)", Plan(task=Task.SEMANTIC, strides=(), classes=CLASSES)))
    wait_for_end(dock, dock.inspect)
    dock.select(dock.session.errors.errors[0])
    dock.views.side_button.native.click()
    dock.correction.accept_truth()
    qtbot.waitUntil(lambda: grid_of(viewer).shape[0] * grid_of(viewer).shape[1] >= 4)
    assert viewer.layers["v (test) corrected"].visible


def test_pointing_tells_what_a_mask_leaves_out(dock, viewer, canvas, qtbot, layers):
    viewer.reset_view()
    mask = viewer.add_labels(np.zeros(SHAPE, np.uint8), name="v annotated", visible=False, **PLACE)
    keep_mask(layers[1], mask)
    assert point_at(viewer, canvas, (2, 5, 10), qtbot, dock)[0] == "Ground truth not annotated · prediction background"
    mask.data[2, 5, 10] = 1
    assert point_at(viewer, canvas, (2, 5, 10), qtbot, dock)[0] == "Ground truth core · prediction background"
