"""Files with option values: settings in JSON or TOML, and positions in CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from napari_unet3d.configs import Config
from napari_unet3d.errors import UserError
from napari_unet3d.files import read_settings
from napari_unet3d.text_files import read_limited

S = TypeVar("S", bound=Config)
Position = tuple[int, int, int]


def merge(given: S, file: Path | None) -> S:
    """Merge the settings of a file with those of the command line, which have priority.

    Parameters
    ----------
    given : Config
        The settings from the options; only those that were given explicitly count.
    file : Path or None
        A JSON or TOML file with settings by name, such as the ``config.json`` of a run folder.

    Raises
    ------
    UserError
        If the file cannot be read, or has an unknown name or an invalid value.
    """
    if file is None:
        return given
    written = {name: getattr(given, name) for name in given.model_fields_set}
    try:
        return type(given)(**{**read_settings(file), **written})
    except UserError as error:
        raise UserError(f"{error} The settings come from {file} and the options.") from None


def read_positions(file: Path) -> list[Position]:
    """Read one position per line, ``z,y,x`` in voxels; a header line is skipped.

    Raises
    ------
    UserError
        If the file cannot be read, or a line is not three whole numbers.
    """
    content = read_limited(file)
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
