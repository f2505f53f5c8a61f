"""Checks of the header of a NIfTI file before nibabel reads as many bytes as it says, compressed ones included."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SIZES = {348: (108, "f"), 540: (168, "q")}  # of the header; where the position of the data stands in it, and its type
_MAX_OFFSET = 2**26  # there are only comments before the data
_EXTENSION_BYTES = 8  # of the head of a comment


def check_header(path: Path) -> None:
    """Check where the data begin, and the lengths of the comments before them.

    Raises
    ------
    ValueError
        If they are not possible.
    """
    from nibabel.openers import ImageOpener

    with damage_explained(), ImageOpener(str(path)) as file:
        start = file.read(max(_SIZES) + 4)
        order, size = next(
            ((order, size) for order in "<>" for size in _SIZES if start[:4] == struct.pack(order + "i", size)), ("", 0)
        )
        if not order:
            return  # explained by nibabel
        at, code = _SIZES[size]
        offset = _number(start, order + code, at)
        if not 0 <= offset <= _MAX_OFFSET:
            raise ValueError(f"its header says that the data begin at {offset:g}")
        if start[size : size + 1] not in (b"", b"\0"):
            _check_comments(file, order, size + 4, int(offset))


@contextmanager
def damage_explained() -> Iterator[None]:
    """Raise a `ValueError` for what nibabel and gzip raise as an `OSError`, although the disk is not the reason."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(str(error)) from error


def _check_comments(file: Any, order: str, at: int, end: int) -> None:
    while end - at >= 2 * _EXTENSION_BYTES:  # as nibabel does
        file.seek(at)
        length = _number(file.read(_EXTENSION_BYTES), order + "i", 0)
        if not _EXTENSION_BYTES <= length <= end - at:
            raise ValueError(f"its header says that a comment has {length:g} bytes")
        at += int(length)


def _number(content: bytes, code: str, at: int) -> float:
    if len(content) < at + struct.calcsize(code):
        raise ValueError("its header is cut short")
    return float(struct.unpack_from(code, content, at)[0])
