"""Events of a training as lines of JSON, for following it from another process.

A line is a JSON object with the name of the event in ``event`` and its fields. Numbers that JSON does not have are the
strings NaN, Infinity and -Infinity. Reading a line does not execute code.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter

from napari_unet3d.training.events import PreflightEvent, TrainEvent


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The last event of a run that failed; `message` says what is wrong and what the user can do."""

    message: str


RunEvent = TrainEvent | PreflightEvent | RunFailed

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(RunEvent)}


def dump(event: RunEvent) -> str:
    """Return an event as one line, without the newline; `load` returns an equal event.

    Raises
    ------
    KeyError
        If it is not an event of a run.
    """
    return json.dumps(fields_of(event), allow_nan=False)


def fields_of(event: RunEvent) -> dict[str, Any]:
    """Return an event as an object of JSON, with its name; raises as `dump`."""
    name = type(event).__name__
    fields: dict[str, Any] = _strict({"event": name, **_adapter(name).dump_python(event, mode="json")})
    return fields


def load(line: str) -> RunEvent:
    """Read an event that `dump` has written.

    Raises
    ------
    ValueError
        If the line is not an event of a run.
    """
    try:
        return event_of(json.loads(line))
    except (RecursionError, ValueError):
        raise ValueError(f"not an event: {line[:80]!r}") from None


def event_of(fields: Any) -> RunEvent:
    """Return the event that `fields_of` has written.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        values = dict(fields)
        event: RunEvent = _adapter(values.pop("event")).validate_python(values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an event: {error}") from None
    return event


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_KINDS[name])


def _strict(value: Any) -> Any:
    """Replace numbers that JSON does not have by their names, which pydantic reads."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case dict():
            return {key: _strict(item) for key, item in value.items()}
        case list() | tuple():
            return [_strict(item) for item in value]
    return value
