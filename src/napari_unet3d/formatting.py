"""Formatting of numbers for users, in terminal, docks and reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_MOST_NAMED = 3


def format_count(number: int, noun: str) -> str:
    """Return a number with its noun, which gets an ``s`` unless there is exactly one.

    >>> format_count(1, "volume"), format_count(3, "volume")
    ('1 volume', '3 volumes')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def format_duration(seconds: float) -> str:
    """Return a duration as text.

    >>> format_duration(8), format_duration(125), format_duration(11_520)
    ('8 s', '2 min 5 s', '3 h 12 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def quoted(names: Iterable[str]) -> str:
    """Return the first names in quotes, and how many others there are."""
    every = list(names)
    others = f" and {len(every) - _MOST_NAMED} more" if len(every) > _MOST_NAMED else ""
    return ", ".join(f"'{name}'" for name in every[:_MOST_NAMED]) + others


def describe_names(names: Sequence[str]) -> str:
    """Return the beginning of a sentence on what was done with volumes, such as ``'3' was``."""
    return f"{quoted(names)} {'was' if len(names) == 1 else 'were'}"
