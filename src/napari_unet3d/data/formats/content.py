"""Whether a file or folder is a volume by its content, whatever it is called."""

from __future__ import annotations

import os
import re
from pathlib import Path

from napari_unet3d.data.formats.base import Format
from napari_unet3d.data.formats.registry import format_of, is_volume
from napari_unet3d.errors import UserError
from napari_unet3d.text_files import open_regular, read_json_object

_N_BYTES = 1024


def is_volume_content(path: Path) -> bool:
    """Return whether a path is a volume by its name and its first bytes, or a Zarr folder by its metadata.

    Links are followed. A folder of slices is none, since it may hold other files.
    """
    if not is_volume(path) or not format_of(path).suffixes:
        return False
    file_format = format_of(path)
    return _is_volume_folder(path, file_format) if file_format.is_folder else _starts_like(path, file_format)


def _starts_like(path: Path, file_format: Format) -> bool:
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            return re.match(file_format.signature, file.read(_N_BYTES), re.DOTALL) is not None
    except (OSError, UserError):
        return False


def _is_volume_folder(path: Path, file_format: Format) -> bool:
    for name in file_format.folder_files:
        try:
            if "zarr_format" in read_json_object(path / name):
                return True
        except UserError:
            continue
    return False
