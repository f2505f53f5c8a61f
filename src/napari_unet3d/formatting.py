"""Formatting of numbers for users, in terminal, docks and reports."""

from __future__ import annotations


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
