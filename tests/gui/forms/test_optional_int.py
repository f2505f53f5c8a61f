"""The editor of a whole number that may be left out."""

from __future__ import annotations

from napari_unet3d.widgets.forms.create_editor import create_editor


def test_none_or_a_number(qtbot):
    editor = create_editor(int | None, {"minimum": -5, "maximum": 300})
    qtbot.addWidget(editor.native)
    changes = []
    editor.changed.connect(changes.append)
    assert editor.value is None
    for value in (255, 0, -1, None):
        editor.value = value
        assert editor.value == value
        assert changes[-1] == value
    editor._combo.value = True  # the number that was chosen before comes back
    assert (editor.value, changes[-1]) == (-1, -1)
    editor._number.native.setValue(400)
    assert (editor.value, changes[-1]) == (300, 300)


def test_only_a_value_shows_a_number(qtbot):
    editor = create_editor(int | None, {})
    qtbot.addWidget(editor.native)
    editor.native.show()
    assert not editor._number.native.isVisible()
    editor.value = 7
    assert editor._number.native.isVisible()
