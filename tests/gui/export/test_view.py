"""Pictures and turntables of the view, saved by clicks; what they show is checked by pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageSequence
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_unet3d.errors import UserError
from napari_unet3d.session.saving import TurntableSettings
from napari_unet3d.widgets.export.pictures import render, turned
from napari_unet3d.widgets.predict.dock import PredictDock
from napari_unet3d.widgets.viewer.view_state import CameraState, camera_of, canvas_size


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1000, 500)
    return viewer


@pytest.fixture
def volume(viewer):
    """A volume of unequal sides and voxels, bright in one corner, looked at from somewhere."""
    data = np.zeros((6, 10, 14), np.float32)
    data[1:3, 1:4, 2:6] = 1
    data[4:, 7:, 9:] = 0.4
    layer = viewer.add_image(data, scale=(3, 1.5, 1), contrast_limits=(0, 1))
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    camera = camera_of(viewer)
    camera.angles, camera.zoom = (12, -34, 56), camera.zoom * 0.8
    return layer


@pytest.fixture
def saving(viewer, open_dock, qtbot):
    dock = open_dock("Predict")
    assert isinstance(dock, PredictDock)
    dock.results.export.show()
    dock.results.export.expand()
    view = dock.results.export.view

    def is_in_view():
        dock.scroll_area.ensureWidgetVisible(view.turntable_button.native)
        return not view.turntable_button.native.visibleRegion().isEmpty()

    qtbot.waitUntil(is_in_view)
    return dock, view


@pytest.fixture
def choose(monkeypatch):
    """Answer the system's dialog for a file name."""

    def _choose(path):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: ("" if path is None else str(path), ""))

    return _choose


def click(qtbot, button):
    qtbot.mouseClick(button.native, Qt.MouseButton.LeftButton)


def test_a_picture_of_the_canvas_size_is_what_is_on_the_canvas(viewer, volume):
    height, width = canvas_size(viewer)
    shown = viewer.screenshot(flash=False)[..., :3]
    np.testing.assert_array_equal(render(viewer, width, height), shown)
    assert shown.std() > 1


