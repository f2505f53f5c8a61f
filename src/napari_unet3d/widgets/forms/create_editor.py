"""Which box a setting gets: whole and decimal numbers, choices, switches, text, and tuples of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, get_args, get_origin

from magicgui.widgets import CheckBox, LineEdit
from qtpy.QtWidgets import QAbstractSpinBox

from napari_unet3d.widgets.forms.editors import ChoiceEditor, FieldEditor, FloatEditor, IntEditor
from napari_unet3d.widgets.forms.optional_int import OptionalIntEditor
from napari_unet3d.widgets.forms.tuple_editors import CheckListEditor, ListEditor, ModeOrTripleEditor, RowEditor


def create_editor(annotation: Any, bounds: Mapping[str, Any]) -> FieldEditor:
    """Make the box for one setting.

    Parameters
    ----------
    annotation : type
        `bool`, `int`, `int | None`, `float`, `str`, an enum, a tuple of fixed length of numbers, or a tuple of any length of
        members of an enum, of texts, of numbers, or of either one member of an enum or three numbers.
    bounds : mapping
        ``minimum``, ``maximum``, ``step``, ``zero_text`` and ``initial`` as in `napari_unet3d.configs.setting`;
        each may be missing or None.

    Raises
    ------
    TypeError
        For any other type.
    """
    if get_origin(annotation) is tuple:
        elements = get_args(annotation)
        if elements[-1] is Ellipsis:
            return _list_box(elements[0], bounds)
        return RowEditor([create_editor(element, bounds) for element in elements])
    if annotation is bool:
        return _of_magicgui(CheckBox())
    if annotation is float:
        return _zero_in_words(FloatEditor(bounds.get("minimum"), bounds.get("maximum"), bounds.get("step")), bounds)
    if annotation is int:
        return _zero_in_words(IntEditor(bounds.get("minimum"), bounds.get("maximum")), bounds)
    if annotation == int | None:
        return OptionalIntEditor(bounds.get("minimum"), bounds.get("maximum"))
    if annotation is str:
        return _of_magicgui(LineEdit())
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ChoiceEditor(tuple(annotation))
    raise TypeError(f"There is no box for settings of type {annotation}")


def _list_box(element: Any, bounds: Mapping[str, Any]) -> FieldEditor:
    if get_origin(element) is not None:  # a mode or three numbers
        modes, number = get_args(element)
        box = ModeOrTripleEditor(tuple(modes), [create_editor(number, bounds) for _ in range(3)])
        if bounds.get("initial") is not None:
            box.numbers = (bounds["initial"],) * 3
        return box
    return ListEditor(element) if element in (str, float) else CheckListEditor(tuple(element))


def _zero_in_words(box: FieldEditor, bounds: Mapping[str, Any]) -> FieldEditor:
    if isinstance(words := bounds.get("zero_text"), str) and isinstance(box.native, QAbstractSpinBox):
        box.native.setSpecialValueText(words)  # Qt shows it for the lowest value, which is 0
    return box


def _of_magicgui(box: Any) -> FieldEditor:
    return box  # type: ignore[no-any-return]  # its types are wider than those of `Box`
