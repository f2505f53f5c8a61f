"""What was painted comes back: saved while it is painted, asked about once, and nothing is written over."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_unet3d.session.annotation_store import annotations_folder

SHAPE = (16, 40, 36)


def paint(dock, z=8, value=2):
    mask = np.zeros(SHAPE, bool)
    mask[z, 14:26, 12:24] = True
    dock.link.layer.data_setitem(np.nonzero(mask), value)


@pytest.fixture
def saved(qtbot):
    """Wait until everything that was painted is saved; gives the file."""

    def _saved(dock):
        session = dock.link.session
        qtbot.waitUntil(lambda: session.is_saved and not dock.link.autosave.is_busy, timeout=10_000)
        return session.file

    return _saved


@pytest.fixture
def answer():
    """Click a button of the next question, by its text; gives the questions that were asked."""
    asked = []

    def _answer(text):
        def click():
            (box,) = [each for each in QApplication.topLevelWidgets() if isinstance(each, QMessageBox)]
            asked.append(box.text())
            (button,) = [each for each in box.buttons() if each.text().replace("&", "") == text]
            QTest.mouseClick(button, Qt.MouseButton.LeftButton)

        QTimer.singleShot(0, click)
        return asked

    return _answer


def test_what_is_painted_is_saved_and_continued_after_one_question(
    dock, saved, viewer, close_dock, open_dock, answer, data_folder
):
    assert not list(data_folder.rglob("*.npz")), "nothing is painted yet"
    dock.brushes.add_class()
    paint(dock)
    file = saved(dock)
    assert data_folder in file.parents
    assert "Saved automatically at" in dock.state.value
    assert str(file) in dock.state.tooltip
    content, painted = file.read_bytes(), dock.link.layer.data.copy()

    # as after a crash: nothing of it is in the viewer
    close_dock(dock)
    del viewer.layers["bone annotation"]
    dock = open_dock("Annotate")
    asked = answer("Continue it")
    dock.annotate()
    assert len(asked) == 1
    assert "144 annotated voxels" in asked[0]
    np.testing.assert_array_equal(dock.link.layer.data, painted)
    assert dock.link.session.classes.names == ("Object", "Object 2")
    assert file.read_bytes() == content
    paint(dock, 9)
    assert saved(dock) == file
    assert file.read_bytes() != content


def test_a_new_one_leaves_the_saved_one_as_it_is(dock, saved, viewer, answer):
    paint(dock)
    file = saved(dock)
    content = file.read_bytes()
    del viewer.layers["bone annotation"]
    answer("Begin a new one")
    dock.annotate()
    assert not dock.link.layer.data.any()
    paint(dock, 3)
    assert saved(dock) != file
    assert file.read_bytes() == content
    answer("Cancel")
    del viewer.layers["bone annotation"]
    dock.annotate()
    assert dock.link.layer is None


@pytest.mark.parametrize("ending", ["dock", "layer", "image"])
def test_what_was_painted_last_is_saved_when_it_is_left(dock, viewer, close_dock, ending):
    paint(dock)
    layer, file = dock.link.layer, dock.link.session.file
    assert not file.exists()
    if ending == "dock":
        close_dock(dock)
    elif ending == "layer":
        viewer.layers.remove(layer)
        assert "The annotation was removed from the viewer, and is saved" in dock.message.text()
    else:
        dock.image_layer.value = viewer.add_image(np.zeros(SHAPE), name="another")
    with np.load(file) as arrays:
        np.testing.assert_array_equal(arrays["labels"], layer.data)


def test_that_it_cannot_be_saved_is_said_and_painting_goes_on(dock, data_folder, qtbot):
    data_folder.mkdir(parents=True, exist_ok=True)
    (data_folder / "annotations").write_text("a file in the way")
    paint(dock)
    qtbot.waitUntil(lambda: dock.message.kind == "error", timeout=10_000)
    assert "Save the layer yourself" in dock.message.text()
    assert "NOT saved" in dock.state.value
    (data_folder / "annotations").unlink()
    paint(dock, 9)
    qtbot.waitUntil(lambda: "Saved automatically at" in dock.state.value, timeout=10_000)
    assert annotations_folder().is_dir()


def test_erasing_everything_is_saved_too(dock, saved):
    paint(dock)
    file = saved(dock)
    dock.undo()
    saved(dock)
    with np.load(file) as arrays:
        assert not arrays["labels"].any()


def test_an_array_that_a_program_sets_is_followed_or_left_alone(dock, saved, viewer):
    layer = dock.link.layer
    layer.data = np.ones(SHAPE, np.uint8)
    assert dock.link.session.progress.voxels == {1: int(np.prod(SHAPE))}
    with np.load(saved(dock)) as arrays:
        assert arrays["labels"].all()
    layer.data = np.zeros((4, 4, 4), np.uint8)
    assert dock.link.layer is None
    assert "is no annotation of the image any more" in dock.message.text()
