"""The editor of a whole number that may be left out."""

from __future__ import annotations

from napari_unet3d.widgets.forms.choices import optional_int


def test_none_or_a_number(qtbot):
    editor = optional_int(-5, 300)
    qtbot.addWidget(editor.native)
    changes = []
    editor.changed.connect(changes.append)
    assert editor.value is None
    for value in (255, 0, -1, None):
        editor.value = value
        assert editor.value == value
        assert changes[-1] == value
    editor.menu.value = 1  # the number that was chosen before comes back
    assert (editor.value, changes[-1]) == (-1, -1)
    editor.editor.native.setValue(400)
    assert (editor.value, changes[-1]) == (300, 300)


def test_only_a_value_shows_a_number(qtbot):
    editor = optional_int(0, 100)
    qtbot.addWidget(editor.native)
    editor.native.show()
    assert not editor.editor.native.isVisible()
    editor.value = 7
    assert editor.editor.native.isVisible()
