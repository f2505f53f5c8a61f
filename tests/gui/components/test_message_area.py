"""The area of the message line is as high as its text, and scrolls nothing that fits."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet3d.widgets.components.context import MessageLine
from napari_unet3d.widgets.components.message_area import MessageArea


def test_a_message_that_fits_is_not_scrolled(qtbot):
    """Qt shows a bar while the area grows; beside it some texts need a line more, so that it would never go."""
    dock, message = QWidget(), MessageLine()
    qtbot.addWidget(dock)
    area = MessageArea(message, dock)
    layout = QVBoxLayout(dock)
    layout.addStretch(1)
    layout.addWidget(area)
    dock.resize(300, 600)
    dock.show()
    qtbot.waitExposed(dock)
    for n_words in range(5, 45):
        message.clear()
        message.show_message("word " * n_words)
        qtbot.waitUntil(lambda: area.isVisible() and area.height() == area.sizeHint().height())
        assert not area.verticalScrollBar().isVisible(), f"{n_words} words"
        assert message.height() == area.viewport().height()
