"""Files are written beside their place and renamed, so that no reader ever meets half a file."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from napari_unet3d.errors import UserError, explain_os_errors

MODEL_FILE = "model.safetensors"  # the best model of a run folder, by which all parts of the project find it
CONFIG_FILE, HISTORY_FILE, ENVIRONMENT_FILE = "config.json", "history.csv", "environment.json"  # what a report reads
EVALUATION_FILE = "evaluation.json"  # where the results of an evaluation come from
RESUME_FILE = "resume.safetensors"  # what a run needs to go on where it was left


@contextmanager
def atomic_write(path: Path, ending: str = "") -> Iterator[Path]:
    """Return a temporary path in the folder of `path`; rename it to `path` when the block ends well.

    The temporary name ends like `path` (``.volume-1a2b.ome.tif``), since writers choose a format by it.
    Whatever was written is removed when the block raises. A folder (OME-Zarr) replaces a folder and a file a file;
    a file never replaces a folder.

    Parameters
    ----------
    path : Path
        Where the finished file shall stand; its folder is made if it is missing.
    ending : str
        Added to the temporary name, for writers that take any: so nobody takes what a killed process leaves behind
        for a whole file.

    Yields
    ------
    Path
        The path to write to.

    Raises
    ------
    UserError
        If the disk is full, the folder cannot be written to, or `path` is a folder and a file was written.
    """
    stem, *suffixes = path.name.split(".")
    beside = path.with_name(".".join([f".{stem}-{uuid.uuid4().hex[:8]}", *suffixes]) + ending)
    try:
        with explain_os_errors(path, "write"):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            _put_in_place(beside, path)
    finally:
        _remove(beside)


def _put_in_place(beside: Path, path: Path) -> None:
    if not (beside.is_dir() and path.is_dir()) or path.is_symlink():
        os.replace(beside, path)  # refuses to put a file in the place of a folder
        return
    old = path.with_name(f"{beside.name}.old")  # rename cannot replace a folder that holds something
    path.rename(old)
    try:
        beside.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _remove(path: Path) -> None:
    if os.path.isdir(path):  # unlike Path.is_dir it never raises
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # it must not hide why the writing failed
            path.unlink(missing_ok=True)


def remove_leftovers(path: Path, ending: str = "") -> None:
    """Remove what processes that were killed while they wrote `path` with `atomic_write` have left beside it."""
    stem, *suffixes = path.name.split(".")
    for left in path.parent.glob(".".join([f".{stem}-{'[0-9a-f]' * 8}", *suffixes]) + ending):
        _remove(left)


def write_text(path: Path, text: str) -> None:
    """Write a small text file in UTF-8, all of it or nothing."""
    with atomic_write(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, all of it or nothing."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_settings(file: Path) -> dict[str, Any]:
    """Read names and values from a JSON or TOML file; ``learning-rate`` and ``learning_rate`` are the same name."""
    with explain_os_errors(file, "read"):
        content = file.read_bytes()
    try:
        text = content.decode("utf-8")
        values = tomllib.loads(text) if file.suffix.lower() == ".toml" else json.loads(text)
    except ValueError as error:  # of which the errors of both formats and of UTF-8 are kinds
        raise UserError(f"Cannot read the settings in {file}: {error}. Write JSON, or TOML in a .toml file.") from None
    if not isinstance(values, dict):
        raise UserError(f'{file} holds no settings; write names and values, such as {{"epochs": 30}}.')
    return {name.replace("-", "_"): value for name, value in values.items()}
