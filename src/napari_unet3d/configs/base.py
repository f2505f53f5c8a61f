"""What all settings models share: how a field is declared, its bounds, its choices and its error messages."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from napari_unet3d.errors import UserError, explain_validation

T = TypeVar("T")

_UNITS = {"um": "(µm)", "degrees": "(°)"}

NUMBERS = "numbers"
"""Stands in `visible_if` for numbers where a setting takes a mode or numbers."""


def setting(  # noqa: PLR0913 - one argument per property of a widget
    default: T,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    step: float | None = None,
    label: str | None = None,
    group: str | None = None,
    zero_text: str | None = None,
    none_text: str | None = None,
    initial: float | None = None,
    visible_if: Mapping[str, tuple[str, ...]] | None = None,
) -> T:
    """Declare a field of a settings model, with what its widget needs.

    Parameters
    ----------
    default : T
        The default value.
    description : str
        One or two sentences in standard terms, with the unit.
    minimum, maximum : float, optional
        Smallest and largest allowed value; of a tuple, those of each element.
    step : float, optional
        The smallest useful difference; it determines the decimals of the widget.
    label : str, optional
        The label of the widget; without it, the name of the field with spaces.
    group : str, optional
        The title of the collapsible section; without it, the field is always visible.
    zero_text : str, optional
        What the widget shows for 0 when that has a special meaning, such as ``auto`` or ``off``.
    none_text : str, optional
        What the widget shows for None, such as ``auto``; without it, ``none``.
    initial : float, optional
        For a mode or numbers, or a number or None: what the widget starts with when the user chooses numbers.
    visible_if : mapping of str to tuple of str, optional
        Other settings, and the values of them for which this one is relevant, such as ``{"task": ("semantic",)}``;
        `NUMBERS` stands for any number. It is added to the description, and forms hide the row otherwise.

    Examples
    --------
    >>> class Filter(Config):
    ...     sigma_um: float = setting(1.0, "Standard deviation in µm.", minimum=0, maximum=100)
    >>> Filter(sigma_um=2).sigma_um
    2.0
    >>> Filter(sigma_um=-1)
    Traceback (most recent call last):
    napari_unet3d.errors.UserError: The setting 'sigma_um' is -1; choose a value from 0 to 100.
    >>> Filter.label_of("sigma_um")
    'sigma (µm)'
    """
    extra: dict[str, Any] = {
        "minimum": minimum,
        "maximum": maximum,
        "step": step,
        "label": label,
        "group": group,
        "zero_text": zero_text,
        "none_text": none_text,
    }
    extra["initial"] = initial
    if visible_if:
        extra["visible_if"] = {name: list(choices) for name, choices in visible_if.items()}
        conditions = (f"{name.replace('_', ' ')} {' or '.join(choices)}" for name, choices in visible_if.items())
        description = f"{description} Only for {' and '.join(conditions)}."
    field: T = Field(default, description=description, json_schema_extra=extra)
    return field


class ChoiceEnum(StrEnum):
    """An enum whose values are written in files and commands, and whose labels are shown in menus."""

    @property
    def label(self) -> str:
        """The text in menus, such as ``Dice + CE``."""
        return str(self.value).replace("-", " ").capitalize()


class LabelledEnum(ChoiceEnum):
    """An enum whose members are pairs of a value and its label."""

    menu_label: str

    def __new__(cls, value: str, menu_label: str) -> Self:
        """Make a member from its value and its label."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.menu_label = menu_label
        return member

    @property
    def label(self) -> str:
        """The label in menus."""
        return self.menu_label


class Config(BaseModel):
    """Base class of all settings: frozen, without unknown names, and with error messages for users.

    Raises
    ------
    UserError
        If a value has the wrong type or is out of bounds, or a name is unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, /, **values: Any) -> None:  # a name in a file may be "self"
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UserError(explain_validation(error)) from None

    @classmethod
    def is_relevant(cls, name: str, values: Mapping[str, Any]) -> bool:
        """Return whether a setting is relevant given the values of others, by the `visible_if` of its declaration.

        Parameters
        ----------
        name : str
            The setting.
        values : mapping of str to value
            Values of other settings; missing ones are not checked.
        """
        extra = cls.model_fields[name].json_schema_extra
        conditions = extra.get("visible_if") if isinstance(extra, dict) else None
        if not isinstance(conditions, dict):
            return True
        given = {other: _mode_of(values[other]) for other in conditions if other in values}
        return all(mode in choices for other, mode in given.items() if isinstance(choices := conditions[other], list))

    @classmethod
    def label_of(cls, name: str) -> str:
        """Return the label of a setting with its unit, such as ``blur (µm)``."""
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


def _mode_of(value: Any) -> str:
    only = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    return str(only) if isinstance(only, str) else NUMBERS


def _check_between(name: str, value: Any, minimum: Any, maximum: Any) -> None:
    if (minimum is not None and not value >= minimum) or (maximum is not None and not value <= maximum):
        bounds = f"from {minimum:g} to {maximum:g}" if None not in (minimum, maximum) else f"of at least {minimum:g}"
        raise ValueError(f"The setting '{name}' is {value:g}; choose a value {bounds}")


def as_tuple(value: Any) -> Any:
    """Return a single value as a tuple of one, so that ``patch="auto"`` can be written."""
    return (value,) if isinstance(value, str | int | float) else value


def as_names(value: Any) -> Any:
    """Return names or numbers, or a single one, as a tuple of text.

    >>> as_names([1, "dapi"]), as_names("dapi")
    (('1', 'dapi'), ('dapi',))
    """
    values = as_tuple(value)
    if not isinstance(values, list | tuple):
        return value
    return tuple(str(each) if isinstance(each, int) and not isinstance(each, bool) else each for each in values)


def _check_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names) or not all(map(str.strip, names)):
        raise ValueError(f"The channels are {', '.join(names)!r}; give each of them once, by its name or its number")
    if lists := [name for name in names if name.lstrip().startswith(("[", "{"))]:
        # The command would read it as a list or as JSON.
        raise ValueError(f"The channel {lists[0]!r} begins with a bracket; choose it by its number")
    return names


Channels = Annotated[tuple[str, ...], BeforeValidator(as_names), AfterValidator(_check_names)]
"""Channels of an image by names, or by numbers counted from 1."""


def mode_or_triple(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Validate one mode, or one or three numbers; one number is used for all axes.

    >>> mode_or_triple((32,))
    (32, 32, 32)
    """
    numbers = [element for element in value if not isinstance(element, str)]
    if len(value) == 1:
        return value * 3 if numbers else value
    if len(value) != 3 or len(numbers) != 3:
        raise ValueError("write one mode, or three numbers for z, y and x")
    return value
