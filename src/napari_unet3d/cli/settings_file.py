"""Files that stand in for options: settings in JSON or TOML, and positions in CSV."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from napari_unet3d.configs import Settings
from napari_unet3d.errors import UserError, explain_os_errors

S = TypeVar("S", bound=Settings)
Position = tuple[int, int, int]


def merge(given: S, file: Path | None) -> S:
    """Join the settings of a file with those of the command line, which win.

    Parameters
    ----------
    given : Settings
        What the options made; only the fields that were really written count.
    file : Path or None
        A JSON or TOML file with names of settings, such as the ``config.json`` of a run folder.

    Raises
    ------
    UserError
        When the file cannot be read, or holds a name or a value that these settings do not know.
    """
    if file is None:
        return given
    written = {name: getattr(given, name) for name in given.model_fields_set}
    try:
        return type(given)(**{**read_settings(file), **written})
    except UserError as error:
        raise UserError(f"{error} The settings come from {file} and the options.") from None


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


def read_positions(file: Path) -> list[Position]:
    """Read one position per line, ``z,y,x`` in voxels; a first line of words is taken as a heading.

    Raises
    ------
    UserError
        When the file cannot be read or a line is not three whole numbers.
    """
    with explain_os_errors(file, "read"):
        content = file.read_bytes()
    positions = []
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if not any(cells) or (number == 1 and all(cell.isalpha() for cell in cells)):
            continue
        try:
            z, y, x = (int(cell) for cell in cells)
        except ValueError:
            raise UserError(
                f"Line {number} of {file} is {line.strip()[:40]!r}; write three whole numbers, z,y,x in voxels."
            ) from None
        positions.append((z, y, x))
    if not positions:
        raise UserError(f"{file} holds no positions; write one per line, z,y,x in voxels.")
    return positions
