from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet3d.widgets.viewer.canvas_context import guard_layer_removal
from napari_unet3d.widgets.viewer.layers import show_crop, show_difference
from napari_unet3d.widgets.viewer.side_by_side import Arrangement, Cell, SideBySide
from napari_unet3d.widgets.viewer.view_state import camera_of, grid_of, text_of

SHAPE = (6, 30, 40)
PLACE = {"scale": (3.0, 1.0, 0.5), "translate": (5.0, -4.0, 20.0), "units": ("um",) * 3}
TITLES = ("truth", "prediction", "difference")
RED, BLUE = (255, 32, 32), (32, 80, 255)


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(700, 400)
    return viewer


@pytest.fixture
def scene(viewer):
    """An image with truth, prediction and difference, between two other layers of the user."""
    image = viewer.add_image(np.full(SHAPE, 90, np.uint8), name="brain", contrast_limits=(0, 255), **PLACE)
    truth, prediction = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    truth[:, 8:20, 8:30], prediction[:, 12:24, 8:30] = 1, 1
    below = viewer.add_labels(truth * 5, name="mine", **PLACE)
    colours = {None: "transparent", 1: "lime"}
    layers = [
        viewer.add_labels(truth, name="brain labels", colormap=colours, opacity=1, **PLACE),
        viewer.add_labels(prediction, name="brain prediction", colormap={**colours, 1: "cyan"}, opacity=1, **PLACE),
        show_difference(viewer, "brain difference", (prediction > truth) + 2 * (truth > prediction), image),
    ]
    below.visible = layers[0].visible = False
    viewer.add_points([[2, 3, 4]], name="my points", **PLACE)
    return image, layers


@pytest.fixture
def side_by_side(viewer, scene):
    image, layers = scene
    side, ends = SideBySide(viewer), []
    cells = tuple(Cell(title, layer) for title, layer in zip(TITLES, layers, strict=True))
    side.begin = lambda: side.start(Arrangement(image, cells, "brain error"), lambda: ends.append(side.is_on))
    side.ends = ends
    return side


def state(viewer):
    grid, camera = grid_of(viewer), camera_of(viewer)
    return {
        "names": [layer.name for layer in viewer.layers],
        "visible": [layer.visible for layer in viewer.layers],
        "opacity": [layer.opacity for layer in viewer.layers],
        "selection": {layer.name for layer in viewer.layers.selection},
        "active": viewer.layers.selection.active,
        "grid": (grid.enabled, grid.stride, grid.shape, grid.spacing),
        "camera": (camera.center, camera.zoom, camera.angles),
        "dims": (viewer.dims.point, viewer.dims.ndisplay, viewer.dims.order),
        "text": (text_of(viewer).text, text_of(viewer).visible),
    }


def colours_in(viewer):
    """Which colours are seen in the cells, row by row; without cells, in the whole canvas."""
    canvas = viewer.screenshot(flash=False)[..., :3].astype(int)
    shape = grid_of(viewer).shape if grid_of(viewer).enabled else (1, 1)
    rows = np.array_split(canvas, shape[0])
    cells = [cell for row in rows for cell in np.array_split(row, shape[1], axis=1)]
    known = {"lime": (0, 255, 0), "cyan": (0, 255, 255), "red": RED, "blue": BLUE, "grey": (90, 90, 90)}
    return [
        {name for name, colour in known.items() if (np.abs(cell - colour).max(axis=-1) < 40).sum() > 50}
        for cell in cells
    ]


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_each_cell_shows_its_layer_over_the_image(viewer, side_by_side, scene, qtbot, ndisplay):
    viewer.dims.ndisplay = ndisplay
    viewer.reset_view()
    side_by_side.begin()
    wanted = [{"lime", "grey"}, {"cyan", "grey"}, {"red", "blue", "grey"}]
    qtbot.waitUntil(lambda: colours_in(viewer)[:3] == wanted)  # the first frame is drawn before the cells have a size


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_everything_comes_back(viewer, side_by_side, scene, ndisplay):
    viewer.dims.ndisplay = ndisplay
    viewer.dims.point = (11.0, 0.0, 25.0)
    viewer.layers.selection = {viewer.layers["mine"], viewer.layers["brain"]}
    camera = camera_of(viewer)
    camera.center, camera.zoom = (8.0, 10.0, 27.0), 13.5
    if ndisplay == 3:
        camera.angles = (10.0, 20.0, 30.0)
    grid_of(viewer).stride, grid_of(viewer).shape = 3, (2, -1)
    text_of(viewer).text = "mine"
    before = state(viewer)
    side_by_side.begin()
    during = state(viewer)
    assert during["grid"][0]
    assert during["selection"] == before["selection"]
    assert during["dims"] == before["dims"]
    np.testing.assert_allclose(during["camera"][0], before["camera"][0])
    side_by_side.stop()
    assert state(viewer) == before
    assert side_by_side.ends == [False]


