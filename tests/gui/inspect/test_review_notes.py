"""What a person said about errors comes back: in the dock, and for another prediction of the volume."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit

from napari_unet3d.session.origin import VolumeOrigin
from napari_unet3d.widgets.inspect.error_model import ErrorList
from napari_unet3d.widgets.viewer.layer_metadata import mark_origin


@pytest.fixture
def run(tmp_path, boxes):
    """A run folder that the prediction is from."""
    folder = tmp_path / "run"
    folder.mkdir()
    mark_origin(boxes[2:], VolumeOrigin("v", run=folder))
    return folder


@pytest.fixture
def inspected(open_dock, wait_for_end):
    """Open the dock and inspect."""

    def _inspect():
        dock = open_dock("Inspect")
        dock.tolerance.value = 0.25
        wait_for_end(dock, dock.inspect)
        return dock

    return _inspect


def write_note(qtbot, click_row, view, row, words):
    click_row(view, row, ErrorList.NOTE, twice=True)
    editor = view.viewport().findChild(QLineEdit)
    qtbot.keyClicks(editor, words)
    qtbot.keyClick(editor, Qt.Key.Key_Return)


def table_of(dock):
    model = dock.errors.table.view.model()
    ticks = [
        Qt.CheckState(model.index(row, ErrorList.SEEN).data(Qt.ItemDataRole.CheckStateRole)) is Qt.CheckState.Checked
        for row in range(model.rowCount())
    ]
    return list(zip(ticks, [model.index(row, ErrorList.NOTE).data() for row in range(model.rowCount())], strict=True))


def test_what_was_seen_and_noted_comes_back(inspected, run, qtbot, click_row, close_dock, boxes):
    dock = inspected()
    assert table_of(dock) == [(False, "")] * 3
    write_note(qtbot, click_row, dock.errors.table.view, 1, "ask Ana: mitosis?")
    qtbot.waitUntil(lambda: table_of(dock) == [(False, ""), (True, "ask Ana: mitosis?"), (False, "")])
    close_dock(dock)  # at once, before it is written a moment later
    said = json.loads((run / "inspection" / "v.json").read_text(encoding="utf-8"))
    assert "ask Ana: mitosis?" in json.dumps(said)

    dock = inspected()
    assert table_of(dock) == [(False, ""), (True, "ask Ana: mitosis?"), (False, "")]
    assert dock.errors.table.counts.value.startswith("3 errors, 1 seen")
    found = boxes[2].data.copy()
    found[12, 12:20, 26:29] = 0  # the noted error gets smaller, the speck is gone, and something else is there
    found[1:3, 1:3, 1:3] = 0
    found[15:18, 2:9, 2:9] = 1
    boxes[2].data = found
    dock.inspect()
    qtbot.waitUntil(lambda: dock.jobs.running("inspect") is None)
    assert table_of(dock) == [(False, ""), (False, ""), (True, "ask Ana: mitosis?")]


def test_they_are_known_when_another_model_has_predicted_the_volume(
    inspected, run, qtbot, click_row, boxes, wait_for_end
):
    dock = inspected()
    click_row(dock.errors.table.view, 0)
    other = run.with_name("other run")
    other.mkdir()
    mark_origin(boxes[2:], VolumeOrigin("v", run=other))
    boxes[2].data = np.where(boxes[1].data == 0, boxes[2].data, 0)  # it finds nothing that is true
    wait_for_end(dock, dock.inspect)
    assert table_of(dock)[1:] == [(True, ""), (False, ""), (False, "")]
    assert not (other / "inspection").exists(), "nothing was said about this one"
    click_row(dock.errors.table.view, 0)
    qtbot.waitUntil((other / "inspection" / "v.json").exists)


def test_a_tick_is_written_while_the_dock_is_open(inspected, run, qtbot):
    dock = inspected()
    view = dock.errors.table.view
    place = view.visualRect(view.model().index(2, ErrorList.SEEN)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    path = run / "inspection" / "v.json"
    qtbot.waitUntil(path.exists)
    assert [each[0] for each in table_of(dock)].count(True) == 1


def test_a_damaged_file_is_said_and_kept(inspected, run, click_row, close_dock):
    path = run / "inspection" / "v.json"
    path.parent.mkdir()
    path.write_text("{", encoding="utf-8")
    dock = inspected()
    assert str(path) in dock.message.text()
    assert dock.message.kind == "warning"
    click_row(dock.errors.table.view, 0)
    close_dock(dock)
    assert path.read_text(encoding="utf-8") == "{"
