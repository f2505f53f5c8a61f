"""NumPy archives (.npz) that the package writes itself, read within limits; pickles are refused."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet3d.data.formats.npy_header import read_array_header
from napari_unet3d.errors import explain_os_errors
from napari_unet3d.text_files import open_regular

DAMAGE: tuple[type[Exception], ...] = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError),
    *(RuntimeError, SyntaxError, TypeError, ValueError, zipfile.BadZipFile, zlib.error),
)
"""What reading a damaged archive can raise."""


@contextmanager
def open_arrays(path: Path, max_bytes: int | None = None) -> Iterator[Any]:
    """Open an archive of arrays, which are read when they are asked for by name.

    Parameters
    ----------
    path : Path
        The file.
    max_bytes : int, optional
        What its arrays may have together; without it, an array is checked by who reads it.

    Yields
    ------
    NpzFile
        The arrays.

    Raises
    ------
    UserError
        If the file cannot be opened, or is no regular file.
    ValueError
        If the arrays are larger than allowed; damage raises others of `DAMAGE`.
    """
    with (
        explain_os_errors(path, "read"),
        os.fdopen(open_regular(path), "rb") as file,  # numpy does not close a file that it cannot read
        np.load(file, allow_pickle=False) as arrays,
    ):
        entries = arrays.zip.infolist()
        if max_bytes is not None and sum(entry.file_size for entry in entries) > max_bytes:
            raise ValueError("its arrays are too large")
        for entry in entries:
            with arrays.zip.open(entry) as member:
                if read_array_header(member).n_bytes > entry.file_size:
                    raise ValueError(f"'{entry.filename}' is shorter than its header says")
        yield arrays
