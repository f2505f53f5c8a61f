"""Names of temporary files and folders, by which those of processes that were killed are known and removed."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import time
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

REPLACED = ".replaced"
"""Ending of a folder that is being replaced; it is the only copy for a moment, so it is no leftover."""
TOGETHER = ".together"
"""Ending of what belongs to several files that are replaced together; see `napari_unet3d.data.replacing`."""
_SECONDS_UNTIL_OLD = 24 * 3600.0
_MAX_STEM, _MAX_SUFFIXES = 40, 20  # characters of up to 4 bytes, since names have at most 255 bytes
_NAME = re.compile(
    r"\.(?P<stem>.*)-[0-9a-f]{8}-(?P<machine>[0-9a-f]{8})-(?P<process>[0-9a-f]{1,8})(?P<rest>(?:\..*)?)", re.DOTALL
)
_MOST_ATTEMPTS, _PAUSE_S = 10, 0.05


def temporary_name(name: str, ending: str = "") -> str:
    """Return a hidden name for a temporary file, with the suffixes of `name`, since writers choose the format by them.

    The name says which process of which machine has made it: ``.volume-1a2b3c4d-9f3e0c11-7f31.ome.tif``.

    Parameters
    ----------
    name : str
        Name of the final file.
    ending : str
        Appended, for writers that accept any suffix.
    """
    stem, suffixes = _parts(name)
    return f".{stem}-{uuid.uuid4().hex[:8]}-{_machine()}-{os.getpid():x}{suffixes}{ending}"


def _parts(name: str) -> tuple[str, str]:
    stem, dot, suffixes = name.partition(".")
    while len(suffixes) > _MAX_SUFFIXES and "." in suffixes:  # parts of a name with dots, such as scan.2024.nii.gz
        suffixes = suffixes.partition(".")[2]
    return stem[:_MAX_STEM], (dot + suffixes)[-_MAX_SUFFIXES:]


@cache
def _machine() -> str:
    """Return 8 hexadecimal digits for this machine or container: processes of others cannot be seen from here."""
    place = platform.node()
    with suppress(OSError, AttributeError):
        place += os.readlink("/proc/self/ns/pid")
    return hashlib.blake2b(place.encode(errors="replace"), digest_size=4).hexdigest()


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files and folders in a folder whose process has ended.

    Of another user, nothing is deleted. Of another machine, and where another process has the number now, only what
    was not changed for a day. What cannot be deleted stays. Links are not followed.

    Parameters
    ----------
    folder : Path
        A folder; subfolders are not searched.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries]:
            if name.startswith(".") and not name.endswith((REPLACED, TOGETHER)) and is_left(folder / name):
                remove_path(folder / name)


def is_left_for(path: Path, name: str, ending: str) -> bool:
    """Return whether a path may be the temporary one of a file with a name, and nobody writes it any more."""
    stem, suffixes = _parts(name)
    found = _NAME.fullmatch(path.name)
    is_its = found is not None and (found["stem"], found["rest"]) == (stem, suffixes + ending)
    return is_its and is_left(path)


def is_left(path: Path) -> bool:
    """Return whether a path has a temporary name and nobody writes it any more; see `remove_leftovers`."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return False
    try:
        about = path.lstat()
    except OSError:
        return False
    if hasattr(os, "geteuid") and about.st_uid != os.geteuid():
        return False
    number = int(found["process"], 16)
    if found["machine"] == _machine() and (number == 0 or not psutil.pid_exists(number)):
        return True
    return number != os.getpid() and _seconds_since_change(path) > _SECONDS_UNTIL_OLD


def is_own(path: Path) -> bool:
    """Return whether this process has made a temporary file, by its name."""
    found = _NAME.fullmatch(path.name)
    return found is not None and found["machine"] == _machine() and int(found["process"], 16) == os.getpid()


def _seconds_since_change(path: Path) -> float:
    """Return the age of the newest file in a folder, or of a file; 0 if the clock was set back, or it is not known."""
    newest = 0.0
    try:
        newest = path.lstat().st_mtime
        for parent, folders, files in os.walk(path):
            newest = max([newest, *(os.lstat(os.path.join(parent, name)).st_mtime for name in (*folders, *files))])
    except OSError:
        return 0.0
    return max(0.0, time.time() - newest)


def remove_path(path: Path) -> None:
    """Delete a file, a folder or a link, as far as possible: an error of writing must not be hidden by another one."""
    if os.path.isdir(path) and not os.path.islink(path):  # unlike Path.is_dir, it never raises
        for _ in range(_MOST_ATTEMPTS):
            shutil.rmtree(path, ignore_errors=True)
            if not os.path.isdir(path):
                break
            time.sleep(_PAUSE_S)  # zarr's other threads may still write into it, after one of them has failed
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
