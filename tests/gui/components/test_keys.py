from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels, Points, Shapes
from napari.settings import get_settings
from napari.utils.key_bindings import KeyBinding
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton

from napari_unet3d.widgets.components.footer import KeysWindow
from napari_unet3d.widgets.components.keys import _bound, bind_key, bound_keys

DOCKS = ("Start here", "Generate data", "Dataset", "Annotate", "Train", "Predict", "Inspect", "Objects")


def native(dock):
    """Return the widget of Qt that a dock is."""
    return getattr(dock, "native", dock)


@pytest.fixture
def docks(open_dock):
    return {name: open_dock(name) for name in DOCKS}


def test_no_key_of_ours_is_one_of_napari(docks, viewer):
    """Keys of the viewer's actions would fight ours; those of the active layer would win over ours."""
    theirs = {str(key) for keys in get_settings().shortcuts.shortcuts.values() for key in keys}
    for layer_type in (Image, Labels, Points, Shapes):
        theirs |= {str(key) for key in layer_type.class_keymap}
    assert {"E", "Ctrl+Y"} <= theirs, "they are read as they are written here"
    ours = [key.key for key in bound_keys(viewer)]
    assert {"Shift-K", "N"} <= set(ours)
    taken = [key for key in ours if str(KeyBinding.from_str(key.replace("-", "+"))) in theirs]
    assert not taken, f"{taken} mean something else to napari"


def test_no_dock_takes_the_key_of_another(docks, viewer):
    meanings = {key: {binding.description for binding in wanted} for key, wanted in _bound[viewer].items()}
    assert {key: words for key, words in meanings.items() if len(words) > 1} == {}


def test_each_key_stands_in_the_tooltip_of_a_button(docks, viewer):
    tooltips = [button.toolTip() for dock in docks.values() for button in native(dock).findChildren(QAbstractButton)]
    for key in bound_keys(viewer):
        assert any(f": {key.key}" in tooltip for tooltip in tooltips), key


def test_the_window_lists_all_keys(docks, viewer, make_key_mine):
    make_key_mine("toggle_ndisplay", "Ctrl+J")
    docks["Train"].footer.keys_button.native.click()
    window = native(docks["Train"]).findChild(KeysWindow)
    told = window.text.toPlainText()
    window.close()
    for key in bound_keys(viewer):
        assert f"{key.description} ({key.dock})" in told
    lines = told.splitlines()
    assert lines[lines.index("Change between slices and 3D") - 1] == "Ctrl+J"
    assert lines[lines.index("Erase") - 1] == "1 or E"
    assert lines[lines.index("Undo what was painted") - 1] == "Ctrl+Z"


@pytest.fixture
def make_key_mine():
    """Choose another key among napari's preferences."""
    shortcuts = get_settings().shortcuts
    before = dict(shortcuts.shortcuts)

    def _choose(action, key):
        shortcuts.shortcuts = {**before, f"napari:{action}": [KeyBinding.from_str(key)]}

    yield _choose
    shortcuts.shortcuts = before


def test_shift_k_in_the_image_opens_the_window(make_napari_viewer, qtbot):
    from napari_unet3d.widgets.dataset.dock import DatasetDock

    viewer = make_napari_viewer(show=True)
    viewer.add_labels(np.zeros((4, 5, 6), int))  # its keys come first
    dock = DatasetDock(viewer)
    viewer.window.add_dock_widget(dock)
    canvas = viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    QTest.keyClick(canvas, Qt.Key.Key_K, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: native(dock).findChild(KeysWindow) is not None)
    native(dock).findChild(KeysWindow).close()


def test_a_key_goes_back_to_the_dock_that_is_left(open_dock, close_dock, viewer):
    pressed = []
    first, second = open_dock("Dataset"), open_dock("Train")
    for name, dock in (("first", first), ("second", second)):
        bind_key(dock, "Shift-J", f"Say {name}", lambda name=name: pressed.append(name))
    action = KeyBinding.from_str("Shift+J")
    viewer.keymap[action](viewer)
    close_dock(second)
    viewer.keymap[action](viewer)
    assert pressed == ["second", "first"]
    assert [key.description for key in bound_keys(viewer) if key.key == "Shift-J"] == ["Say first"]
    close_dock(first)
    assert action not in viewer.keymap
    assert bound_keys(viewer) == []
