"""A line with a voxel size, with a warning where it is unknown, and boxes to set it: the base for layers and files."""

from __future__ import annotations

from abc import abstractmethod

from magicgui.widgets import FloatSpinBox, Label
from qtpy.QtWidgets import QSizePolicy

from napari_unet3d.data.geometry import VoxelSize
from napari_unet3d.widgets.components.containers import Panel, button, row, wrapping_label
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.style import style_without_buttons

_KNOWN, _UNKNOWN = "", "QLabel { background-color: #6b4e00; color: white; border-radius: 3px; padding: 3px; }"


class VoxelSizeEditor(Panel):
    """A voxel size as text, and boxes to set it.

    Parameters
    ----------
    context : Context
        The viewer, its jobs and the message line.
    set_tooltip, undo_tooltip : str
        What setting it changes, and what is restored.

    Attributes
    ----------
    text : Label
        The voxel size, and what follows where it is not known.
    set_button, apply_button, undo_button : PushButton
        Open the boxes; set what they hold; restore what was before.
    boxes : tuple of FloatSpinBox
        The voxel size along z, y, x in µm.
    """

    def __init__(self, context: Context, set_tooltip: str, undo_tooltip: str) -> None:
        super().__init__(spacing=4)
        self._context = context
        self.text = wrapping_label()
        self.set_button = button("Set…", set_tooltip, self.open_boxes)
        self.undo_button = button("Undo", undo_tooltip, self.undo)
        self.apply_button = button("Apply", set_tooltip, self.apply)
        self.boxes = tuple(_box(axis) for axis in "zyx")
        self._boxes_row = row(Label(value="z, y, x in µm"), *self.boxes, self.apply_button, wide=(1, 2, 3), spacing=4)
        self.lay_out(row(self.text, self.set_button, self.undo_button, wide=(0,), spacing=4), self._boxes_row)
        self._boxes_row.visible = False

    def open_boxes(self) -> None:
        """Show the boxes for a voxel size, or hide them."""
        with self._context.message.explaining():
            offered = self._size_to_offer()
            if self._boxes_row.visible or offered is None:
                self.close_boxes()
                return
            for box, size in zip(self.boxes, offered, strict=True):
                box.value = size
            self._boxes_row.visible = True

    def close_boxes(self) -> None:
        """Hide the boxes."""
        self._boxes_row.visible = False

    def apply(self) -> None:
        """Set the voxel size in the boxes."""
        with self._context.message.explaining():
            z, y, x = (float(box.value) for box in self.boxes)
            message = self._set((z, y, x))
            self.close_boxes()
            self._context.message.show_message(message)

    @abstractmethod
    def undo(self) -> None:
        """Restore what was before the last voxel size was set."""

    @abstractmethod
    def _size_to_offer(self) -> VoxelSize | None:
        """Return what the boxes begin with; None while there is nothing to set."""

    @abstractmethod
    def _set(self, voxel_size_um: VoxelSize) -> str:
        """Set the voxel size and return a message that says for what."""

    def _show(self, text: str, *, is_known: bool, can_undo: bool) -> None:
        self.text.value = text
        self.text.native.setStyleSheet(_KNOWN if is_known else _UNKNOWN)
        self.undo_button.visible = can_undo


def _box(axis: str) -> FloatSpinBox:
    box = FloatSpinBox(value=1.0, min=0.0001, max=1e6, step=0.01, tooltip=f"Size of a voxel along {axis} in µm.")
    box.native.setDecimals(4)
    style = "QDoubleSpinBox { min-width: 40px; padding-left: 3px; padding-right: 3px; }"
    style_without_buttons(box.native, style)  # which leave no space for the number
    box.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # else the largest number widens it
    return box
