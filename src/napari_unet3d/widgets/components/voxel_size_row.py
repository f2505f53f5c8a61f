"""The voxel size of a layer that a dock works on: shown, with a warning where it is unknown, and set."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import FloatSpinBox, Label
from napari.layers import Layer
from qtpy.QtWidgets import QAbstractSpinBox, QSizePolicy

from napari_unet3d.data.geometry import Geometry, describe_voxel_size
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.components.containers import Panel, button, row, wrapping_label
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.viewer.layers import connect_while_alive
from napari_unet3d.widgets.viewer.places import geometry_of
from napari_unet3d.widgets.viewer.voxel_size import ScaledLayer, layers_on, set_voxel_size, voxel_size_to_offer

_KNOWN, _UNKNOWN = "", "QLabel { background-color: #6b4e00; color: white; border-radius: 3px; padding: 3px; }"
_SET_TOOLTIP = (
    "<qt>Set the voxel size of this layer and of those that lie on it: their scale, with the unit µm. The file that it "
    "was read from stays as it is; results, and volumes that are added to a dataset, are written with it.</qt>"
)


class VoxelSizeRow(Panel):
    """The voxel size of the layer that is chosen in a menu; hidden while none is.

    Parameters
    ----------
    context : Context
        The viewer and the message line.
    menu : ComboBox
        The menu of layers.

    Attributes
    ----------
    text : Label
        The voxel size, and what follows where it is not known.
    set_button, apply_button, undo_button : PushButton
        Open the boxes; set what they hold; restore what was before.
    boxes : tuple of FloatSpinBox
        The voxel size along z, y, x in µm.
    """

    def __init__(self, context: Context, menu: Any) -> None:
        super().__init__(spacing=4)
        self._context, self._menu = context, menu
        self._layer: Layer | None = None
        self._before: list[list[ScaledLayer]] = []
        self.text = wrapping_label()
        self.set_button = button("Set…", _SET_TOOLTIP, self.open_boxes)
        self.undo_button = button("Undo", "Restore the voxel size that the layers had before.", self.undo)
        self.apply_button = button("Apply", _SET_TOOLTIP, self.apply)
        self.boxes = tuple(_box(axis) for axis in "zyx")
        self._boxes_row = row(Label(value="z, y, x in µm"), *self.boxes, self.apply_button, wide=(1, 2, 3), spacing=4)
        self.lay_out(row(self.text, self.set_button, self.undo_button, wide=(0,), spacing=4), self._boxes_row)
        self._boxes_row.visible = False
        menu.changed.connect(self.refresh)
        self.native.destroyed.connect(self._forget_layer)
        connect_while_alive(self.native, context.viewer.layers.events.removed, self._on_removed)
        self.refresh()

    def reset_choices(self, *_: Any) -> None:
        """Show the voxel size again, after the menu has been updated."""
        super().reset_choices()
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show the voxel size of the layer that is chosen now."""
        layer = self._menu.value
        if layer is not self._layer:
            self._follow(layer)
        geometry = _geometry(layer)
        self.visible = geometry is not None
        if geometry is None:
            return
        self.text.value = describe_known_size(geometry)
        self.text.native.setStyleSheet(_KNOWN if geometry.is_calibrated else _UNKNOWN)
        self.undo_button.visible = bool(self._before)

    def open_boxes(self) -> None:
        """Show the boxes for a voxel size, or hide them."""
        with self._context.message.explaining():
            if self._boxes_row.visible or self._layer is None:
                self._boxes_row.visible = False
                return
            for box, size in zip(self.boxes, voxel_size_to_offer(self._layer), strict=True):
                box.value = size
            self._boxes_row.visible = True

    def apply(self) -> None:
        """Set the voxel size in the boxes, of the layer and of those that lie on it."""
        with self._context.message.explaining():
            if self._layer is None:
                raise UserError("No layer is chosen; choose the one whose voxel size is to be set.")
            z, y, x = (float(box.value) for box in self.boxes)
            layers = layers_on(self._context.viewer, self._layer)
            self._before.append(set_voxel_size(layers, (z, y, x)))
            self._boxes_row.visible = False
            self._show_again()
            names = ", ".join(f"'{layer.name}'" for layer in layers)
            self._context.message.show_message(f"The voxel size is set for {names}.")

    def undo(self) -> None:
        """Restore the voxel size that the layers had before the last one was set."""
        for each in self._before.pop() if self._before else []:
            each.restore()
        self._show_again()

    def _show_again(self) -> None:
        self._context.viewer.reset_view()  # what was in view is larger or smaller now
        self.refresh()

    def _follow(self, layer: Layer | None) -> None:
        self._forget_layer()
        self._layer, self._before = layer, []
        self._boxes_row.visible = False
        for emitter in _emitters(layer):
            emitter.connect(self.refresh)

    def _forget_layer(self) -> None:
        for emitter in _emitters(self._layer):
            emitter.disconnect(self.refresh)
        self._layer = None

    def _on_removed(self, event: Any) -> None:
        self._before = [kept for kept in self._before if all(each.layer is not event.value for each in kept)]


def describe_known_size(geometry: Geometry) -> str:
    """Return the voxel size as a sentence, with what follows where it is not known.

    >>> describe_known_size(Geometry((2.0, 0.5, 0.5)))
    'Voxel size 2 × 0.5 × 0.5 µm'
    >>> describe_known_size(Geometry())
    'Voxel size unknown: distances and volumes are in voxels'
    """
    size = f"Voxel size {describe_voxel_size(geometry)}"
    return size if geometry.is_calibrated else f"{size}: distances and volumes are in voxels"


def _geometry(layer: Layer | None) -> Geometry | None:
    try:
        return None if layer is None else geometry_of(layer)
    except UserError:  # which is explained when the layer is used
        return None


def _emitters(layer: Layer | None) -> list[Any]:
    return [] if layer is None else [layer.events.scale, layer.events.units]


def _box(axis: str) -> FloatSpinBox:
    box = FloatSpinBox(value=1.0, min=0.0001, max=1e6, step=0.01, tooltip=f"Size of a voxel along {axis} in µm.")
    box.native.setDecimals(4)
    box.native.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)  # which leave no space for the number
    box.native.setStyleSheet("QDoubleSpinBox { min-width: 40px; padding-left: 3px; padding-right: 3px; }")
    box.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # else the largest number widens it
    return box
