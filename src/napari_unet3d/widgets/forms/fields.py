"""Which widget of magicgui a setting gets, by its type and its declaration."""

from __future__ import annotations

from collections.abc import Mapping
from enum import EnumType
from types import GenericAlias, NoneType
from typing import Any, get_args, get_origin

from magicgui.widgets import create_widget

from napari_unet3d.configs import Config
from napari_unet3d.widgets.forms.choices import CheckList, ListLine, WordOrNumbers
from napari_unet3d.widgets.forms.numbers import NumberEdit


def create_field(config_class: type[Config], name: str) -> Any:
    """Return the widget for a setting: `magicgui.widgets.create_widget` with what its declaration says.

    Parameters
    ----------
    config_class : type of Config
        The model.
    name : str
        The field: a `bool`, `int`, `float`, `str`, an enum, ``int | None``, a tuple of numbers of fixed length, or a
        tuple of any length of members of an enum, of texts, of numbers, or of one member of an enum or three numbers.
    """
    field, label = config_class.model_fields[name], config_class.label_of(name)
    declared = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    tooltip = f"<qt>{field.description}</qt>"  # rich text: Qt wraps it, plain text runs off the screen
    options = {"tooltip": tooltip, **_options(field.annotation, declared)}
    return create_widget(annotation=field.annotation, name=name, label=label[0].upper() + label[1:], options=options)


def _options(annotation: Any, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the widget; magicgui chooses it by the type, unless they name a ``widget_type``."""
    if annotation in (int, float):
        bounds = {"min": declared.get("minimum"), "max": declared.get("maximum")}
        options = {key: declared.get(key) for key in ("step", "zero_text")}
        return {"widget_type": NumberEdit, **options, **{key: each for key, each in bounds.items() if each is not None}}
    elements = get_args(annotation)
    if NoneType in elements:
        number = create_widget(annotation=elements[0], options=_options(elements[0], declared))
        return {"widget_type": WordOrNumbers, "words": [("none", None)], "last": "value", "editor": number}
    if get_origin(annotation) is not tuple:
        return {}
    if elements[-1] is not Ellipsis:
        return {"options": {**_options(elements[0], declared), "compact": True}}
    return _options_of_list(elements[0], declared)


def _options_of_list(element: Any, declared: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(element, EnumType):
        return {"widget_type": CheckList, "members": tuple(element)}
    if not get_args(element):
        return {"widget_type": ListLine, "element": element}
    modes, number = get_args(element)  # one of the modes, or three numbers
    triple = GenericAlias(tuple, (number,) * 3)
    editor: Any = create_widget(annotation=triple, options=_options(triple, declared))
    if declared.get("initial") is not None:
        editor.value = (declared["initial"],) * 3
    words = [(mode.label, (mode,)) for mode in modes]
    return {"widget_type": WordOrNumbers, "words": words, "last": "z y x", "editor": editor}
