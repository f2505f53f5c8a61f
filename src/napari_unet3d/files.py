"""Atomic writing of files, so that readers never see an incomplete file."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from napari_unet3d.errors import UserError, explain_os_errors
from napari_unet3d.text_files import parse_json, parse_toml, read_limited

MODEL_FILE = "model.safetensors"  # the best model of a run folder
CONFIG_FILE, HISTORY_FILE, ENVIRONMENT_FILE = "config.json", "history.csv", "environment.json"  # also read by reports
EVALUATION_FILE = "evaluation.json"  # settings and sources of an evaluation
SEEN_FILE = "seen.json"  # hashes of what the model of a run was trained and validated on
RESUME_FILE = "resume.safetensors"  # state for resuming a run
_MAX_SETTINGS_BYTES = 2**20


@contextmanager
def atomic_write(path: Path, ending: str = "", *, in_folder: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, which is renamed to `path` at the end of the block.

    The temporary name has the suffix of `path` (``.volume-1a2b.ome.tif``), since writers choose the format by it. It is
    deleted if the block raises. A folder (OME-Zarr) can replace a folder and a file a file, but a file never a folder.

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
    stem, *suffixes = path.name.split(".")
    beside = path.with_name(".".join([f".{stem}-{uuid.uuid4().hex[:8]}", *suffixes]) + ending)
    temporary = beside / path.name if in_folder else beside
    try:
        with explain_os_errors(path, "write"):
            temporary.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            replace_path(temporary, path)
    finally:
        _remove(beside)


def replace_path(temporary: Path, path: Path) -> None:
    """Rename a file or a folder on the same disk; it replaces one of the same kind."""
    if not (temporary.is_dir() and path.is_dir()) or path.is_symlink():
        os.replace(temporary, path)  # raises if a file would replace a folder
        return
    old = path.with_name(f"{temporary.name}.old")  # rename cannot replace a folder that is not empty
    path.rename(old)
    try:
        temporary.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _remove(path: Path) -> None:
    if os.path.isdir(path):  # unlike Path.is_dir, it never raises
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # must not hide the error of writing
            path.unlink(missing_ok=True)


def remove_leftovers(path: Path, ending: str = "") -> None:
    """Delete what killed processes left behind while they wrote `path` with `atomic_write`."""
    stem, *suffixes = path.name.split(".")
    for left in path.parent.glob(".".join([f".{stem}-{'[0-9a-f]' * 8}", *suffixes]) + ending):
        _remove(left)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


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
