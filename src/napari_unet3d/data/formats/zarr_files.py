"""Check of the files of a Zarr folder before zarr opens any of them."""

from __future__ import annotations

import os
from pathlib import Path

from napari_unet3d.text_files import check_is_regular


def check_files(folder: Path) -> None:
    """Check that there are no pipes and devices in a folder, which zarr would wait for.

    Raises
    ------
    UserError
        If there is one, or a folder in it cannot be read.
    """
    folders = [os.fspath(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not entry.is_file(follow_symlinks=False) and os.path.exists(entry.path):
                    check_is_regular(Path(entry.path))  # a link that leads nowhere is a file that does not exist
