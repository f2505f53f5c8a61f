"""A widget of Qt as a widget of magicgui, for what magicgui does not have: tables, lists, curves, footers."""

from __future__ import annotations

from typing import Any

from magicgui.backends._qtpy.widgets import QBaseWidget  # the base of magicgui's own widgets; there is no public one
from magicgui.widgets import Widget
from qtpy.QtWidgets import QWidget


class _Backend(QBaseWidget):
    def __init__(self, widget: QWidget, parent: QWidget | None = None) -> None:
        name, tooltip = widget.objectName(), widget.toolTip()
        super().__init__(lambda parent: widget, parent)  # type: ignore[arg-type]  # it wants a class, and calls it
        widget.setObjectName(name)
        self._tooltip = tooltip

    def _mgui_set_tooltip(self, value: str | None) -> None:
        super()._mgui_set_tooltip(value or self._tooltip)


class QtWidget(Widget):
    """Makes a widget of Qt part of a `Container`; its visibility and state are those of the Qt widget.

    Parameters
    ----------
    widget : QWidget
        The widget; `native` returns it.
    **options : Any
        As of every widget of magicgui, such as ``name``, ``label`` and ``tooltip``.
    """

    def __init__(self, widget: QWidget, **options: Any) -> None:
        super().__init__(widget_type=_Backend, backend_kwargs={"widget": widget}, **options)
