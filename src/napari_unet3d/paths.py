"""Whether files and folders are there; where permissions prevent knowing it, an error says so."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from napari_unet3d.errors import UserError, explain_os_errors


def exists(path: Path) -> bool:
    """Return whether there is something at a path; a link that leads nowhere is nothing.

    Raises
    ------
    UserError
        If permissions prevent knowing it.
    """
    return _mode(path) is not None


def is_file(path: Path) -> bool:
    """Return whether a path is that of a regular file; raises as `exists`."""
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def is_folder(path: Path) -> bool:
    """Return whether a path is that of a folder; raises as `exists`."""
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def why_missing(path: Path) -> str:
    """Return why a file cannot be used that seems not to be there, as the end of a sentence.

    >>> why_missing(Path("no such file"))
    'does not exist'
    """
    try:
        return "is there" if exists(path) else "does not exist"
    except UserError:
        return "cannot be read: permission denied"


def _mode(path: Path) -> int | None:
    try:
        return os.stat(path).st_mode
    except PermissionError:
        with explain_os_errors(path, "read"):
            raise
    except (OSError, ValueError):  # it is not there, or its name is none
        return None