def test_a_picture_of_another_size_shows_the_same_part(viewer, volume):
    before = CameraState.of(viewer)
    height, width = canvas_size(viewer)
    small = render(viewer, width // 2, height // 2).mean(-1)
    large = np.asarray(Image.fromarray(render(viewer, width, height)).resize((width // 2, height // 2))).mean(-1)
    assert small.shape == (height // 2, width // 2)
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.95
    assert CameraState.of(viewer) == before


@pytest.mark.parametrize("degrees", [0, 90, 200])
def test_turning_keeps_the_vertical_and_goes_the_whole_way(degrees):
    up, view = (0.0, -0.6, 0.8), (1.0, 0.0, 0.0)
    there = turned(view, up, degrees)
    assert np.dot(there, up) == pytest.approx(0)
    assert np.dot(there, view) == pytest.approx(np.cos(np.radians(degrees)))
    np.testing.assert_allclose(turned(there, up, 360 - degrees), view, atol=1e-12)


def test_a_screenshot_has_the_chosen_size(saving, volume, viewer, choose, qtbot, tmp_path):
    dock, view = saving
    view.picture_width.value = 200
    view.picture_height.value = 130
    choose(tmp_path / "shot")  # without an ending
    click(qtbot, view.screenshot_button)
    with Image.open(tmp_path / "shot.png") as picture:
        pixels = np.asarray(picture)
    np.testing.assert_array_equal(pixels, render(viewer, 200, 130))
    assert pixels.shape == (130, 200, 3)
    assert dock.message.text() == f"The screenshot is in {tmp_path / 'shot.png'}"


def test_a_name_that_no_picture_can_have_is_explained(saving, volume, choose, qtbot, tmp_path):
    dock, view = saving
    choose(tmp_path / "shot.docx")
    click(qtbot, view.screenshot_button)
    assert dock.message.kind == "error"
    assert "'shot.docx'; choose a name that ends in .png" in dock.message.text()
    assert list(tmp_path.glob("*shot*")) == []


def start_turn(saving, choose, qtbot, path):
    _, view = saving
    view.picture_width.value = 120
    view.picture_height.value = 90
    view.seconds.value = 1
    view.frames_per_second.value = 6
    choose(path)
    click(qtbot, view.turntable_button)


def test_a_turntable_turns_the_view_and_leaves_the_camera(saving, volume, viewer, choose, qtbot, tmp_path):
    dock, view = saving
    before = CameraState.of(viewer)
    expected = render(viewer, 120, 90).astype(int)
    with qtbot.waitSignal(view.turntable.ended, timeout=60_000):
        start_turn(saving, choose, qtbot, tmp_path / "turn.gif")
        assert view.cancel_button.native.isVisibleTo(view.native)
        assert not view.turntable_button.native.isVisibleTo(view.native)
    assert CameraState.of(viewer) == before
    assert dock.message.text().startswith(f"The turntable is in {tmp_path / 'turn.gif'}")
    assert view.turntable_button.native.isVisibleTo(view.native)
    with Image.open(tmp_path / "turn.gif") as picture:
        frames = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(picture)]
    assert len(frames) == 6
    assert np.abs(frames[0] - expected).mean() < 3
    for one, next_one in zip(frames, [*frames[1:], frames[0]], strict=True):
        assert np.abs(one - next_one).mean() > 5 * np.abs(frames[0] - expected).mean()
    # Seen from behind in parallel projection, left and right change places; a maximum along the ray is the same.
    half = frames[3][:, ::-1].mean(-1)
    assert np.corrcoef(half.ravel(), expected.mean(-1).ravel())[0, 1] > 0.95


def test_the_viewer_can_be_used_while_it_turns(saving, volume, viewer, choose, qtbot, tmp_path):
    _, view = saving
    camera, seen = camera_of(viewer), []

    def look_elsewhere(done, _total):
        seen.append(CameraState.of(viewer))
        if done == 2:
            camera.angles = (80, 0, 0)

    view.turntable.progressed.connect(look_elsewhere)
    expected = render(viewer, 120, 90, 180).astype(int)
    with qtbot.waitSignal(view.turntable.ended, timeout=60_000):
        start_turn(saving, choose, qtbot, tmp_path / "turn.gif")
    assert camera.angles == pytest.approx((80, 0, 0))
    assert [each.angles for each in seen[:2]] == [pytest.approx((12, -34, 56))] * 2
    with Image.open(tmp_path / "turn.gif") as picture:
        picture.seek(3)
        assert np.abs(np.asarray(picture.convert("RGB")) - expected).mean() < 3


@pytest.mark.parametrize("after", [2, 8])  # while frames are taken, and while they are written
def test_a_cancelled_turntable_leaves_no_file(saving, volume, viewer, choose, qtbot, tmp_path, after):
    dock, view = saving
    before = CameraState.of(viewer)
    folder = tmp_path / "out"
    folder.mkdir()
    view.turntable.progressed.connect(lambda done, _: done == min(after, 6) and click(qtbot, view.cancel_button))
    with qtbot.waitSignal(view.turntable.ended, timeout=60_000):
        start_turn(saving, choose, qtbot, folder / "turn.gif")
    assert dock.message.text() == "Cancelled."
    assert list(folder.iterdir()) == []
    assert CameraState.of(viewer) == before
    assert not view.turntable.is_running


def test_in_2d_the_way_out_is_named(saving, viewer, volume, choose, qtbot, tmp_path):
    dock, view = saving
    viewer.dims.ndisplay = 2
    click(qtbot, view.turntable_button)
    assert dock.message.text() == "A turntable turns the 3D view. Switch the viewer to 3D first."


def test_too_many_frames_are_refused_before_they_are_taken():
    with pytest.raises(UserError, match=r"1500 frames of 4096 × 4096 pixels are more than a gigabyte"):
        TurntableSettings(60, 25, 4096, 4096).check_memory()
    assert TurntableSettings(4, 12, 600, 600).n_frames == 48
    assert TurntableSettings(1, 4, 64, 64).degrees == [0, 90, 180, 270]


def test_sizes_are_remembered(saving, open_dock, close_dock):
    dock, view = saving
    view.picture_width.value = 321
    view.frames_per_second.value = 7
    close_dock(dock)
    again = open_dock("Predict").results.export.view
    assert (again.picture_width.value, again.frames_per_second.value) == (321, 7)


def test_a_window_that_is_closed_ends_the_turn(saving, volume, viewer, choose, qtbot, tmp_path):
    dock, view = saving
    with qtbot.waitSignal(view.turntable.progressed, timeout=60_000):
        start_turn(saving, choose, qtbot, tmp_path / "turn.gif")
    gone = []
    dock.native.destroyed.connect(lambda: gone.append(True))
    viewer.close()
    qtbot.waitUntil(lambda: bool(gone), timeout=20_000)
    assert not (tmp_path / "turn.gif").exists()
