"""Files that a header names: only those in the folder of the header are read, since a header can name any file."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from napari_unet3d.errors import UserError
from napari_unet3d.text_files import check_is_regular

_N_SHOWN = 200  # letters of a name


def file_beside(header: Path, name: str) -> Path:
    """Return the path of a file that a header names.

    Parameters
    ----------
    header : Path
        The file with the header.
    name : str
        The name in it; the file need not exist.

    Raises
    ------
    UserError
        If it is not in the folder of the header, also if it is a link to a file elsewhere, or is no regular file.
    """
    target = header.parent / name
    if _is_elsewhere(name) or (os.path.lexists(target) and not _is_in_folder(target, header)):
        raise UserError(
            f"The header {header} refers to data in another folder, {name[:_N_SHOWN]}. Put both files into one folder "
            "and write only the name of the data file into the header."
        )
    if os.path.exists(target):  # unlike Path.exists, it never raises
        check_is_regular(target)
    return target


def _is_elsewhere(name: str) -> bool:
    kinds = PurePosixPath(name), PureWindowsPath(name)
    return any(kind.is_absolute() or kind.drive or ".." in kind.parts for kind in kinds)


def _is_in_folder(target: Path, header: Path) -> bool:
    """Return whether a file is in the folder of its header, or its link is in that of the link to the header."""
    real = os.path.realpath(target)
    folders = {os.path.realpath(header.parent), os.path.dirname(os.path.realpath(header))}
    return any(real.startswith(os.path.join(folder, "")) for folder in folders)
