"""How numbers are written for people, wherever they are read: terminal, dock or page."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """Write a duration the way people say it: ``8 s``, ``2 min 5 s``, ``3 h 12 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
