"""The voxel size of a layer that a dock works on: shown, with a warning where it is unknown, and set."""

from __future__ import annotations

from typing import Any

from napari.layers import Layer

from napari_unet3d.data.geometry import Geometry, VoxelSize, describe_voxel_size
from napari_unet3d.errors import UserError
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.voxel_size_editor import VoxelSizeEditor
from napari_unet3d.widgets.viewer.connections import connect_while_alive
from napari_unet3d.widgets.viewer.places import geometry_of
from napari_unet3d.widgets.viewer.voxel_size import ScaledLayer, layers_on, set_voxel_size, voxel_size_to_offer

_SET_TOOLTIP = (
    "<qt>Set the voxel size of this layer and of those that lie on it: their scale, with the unit µm. The file that it "
    "was read from stays as it is; results, and volumes that are added to a dataset, are written with it.</qt>"
)


class VoxelSizeRow(VoxelSizeEditor):
    """The voxel size of the layer that is chosen in a menu; hidden while none is.

    Parameters
    ----------
    context : Context
        The viewer and the message line.
    menu : ComboBox
        The menu of layers.
    """

    def __init__(self, context: Context, menu: Any) -> None:
        super().__init__(context, _SET_TOOLTIP, "Restore the voxel size that the layers had before.")
        self._menu = menu
        self._layer: Layer | None = None
        self._before: list[list[ScaledLayer]] = []
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
        is_known = geometry.is_calibrated
        self._show(describe_known_size(geometry), is_known=is_known, can_undo=bool(self._before))

    def undo(self) -> None:
        """Restore the voxel size that the layers had before the last one was set."""
        for each in self._before.pop() if self._before else []:
            each.restore()
        self._show_again()

    def _size_to_offer(self) -> VoxelSize | None:
        return None if self._layer is None else voxel_size_to_offer(self._layer)

    def _set(self, voxel_size_um: VoxelSize) -> str:
        """Set the voxel size of the layer and of those that lie on it."""
        if self._layer is None:
            raise UserError("No layer is chosen; choose the one whose voxel size is to be set.")
        layers = layers_on(self._context.viewer, self._layer)
        self._before.append(set_voxel_size(layers, voxel_size_um))
        self._show_again()
        names = ", ".join(f"'{layer.name}'" for layer in layers)
        return f"The voxel size is set for {names}."

    def _show_again(self) -> None:
        self._context.viewer.reset_view()  # what was in view is larger or smaller now
        self.refresh()

    def _follow(self, layer: Layer | None) -> None:
        self._forget_layer()
        self._layer, self._before = layer, []
        self.close_boxes()
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
