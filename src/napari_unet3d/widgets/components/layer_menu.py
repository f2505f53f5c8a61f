"""A menu of the layers of a viewer."""

from __future__ import annotations

from typing import Any, get_args

from magicgui.widgets import ComboBox, create_widget
from napari.layers import Layer
from qtpy.QtWidgets import QSizePolicy

from napari_unet3d.widgets.viewer.helper_layers import is_helper

_LEAST_WIDTH = 80


def layer_menu(viewer: Any, annotation: Any, tooltip: str, *, name: str = "", label: str | None = None) -> ComboBox:
    """Return a menu of the layers of a type; its value is the layer or None. `reset_choices` brings it up to date.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers; those that only help to look are left out.
    annotation : type
        Such as ``Image`` (the first one is chosen), or ``Image | Labels | None`` (none is chosen, and can be
        chosen again).
    tooltip : str
        What the layer is used for.
    name, label : str, optional
        As of every widget of magicgui.
    """
    kinds = tuple(kind for kind in get_args(annotation) or (annotation,) if kind is not type(None))

    def layers(_menu: object) -> list[Layer]:
        return [layer for layer in viewer.layers if isinstance(layer, kinds) and not is_helper(layer)]

    menu = create_widget(annotation=annotation, name=name, label=label, options={"choices": layers, "tooltip": tooltip})
    assert isinstance(menu, ComboBox)
    menu.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # long names must not widen it
    menu.native.setMinimumWidth(_LEAST_WIDTH)
    return menu
