"""Units of length by their names and symbols in files."""

from __future__ import annotations

import re
import unicodedata

_UM_PER_METRE = 1e6
_UM_PER_PREFIX = {
    "k": 1e9,
    "h": 1e8,
    "da": 1e7,
    "d": 1e5,
    "c": 1e4,
    "m": 1e3,
    "u": 1.0,
    "n": 1e-3,
    "p": 1e-6,
    "f": 1e-9,
}
_PREFIX_NAMES = {
    "kilo": "k",
    "hecto": "h",
    "deca": "da",
    "deka": "da",
    "deci": "d",
    "centi": "c",
    "milli": "m",
    "micro": "u",
    "nano": "n",
    "pico": "p",
    "femto": "f",
}
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_OTHER_UNITS = {"angstrom": 1e-4, "ångström": 1e-4, "inch": 25_400.0, "inche": 25_400.0, "in": 25_400.0, "micron": 1.0}
_OTHER_UNITS |= {"ft": 304_800.0, "foot": 304_800.0, "feet": 304_800.0, "thou": 25.4, "mil": 25.4}


def um_per_unit(unit: object) -> float | None:
    """Return the length of a unit in µm; None if it is not a known unit of length.

    Parameters
    ----------
    unit : object
        A name or symbol as found in files, such as ``"mm"``, ``"micron"`` or ``"nanometer"``.

    Returns
    -------
    float or None
        Length in µm.

    Examples
    --------
    >>> um_per_unit("mm"), um_per_unit("Micron"), um_per_unit("pixel")
    (1000.0, 1.0, None)
    """
    if not isinstance(unit, str):
        return None
    unit = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), unit.strip())  # ImageJ writes its headers in ASCII
    unit = unicodedata.normalize("NFKC", unit).replace("\N{GREEK SMALL LETTER MU}", "u").removesuffix(".")
    if unit in ("\N{LATIN CAPITAL LETTER A WITH RING ABOVE}", "A"):
        return _OTHER_UNITS["angstrom"]
    symbol = unit if unit != unit.upper() else unit.lower()  # "MM" and "UM" are written, megametres are not
    if symbol == "m":
        return _UM_PER_METRE
    if symbol[-1:] == "m" and symbol[:-1] in _UM_PER_PREFIX:
        return _UM_PER_PREFIX[symbol[:-1]]
    name = unit.lower().replace("-", "")
    name = name.removesuffix("s") if len(name) > 2 else name
    if name in _OTHER_UNITS:
        return _OTHER_UNITS[name]
    prefix = name.removesuffix("meter").removesuffix("metre")
    if prefix == name:
        return None
    return _UM_PER_PREFIX.get(_PREFIX_NAMES.get(prefix, "")) if prefix else _UM_PER_METRE


_SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0} | {
    "ms": 1e-3,
    "msec": 1e-3,
    "millisecond": 1e-3,
    "us": 1e-6,
    "usec": 1e-6,
    "microsecond": 1e-6,
    "d": 86_400.0,
    "day": 86_400.0,
}


def seconds_per_unit(unit: object) -> float | None:
    """Return the duration of a unit in seconds; None if it is not a known unit of time.

    >>> seconds_per_unit("minutes"), seconds_per_unit("ms"), seconds_per_unit("mm")
    (60.0, 0.001, None)
    """
    if not isinstance(unit, str):
        return None
    name = unicodedata.normalize("NFKC", unit).replace("\N{GREEK SMALL LETTER MU}", "u").strip().lower()
    return _SECONDS.get(name, _SECONDS.get(name.removesuffix("s")))
