"""Order of names with numbers."""

from __future__ import annotations

import re


def natural_order(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a key for sorting names with numbers.

    >>> sorted(["vol10", "vol2", "Vol1"], key=natural_order)
    ['Vol1', 'vol2', 'vol10']
    """
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)
