"""Find the files and folders that a message names, so that they can be opened from it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_START = re.compile(r"(?<![^\s'\"(\[])(?:/|~/|[A-Za-z]:[\\/]|\\\\)(?=\S)")
_MAY_END = re.compile(r"[\s.,;:!?'\")\]]|$")
_LONGEST = 1000  # characters


@dataclass(frozen=True, slots=True)
class PathInMessage:
    """A file or folder that exists, and where a message names it: from character `start` to before `stop`."""

    start: int
    stop: int
    path: Path


def find_paths(message: str) -> list[PathInMessage]:
    """Return the absolute paths in a message that exist, in their order.

    A path may contain spaces: it is the longest part of the line that exists, up to a space or a punctuation mark.

    Examples
    --------
    >>> [found.path.name for found in find_paths("Nothing is in /no/such/folder. See / or a/b.")]
    []
    """
    found: list[PathInMessage] = []
    for match in _START.finditer(message):
        if found and match.start() < found[-1].stop:
            continue
        line = message[match.start() :].split("\n", 1)[0][:_LONGEST]
        for stop in sorted({end.start() for end in _MAY_END.finditer(line)} - {0}, reverse=True):
            if (path := _existing(line[:stop])) is not None:
                found.append(PathInMessage(match.start(), match.start() + stop, path))
                break
    return found


def _existing(text: str) -> Path | None:
    if text != text.rstrip():
        return None
    try:
        path = Path(text).expanduser()
        return path if path != Path(path.anchor) and os.path.exists(path) else None
    except (OSError, RuntimeError, ValueError):  # too long, no home, or no name that a file may have
        return None
