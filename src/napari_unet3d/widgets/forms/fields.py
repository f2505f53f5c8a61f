"""Which widget of magicgui a setting gets, by its type and its declaration."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import GenericAlias, NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from magicgui.widgets import create_widget

from napari_unet3d.configs import Config
from napari_unet3d.widgets.forms.choices import CheckList, ListLine, WordOrNumbers
from napari_unet3d.widgets.forms.numbers import FloatEdit, IntEdit


def create_field(config_class: type[Config], name: str) -> Any:
    """Return the widget for a setting.

    Parameters
    ----------
    config_class : type of Config
        The model.
    name : str
        The field: a `bool`, `int`, `float`, `str`, an enum, ``int | None``, a tuple of numbers of fixed length, or a
        tuple of any length of members of an enum, of texts, of numbers, or of either one member of an enum or three
        numbers.

    Raises
    ------
    ValueError
        For a field of any other type.
    """
    field, label = config_class.model_fields[name], config_class.label_of(name)
    declared = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    options = _options(field.annotation, declared)
    options["tooltip"] = f"<qt>{field.description}</qt>"  # rich text: Qt wraps it, plain text runs off the screen
    return create_widget(annotation=field.annotation, name=name, label=label[0].upper() + label[1:], options=options)


def _options(annotation: Any, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the widget; magicgui chooses it by the type, unless they name a ``widget_type``."""
    if annotation in (int, float):
        bounds = {"min": declared.get("low"), "max": declared.get("high"), "zero_text": declared.get("zero")}
        if annotation is float:
            bounds["step"] = declared.get("step")
        given = {key: value for key, value in bounds.items() if value is not None}
        return {"widget_type": IntEdit if annotation is int else FloatEdit, **given}
    elements = get_args(annotation)
    if get_origin(annotation) in (Union, UnionType) and NoneType in elements:
        (kind,) = (each for each in elements if each is not NoneType)
        editor = create_widget(annotation=kind, options=_options(kind, declared))
        return {"widget_type": WordOrNumbers, "words": [("none", None)], "last": "value", "editor": editor}
    if get_origin(annotation) is not tuple:
        return {}
    if elements[-1] is not Ellipsis:
        return {"options": {**_options(elements[0], declared), "compact": True}}
    return _options_of_list(elements[0], declared)


def _options_of_list(element: Any, declared: Mapping[str, Any]) -> dict[str, Any]:
    if get_origin(element) in (Union, UnionType):
        modes, number = get_args(element)
        options = {"options": {**_options(number, declared), "compact": True}}
        numbers: Any = create_widget(annotation=GenericAlias(tuple, (number,) * 3), options=options)
        if declared.get("first") is not None:
            numbers.value = (declared["first"],) * 3
        words = [(mode.label, (mode,)) for mode in modes]
        return {"widget_type": WordOrNumbers, "words": words, "last": "z y x", "editor": numbers}
    if isinstance(element, type) and issubclass(element, Enum):
        return {"widget_type": CheckList, "members": tuple(element)}
    return {"widget_type": ListLine, "element": element}
