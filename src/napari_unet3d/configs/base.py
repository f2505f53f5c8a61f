"""What every settings model shares: how a field is declared, its bounds, its choices and its messages."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_unet3d.errors import UserError, explain_validation

T = TypeVar("T")

_UNITS = {"um": "(µm)", "degrees": "(°)"}

NUMBERS = "numbers"
"""Stands in `visible_if` for a value that is given in numbers where it could have been a word."""


def setting(  # noqa: PLR0913 - one argument per column of a form's row
    default: T,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    step: float | None = None,
    label: str | None = None,
    group: str | None = None,
    zero_text: str | None = None,
    initial: float | None = None,
    visible_if: Mapping[str, tuple[str, ...]] | None = None,
) -> T:
    """Declare a field: default, one sentence of description, bounds (both allowed), step and group of its form.

    Parameters
    ----------
    default : T
        The value without the user's doing.
    description : str
        One or two sentences in the words of the field, with the unit.
    minimum, maximum : float, optional
        Smallest and largest allowed value; for a tuple they hold for each element.
    step : float, optional
        The smallest difference that matters; it sets the decimals of the form's box.
    label : str, optional
        The words beside the box; without it the field's name with spaces.
    group : str, optional
        The heading of the folded part of the form; without it the field is always in view.
    zero_text : str, optional
        What the form's box shows for 0 when that stands for something else, such as ``auto`` or ``off``.
    initial : float, optional
        Where a word may be replaced by three numbers: what these are in the form when they are chosen.
    visible_if : mapping of str to tuple of str, optional
        Other settings and those of their choices with which this one has a meaning, such as
        ``{"task": ("semantic",)}``; `NUMBERS` stands for any number. The description says it, forms hide the row.
    """
    extra: dict[str, Any] = {
        "minimum": minimum,
        "maximum": maximum,
        "step": step,
        "label": label,
        "group": group,
        "zero_text": zero_text,
    }
    extra["initial"] = initial
    if visible_if:
        extra["visible_if"] = {name: list(choices) for name, choices in visible_if.items()}
        conditions = (f"{name.replace('_', ' ')} {' or '.join(choices)}" for name, choices in visible_if.items())
        description = f"{description} Only for {' and '.join(conditions)}."
    field: T = Field(default, description=description, json_schema_extra=extra)
    return field


class ChoiceEnum(StrEnum):
    """An enum whose value is what is written in files and commands, and which knows its words for a form."""

    @property
    def label(self) -> str:
        """The words for a menu, such as ``Dice + CE``."""
        return str(self.value).replace("-", " ").capitalize()


class Config(BaseModel):
    """Base of all settings: frozen, without unknown names, and with messages that a user understands.

    Raises
    ------
    UserError
        When a value has the wrong type, is out of its bounds, or the name is unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UserError(explain_validation(error)) from None

    @classmethod
    def is_relevant(cls, name: str, values: Mapping[str, Any]) -> bool:
        """Return whether a setting has a meaning beside the values of the others, as its declaration says.

        Parameters
        ----------
        name : str
            The setting.
        values : mapping of str to value
            The other settings; one that is missing forbids nothing.
        """
        extra = cls.model_fields[name].json_schema_extra
        conditions = extra.get("visible_if") if isinstance(extra, dict) else None
        if not isinstance(conditions, dict):
            return True
        given = {other: _word_of(values[other]) for other in conditions if other in values}
        return all(word in choices for other, word in given.items() if isinstance(choices := conditions[other], list))

    @classmethod
    def label_of(cls, name: str) -> str:
        """Return the words that stand beside a setting, with its unit, such as ``margin (µm)``."""
        extra = cls.model_fields[name].json_schema_extra
        label = extra.get("label") if isinstance(extra, dict) else None
        return str(label or " ".join(_UNITS.get(part, part) for part in name.split("_")))

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        for name, field in type(self).model_fields.items():
            extra = field.json_schema_extra
            if not isinstance(extra, dict):
                continue
            value = getattr(self, name)
            for element in value if isinstance(value, tuple) else (value,):
                if element is None or isinstance(element, str):  # such as auto among numbers
                    continue
                _check_between(name, element, extra.get("minimum"), extra.get("maximum"))
        return self


def _word_of(value: Any) -> str:
    only = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    return str(only) if isinstance(only, str) else NUMBERS


def _check_between(name: str, value: Any, minimum: Any, maximum: Any) -> None:
    if (minimum is not None and not value >= minimum) or (maximum is not None and not value <= maximum):
        bounds = f"from {minimum:g} to {maximum:g}" if None not in (minimum, maximum) else f"of at least {minimum:g}"
        raise ValueError(f"The setting '{name}' is {value:g}; choose a value {bounds}")