def test_what_the_person_did_meanwhile_stays(viewer, side_by_side, scene, qtbot):
    image, (truth, _, _) = scene
    viewer.reset_view()
    before = camera_of(viewer).zoom
    side_by_side.begin()
    camera, shared = camera_of(viewer), viewer.layers["truth"]
    camera.zoom *= 2
    camera.center = (0.0, 8.0, 27.0)
    viewer.dims.set_point(0, 14.0)
    shared.contrast_limits = (10, 80)
    truth.paint((3, 2, 2), 1)
    viewer.add_points([[1, 1, 1]], name="new", **PLACE)
    qtbot.waitUntil(lambda: not viewer.layers["new"].visible)  # it has no cell
    side_by_side.stop()
    assert viewer.layers["new"].visible
    assert camera.zoom == pytest.approx(2 * before, rel=0.01)
    assert camera.center[1:] == (8.0, 27.0)
    assert viewer.dims.point[0] == 14.0
    assert tuple(image.contrast_limits) == (10, 80)
    assert truth.data[3, 2, 2] == 1
    assert np.shares_memory(image.data, shared.data)


def test_the_mark_of_an_error_is_in_every_cell(viewer, side_by_side, scene, qtbot):
    image, _ = scene
    side_by_side.begin()
    mark = show_crop(
        viewer,
        "brain error",
        np.ones((2, 4, 5), np.uint8),
        (0, 9, 9),
        image,
        colormap={None: "transparent", 1: "yellow"},
    )
    copies = [f"brain error in {title}" for title in TITLES]
    qtbot.waitUntil(lambda: all(name in viewer.layers for name in copies) and not mark.visible)
    assert [layer.name for layer in viewer.layers][2:9:3] == copies
    assert grid_of(viewer).stride == 3
    show_crop(viewer, "brain error", np.ones((1, 3, 3), np.uint8), (2, 20, 20), image)
    mark.visible = True
    qtbot.waitUntil(lambda: not mark.visible)
    for name in copies:
        np.testing.assert_allclose(viewer.layers[name].extent.world, mark.extent.world)
    assert max(viewer.layers[name].opacity for name in copies) < 0.5, "what is below can be seen"
    mark.contour = 0
    viewer.dims.ndisplay = 3
    side_by_side.stop()
    assert mark.visible
    assert not any(name in viewer.layers for name in copies)


@pytest.mark.parametrize("way", ["cell", "image", "original", "all", "grid"])
def test_it_ends_when_something_is_taken_away(viewer, side_by_side, scene, qtbot, way):
    before = state(viewer)
    side_by_side.begin()
    match way:
        case "cell":
            viewer.layers.remove("brain prediction")
        case "image":
            viewer.layers.remove("truth")
        case "original":
            viewer.layers.remove("brain")
        case "all":
            viewer.layers.clear()
        case "grid":
            grid_of(viewer).enabled = False
    qtbot.waitUntil(lambda: not side_by_side.is_on)
    after = state(viewer)
    assert after["grid"] == before["grid"]
    gone = {"cell": {"brain prediction"}, "original": {"brain"}, "all": set(before["names"])}.get(way, set())
    assert after["names"] == [name for name in before["names"] if name not in gone]
    assert side_by_side.ends == [False]


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_deleting_the_image_with_a_key_leaves_the_labels_in_one_view(viewer, side_by_side, scene, qtbot, ndisplay):
    guard_layer_removal(viewer)  # as each dock does
    viewer.dims.ndisplay = ndisplay
    viewer.reset_view()
    side_by_side.begin()
    qtbot.waitUntil(lambda: {"cyan", "grey"} in colours_in(viewer))
    viewer.layers.selection = {scene[0]}
    qtbot.keyClick(viewer.window._qt_viewer.layers, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: not side_by_side.is_on)
    assert "brain" not in viewer.layers
    assert not grid_of(viewer).enabled
    for name in ("brain difference", "my points"):  # of which the border is grey
        viewer.layers[name].visible = False
    qtbot.waitUntil(lambda: colours_in(viewer) == [{"cyan"}])
