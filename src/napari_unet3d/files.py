"""Atomic writing of files, so that readers never see an incomplete file."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.leftovers import REPLACED, is_left_for, remove_leftovers, remove_path, temporary_name
from napari_unet3d.text_files import parse_json, parse_toml, read_limited

MODEL_FILE = "model.safetensors"  # the best model of a run folder
CONFIG_FILE, HISTORY_FILE, ENVIRONMENT_FILE = "config.json", "history.csv", "environment.json"  # also read by reports
EVALUATION_FILE = "evaluation.json"  # settings and sources of an evaluation
EXPORT_FILE = "napari-unet3d.json"  # description of an exported model
SEEN_FILE = "seen.json"  # hashes of what the model of a run was trained and validated on
RESUME_FILE = "resume.safetensors"  # state for resuming a run
_MAX_SETTINGS_BYTES = 2**20
_SECONDS_BETWEEN_REMOVALS = 60.0
_not_created: list[Path] = []
_removals: dict[Path, float] = {}  # when leftovers were last looked for in a folder


@contextmanager
def atomic_write(path: Path, ending: str = "", *, in_folder: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, which is renamed to `path` at the end of the block.

    The temporary name has the suffix of `path` (see `temporary_name`), since writers choose the format by it. It is
    deleted if the block raises; what killed processes have left in the folder is deleted at the start. A folder
    (OME-Zarr) can replace a folder and a file a file, but a file never a folder.

    Parameters
    ----------
    path : Path
        The final path; a missing folder is created.
    ending : str
        Appended to the temporary name, for writers that accept any suffix, so that what a killed process leaves behind
        is not mistaken for a complete file.
    in_folder : bool
        Whether the temporary path is in a folder of its own, for writers that put files of their own beside it, which
        would stay when the process is killed.

    Yields
    ------
    Path
        The path to write to.

    Raises
    ------
    UserError
        If the disk is full, the folder is not writable, or a file would replace a folder.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "notes.txt"
    ...     with atomic_write(path) as temporary:
    ...         _ = temporary.write_text("complete")
    ...         print(path.exists())
    ...     print(path.read_text())
    False
    complete
    """
    beside = path.with_name(temporary_name(path.name, ending))
    temporary = beside / path.name if in_folder else beside
    try:
        with explain_os_errors(path, "write"), _final_name(temporary, path):
            _make_folder(temporary.parent)
            _tidy(path.parent)
            yield temporary
            replace_path(temporary, path)
    finally:
        remove_path(beside)


@contextmanager
def _final_name(temporary: Path, path: Path) -> Iterator[None]:
    """Name the final path in errors about files of a temporary folder, which nobody would find."""
    try:
        yield
    except UserError as error:
        if type(error) is UserError and str(temporary) in str(error):
            raise UserError(str(error).replace(str(temporary), str(path))) from error
        raise


@contextmanager
def not_created(folder: Path) -> Iterator[None]:
    """Make `atomic_write` fail in a block if a folder does not exist, rather than creating it.

    Somebody who removes or renames a folder while it is written to would find it again, with a part of its files.
    """
    kept = Path(os.path.abspath(folder))
    _not_created.append(kept)
    try:
        yield
    finally:
        _not_created.remove(kept)


def _make_folder(folder: Path) -> None:
    folder = Path(os.path.abspath(folder))
    kept = [each for each in _not_created if each == folder or each in folder.parents]
    if not kept:
        folder.mkdir(parents=True, exist_ok=True)
        return
    below = [each for each in (*reversed(folder.parents), folder) if kept[0] in each.parents]
    for each in below:
        with suppress(FileExistsError):
            each.mkdir()
    if not below and not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _tidy(folder: Path) -> None:
    """Remove the leftovers in a folder, at most once a minute."""
    now, folder = time.monotonic(), Path(os.path.abspath(folder))
    if now - _removals.get(folder, -_SECONDS_BETWEEN_REMOVALS) < _SECONDS_BETWEEN_REMOVALS:
        return
    _removals[folder] = now
    remove_leftovers(folder)


def replace_path(temporary: Path, path: Path) -> None:
    """Rename a file or a folder on the same disk; it replaces one of the same kind."""
    if temporary.is_dir():
        put_back(path)
    if not (temporary.is_dir() and path.is_dir()) or path.is_symlink():
        os.replace(temporary, path)  # raises if a file would replace a folder
    elif _exchange(temporary, path):
        remove_path(temporary)
    else:
        replace_folder(temporary, path)


def replace_folder(temporary: Path, path: Path) -> None:
    """Replace a folder in two steps, since rename cannot replace a folder that is not empty; see `put_back`."""
    old = path.with_name(temporary_name(path.name, REPLACED))
    path.rename(old)
    try:
        temporary.rename(path)
    except OSError:
        old.rename(path)
        raise
    remove_path(old)


def put_back(path: Path) -> None:
    """Undo the replacement of a folder that was interrupted between its two steps by the end of the process.

    Raises
    ------
    UserError
        If the folder cannot be put back.
    """
    with suppress(OSError), os.scandir(path.parent) as entries:
        beside = [path.with_name(entry.name) for entry in entries if entry.name.endswith(REPLACED)]
        for old in [each for each in beside if is_left_for(each, path.name, REPLACED)]:
            if os.path.lexists(path):
                remove_path(old)
            else:
                with explain_os_errors(path, "put back"):
                    old.rename(path)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, so that a process that is killed leaves the old or the new one.

    Return False where the system cannot do that.
    """
    exchange = _system_exchange()
    return exchange is not None and exchange(os.fsencode(one), os.fsencode(other)) == 0


@cache
def _system_exchange() -> Any:
    """Return the function of Linux or macOS that exchanges two paths; None if there is none."""
    at_current, flag = -100, ctypes.c_uint(2)  # AT_FDCWD and RENAME_EXCHANGE of Linux; RENAME_SWAP of macOS is 2, too
    system = platform.system()
    if system not in ("Linux", "Darwin"):
        return None
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None, use_errno=True)
        if system == "Darwin":
            exchange = library.renamex_np
            return lambda one, other: exchange(one, other, flag)
        exchange = library.renameat2
        return lambda one, other: exchange(at_current, one, at_current, other, flag)
    return None


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON atomically."""
    write_text(path, format_json(value))


def format_json(value: Any) -> str:
    """Return a value as indented JSON, with a line break at its end."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def read_settings(file: Path) -> dict[str, Any]:
    """Read settings from a JSON or TOML file; ``learning-rate`` and ``learning_rate`` are the same name."""
    content = read_limited(file, _MAX_SETTINGS_BYTES)
    try:
        values = parse_toml(content) if file.suffix.lower() == ".toml" else parse_json(content)
    except ValueError as error:  # the base of errors of both formats and of UTF-8
        raise UserError(f"Cannot read the settings in {file}: {error}. Write JSON, or TOML in a .toml file.") from None
    if not isinstance(values, dict):
        raise UserError(f'{file} has no settings; write names and values, such as {{"epochs": 30}}.')
    return {name.replace("-", "_"): value for name, value in values.items()}
