"""The brushes of an annotation: background, classes and eraser, with how much each has painted."""

from __future__ import annotations

from functools import partial
from typing import Any

from magicgui.widgets import CheckBox, LineEdit
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QLabel, QRadioButton, QWidget

from napari_unet3d.errors import UserError
from napari_unet3d.session.annotation_classes import BACKGROUND, FIRST_CLASS, AnnotationClasses
from napari_unet3d.session.annotation_progress import AnnotationProgress, describe_progress
from napari_unet3d.widgets.annotate.annotation_link import ERASER, AnnotationLink
from napari_unet3d.widgets.components.containers import Panel, button, column, row, wrapping_label
from napari_unet3d.widgets.components.context import Context
from napari_unet3d.widgets.components.keys import bind_key
from napari_unet3d.widgets.forms.numbers import NumberEdit
from napari_unet3d.widgets.viewer.annotation_layers import class_colours
from napari_unet3d.widgets.viewer.connections import connect_while_alive

BACKGROUND_KEY, CLASS_KEY = "Shift-B", "Shift-E"
_SWATCH = 14
_LARGEST_BRUSH = 500


class BrushPanel(Panel):
    """Radio buttons to choose what is painted, the names of the classes, and the size of the brush.

    Parameters
    ----------
    link : AnnotationLink
        The layer that is painted.
    context : Context
        The viewer.

    Attributes
    ----------
    buttons : dict of int to QRadioButton
        The button of each label value, and that of the eraser.
    class_name : LineEdit
        The name of the chosen class.
    size : NumberEdit
        Diameter of the brush in voxels.
    is_3d : CheckBox
        Whether the brush paints a ball instead of a disk.
    progress : Label
        How many slices are annotated, and what is missing.
    """

    def __init__(self, link: AnnotationLink, context: Context) -> None:
        super().__init__()
        self._link, self._context = link, context
        self.buttons: dict[int, QRadioButton] = {}
        self._counts: dict[int, QLabel] = {}
        self._brush_list = QWidget()
        self._group = QButtonGroup(self._brush_list)
        self._make_controls()
        self.progress = wrapping_label()
        self.lay_out(
            self._brush_list,
            row(column(self.class_name, labels=True), self.add_button, wide=(0,)),
            row(column(self.size, labels=True), self.is_3d, wide=(1,)),
            self.progress,
        )
        link.layer_changed.connect(self._on_layer)
        link.brush_changed.connect(self._show_brush)
        connect_while_alive(self.native, context.viewer.dims.events.order, self._show_progress)
        bind_key(context, BACKGROUND_KEY, "Paint background", partial(link.choose_brush, BACKGROUND))
        bind_key(context, CLASS_KEY, "Paint the object, then the next class", self.next_class)
        self._show_classes(AnnotationClasses())
        self._on_layer()

    def next_class(self) -> None:
        """Paint the first class; when a class is painted already, the next one."""
        if self._link.session is None:
            return
        values = list(self._link.session.classes.values)[1:]
        at = values.index(self._link.brush) + 1 if self._link.brush in values else 0
        self._link.choose_brush(values[at % len(values)])

    def add_class(self) -> None:
        """Add a class, and choose it; its name can be changed then."""
        with self._context.message.explaining():
            if (session := self._link.session) is not None:
                session.classes = session.classes.add(session.classes.unused_name())
                self._link.choose_brush(max(session.classes.values))
                self.class_name.native.setFocus()
                self.class_name.native.selectAll()

    def _rename(self) -> None:
        session, value = self._link.session, self._link.brush
        if session is None or value is None or value < FIRST_CLASS or value not in session.classes.values:
            return
        with self._context.message.explaining():
            try:
                session.classes = session.classes.rename(value, self.class_name.value)
            except UserError:
                self.class_name.value = session.classes.values[value]
                raise

    def _make_controls(self) -> None:
        self.class_name = LineEdit(label="Name", tooltip="The name of the chosen class; press Enter to change it.")
        self.class_name.native.editingFinished.connect(self._rename)
        self.add_button = button(
            "Add class", "Annotate one more kind of structure, with a colour of its own.", self.add_class
        )
        self.size = NumberEdit(
            annotation=int,
            min=1,
            max=_LARGEST_BRUSH,
            value=10,
            label="Brush size",
            tooltip="Diameter of the brush in voxels. Keys: [ and ], after a click into the image.",
        )
        self.size.native.setSuffix(" voxels")
        self.is_3d = CheckBox(text="3D brush", tooltip="Paint a ball through several slices instead of a disk in one.")
        self.size.changed.connect(self._set_size)
        self.is_3d.changed.connect(self._set_3d)

    def _set_size(self, size: int) -> None:
        if self._link.layer is not None and self._link.layer.brush_size != size:
            self._link.layer.brush_size = size

    def _set_3d(self, is_3d: bool) -> None:
        if self._link.layer is not None:
            self._link.layer.n_edit_dimensions = 3 if is_3d else 2

    def _on_layer(self) -> None:
        if (session := self._link.session) is not None:
            session.events.classes.connect(self._show_classes)
            session.events.progress.connect(self._show_progress)
            self._show_classes(session.classes)
        self._show_brush()

    def _show_classes(self, classes: AnnotationClasses) -> None:
        """Make a button for each class, anew when their number has changed."""
        names = {**classes.values, ERASER: "Eraser"}
        if list(names) != list(self.buttons):
            self._make_buttons(names)
        colours = class_colours(classes)
        for value, made in self.buttons.items():
            made.setText(names[value])
            made.setAccessibleName(f"Brush: {names[value]}")
            made.setToolTip(_tooltip(value, names[value]))
            made.setIcon(_swatch(colours.get(value)))
        self._show_progress()
        self._show_brush()

    def _make_buttons(self, names: dict[int, str]) -> None:
        for widget in (*self.buttons.values(), *self._counts.values()):
            widget.hide()
            widget.deleteLater()
        old = self._brush_list.layout()
        grid = old if isinstance(old, QGridLayout) else QGridLayout(self._brush_list)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(0, 1)
        self.buttons, self._counts = {}, {}
        for line, value in enumerate(names):
            self.buttons[value] = made = QRadioButton()
            made.clicked.connect(partial(self._on_clicked, value))
            self._group.addButton(made)
            self._counts[value] = QLabel()
            grid.addWidget(made, line, 0)
            grid.addWidget(self._counts[value], line, 1, Qt.AlignmentFlag.AlignRight)

    def _on_clicked(self, value: int, _checked: bool = True) -> None:
        self._link.choose_brush(value)

    def _show_brush(self) -> None:
        """Show the brush and its size as they are in napari's own controls."""
        layer, session, brush = self._link.layer, self._link.session, self._link.brush
        self._group.setExclusive(False)  # so that none may be chosen
        for value, made in self.buttons.items():
            made.setChecked(value == brush)
        self._group.setExclusive(True)
        has_name = session is not None and brush is not None and brush >= FIRST_CLASS
        self.class_name.enabled = has_name
        self.class_name.value = (
            session.classes.values.get(brush, "") if session is not None and brush is not None else ""
        )
        if layer is not None:
            self.size.value = min(_LARGEST_BRUSH, max(1, round(layer.brush_size)))
            self.is_3d.value = layer.n_edit_dimensions == 3

    def _show_progress(self, _: Any = None) -> None:
        if (session := self._link.session) is None:
            return
        progress: AnnotationProgress = session.progress
        for value, label in self._counts.items():
            label.setText("" if value == ERASER else progress.describe(value))
        self.progress.value = describe_progress(progress, session.classes, self._link.view_axis())


def _tooltip(value: int, name: str) -> str:
    if value == ERASER:
        return "Make voxels not annotated again. Key: 1, after a click into the image."
    if value == BACKGROUND:
        return f"Paint what is none of the classes. Key: {BACKGROUND_KEY}, after a click into the image."
    return f"Paint '{name}'. Key: {CLASS_KEY} chooses the classes in turn, after a click into the image."


def _swatch(colour: str | None) -> QIcon:
    """Return a small square of a colour; empty for the eraser."""
    pixmap = QPixmap(_SWATCH, _SWATCH)
    pixmap.fill(QColor(colour) if colour else QColor(0, 0, 0, 0))
    painter = QPainter(pixmap)
    painter.setPen(QColor(128, 128, 128))
    painter.drawRect(0, 0, _SWATCH - 1, _SWATCH - 1)
    painter.end()
    return QIcon(pixmap)
