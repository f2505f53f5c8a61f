"""The panel that edits objects: merge, split, delete, fill, smooth, separate, renumber, undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import FloatSpinBox, PushButton

from napari_unet3d.data.object_edits import ObjectEdit
from napari_unet3d.formatting import format_count
from napari_unet3d.session.object_labels import ObjectLabels
from napari_unet3d.session.proofreading import ProofreadingSession
from napari_unet3d.widgets.components.containers import Panel, button, row, wrapping_label
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.forms.choices import remembered
from napari_unet3d.widgets.objects.mouse import ObjectMouse, Tool
from napari_unet3d.widgets.objects.object_layers import ObjectLayers

_MOST_NAMES = 6


class EditPanel(Panel):
    """Edits the selected objects; each edit is one step that Undo, or Ctrl-Z in the layer, takes back.

    Parameters
    ----------
    session : ProofreadingSession
        What is proofread.
    context : Context
        The message line.
    layers : ObjectLayers
        The layer that is edited.
    mouse : ObjectMouse
        What a click in the view does.

    Attributes
    ----------
    merge_button, delete_button, points_button, split_button, cut_button, fill_button, smooth_button : PushButton
    separate_button, largest_button, renumber_button, undo_button, redo_button : PushButton
        What can be done.
    radius : FloatSpinBox
        How much is smoothed, in µm, or in voxels where the voxel size is unknown.
    selected : Label
        Which objects are selected.
    keys : dict of str to (str, callable)
        Keys to bind, what they do, and the action.
    """

    def __init__(
        self, session: ProofreadingSession, context: Context, layers: ObjectLayers, mouse: ObjectMouse
    ) -> None:
        super().__init__()
        self._session, self._context, self._layers, self._mouse = session, context, layers, mouse
        self.keys: dict[str, tuple[str, Callable[[], None]]] = {}
        self.selected = wrapping_label()
        self._make_buttons()
        tooltip = "Bumps and dents up to about this size vanish, in µm, or in voxels where the voxel size is unknown."
        self.radius = FloatSpinBox(value=1.0, min=0.01, max=1e4, step=0.1, tooltip=tooltip)
        self.radius.native.setDecimals(2)
        remembered(self.radius, "objects-smooth")
        self.lay_out(
            self.selected,
            row(self.merge_button, self.delete_button),
            row(self.points_button, self.split_button, self.cut_button),
            row(self.fill_button, self.separate_button, self.largest_button),
            row(self.smooth_button, self.radius),
            row(self.renumber_button, self.undo_button, self.redo_button),
        )
        events = session.events
        events.selection.connect(self._refresh)
        events.points.connect(self._refresh)
        events.opened.connect(self._on_opened)
        self._refresh()

    def _make_buttons(self) -> None:
        session, make = self._session, self._button
        self.merge_button = make(
            "Merge", "Shift-M", "Make one object of the selected ones, with the number of the first.", session.merge
        )
        self.delete_button = make(
            "Delete", "Shift-D", "Delete the selected objects: their voxels become background.", session.delete
        )
        self.points_button = make(
            "Set points",
            "Shift-T",
            "Click once into each part of an object that is to be split, in slices or in 3D; then press Split. Press "
            "again to stop, which clears the points.",
            lambda: self._use(Tool.POINTS),
        )
        self.split_button = make(
            "Split",
            "Shift-S",
            "Split the object at its narrowest places between the points.",
            lambda: self._finish(session.split()),
        )
        self.cut_button = make(
            "Cut",
            "Shift-C",
            "Drag a line across an object: it is cut along the line, straight into the depth of the view. Press again "
            "to stop.",
            lambda: self._use(Tool.CUT),
        )
        self.fill_button = make(
            "Fill holes",
            "Shift-F",
            "Fill background that the selected objects enclose on all sides; other objects in it stay.",
            session.fill_holes,
        )
        self.separate_button = make(
            "Separate",
            "Shift-I",
            "Make each piece of the selected objects that is not connected an object of its own.",
            session.separate,
        )
        self.largest_button = make(
            "Largest piece",
            "Shift-H",
            "Keep only the largest piece of each selected object, and delete the others.",
            session.keep_largest,
        )
        self.smooth_button = make(
            "Smooth",
            "Shift-O",
            "Smooth the surface of the selected objects; they grow into background only.",
            lambda: session.smooth(self.radius.value),
        )
        self.renumber_button = make(
            "Renumber", "Shift-N", "Number all objects of the layer 1, 2, 3, … without gaps.", session.renumber
        )
        self.undo_button = button(
            "Undo", "Undo the last edit or stroke of the layer: Ctrl-Z while the layer is active.", self.undo
        )
        self.redo_button = button("Redo", "Redo what was undone: Ctrl-Shift-Z while the layer is active.", self.redo)

    def _button(self, text: str, key: str, tooltip: str, action: Callable[[], ObjectEdit | None]) -> PushButton:
        def act() -> None:
            with self._context.message.explaining():
                edit = action()
                if edit is not None:
                    self._context.message.show_message(edit.message)

        made = button(text, f"<qt>{tooltip} Key: {key}, after a click into the image.</qt>", act)
        self.keys[key] = text, made.native.click
        return made

    def undo(self) -> None:
        """Undo the last step of the layer."""
        self._step("undo")

    def redo(self) -> None:
        """Redo the step of the layer that was undone last."""
        self._step("redo")

    def _step(self, name: str) -> None:
        layer = self._layers.layer
        with self._context.message.explaining():
            if layer is not None:
                getattr(layer, name)()
                self._session.notice_change()

    def _use(self, tool: Tool) -> None:
        """Choose what a click does, or select with it again."""
        was, self._mouse.tool = self._mouse.tool, Tool.SELECT
        if was is Tool.POINTS:
            self._session.clear_points()
        if was is not tool:
            self._mouse.tool = tool
            self._context.message.show_message(
                "Click once into each part of the object that is to be split, then press Split."
                if tool is Tool.POINTS
                else "Drag a line right across the object, from background to background."
            )
        self._refresh()

    def _finish(self, edit: ObjectEdit) -> ObjectEdit:
        self._mouse.tool = Tool.SELECT
        self._refresh()
        return edit

    def _on_opened(self, labels: ObjectLabels | None) -> None:
        self._mouse.tool = Tool.SELECT
        if labels is not None:
            self.radius.native.setSuffix(f" {labels.geometry.unit}")
        self._refresh()

    def _refresh(self, *_: Any) -> None:
        """Update texts and buttons."""
        is_open, chosen = self._session.labels is not None, self._session.selection
        for each in (
            *(self.merge_button, self.delete_button, self.fill_button, self.separate_button, self.largest_button),
            self.smooth_button,
        ):
            each.enabled = is_open and bool(chosen)
        for each in (self.points_button, self.cut_button, self.renumber_button, self.undo_button, self.redo_button):
            each.enabled = is_open
        self.split_button.enabled = len(self._session.points) > 1
        self.points_button.text = "Stop points" if self._mouse.tool is Tool.POINTS else "Set points"
        self.cut_button.text = "Stop cutting" if self._mouse.tool is Tool.CUT else "Cut"
        names = ", ".join(map(str, chosen[:_MOST_NAMES])) + (", …" if len(chosen) > _MOST_NAMES else "")
        if not chosen:
            self.selected.value = "Click an object in the view; with Ctrl, several."
        else:
            self.selected.value = (
                f"Selected: {names} ({format_count(len(chosen), 'object')})"
                if len(chosen) > 1
                else (f"Selected: {names}")
            )
        if self._session.points:
            self.selected.value = f"{self.selected.value} · {format_count(len(self._session.points), 'point')}"
