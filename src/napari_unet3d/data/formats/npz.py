"""NumPy's .npz archives, of which any array can be read; without voxel size."""

from __future__ import annotations

import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet3d.data.formats.base import Format, StoredVolume
from napari_unet3d.data.formats.npy_header import read_array_header
from napari_unet3d.errors import UserError

_END = ".npy"


def list_file(path: Path, _stack: ExitStack) -> list[StoredVolume]:
    """Return the arrays of an archive that have at least three axes; pickled objects are refused."""
    volumes = []
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not name.endswith(_END):
                continue
            with archive.open(name) as file:
                header = read_array_header(file)
            shape, dtype = header
            if dtype.hasobject:
                raise UserError(
                    f"{path} holds Python objects in '{name.removesuffix(_END)}', which can run code and are not read. "
                    "Save arrays of numbers only."
                )
            if header.n_bytes > archive.getinfo(name).file_size:
                raise ValueError(f"'{name}' is shorter than its header says")
            if len(shape) >= 3 and dtype.kind in "buif":
                volumes.append(_stored(path, name.removesuffix(_END), shape, dtype))
    return volumes


def _stored(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> StoredVolume:
    def load(index: tuple[int | slice, ...]) -> NDArray[Any]:
        with np.load(path, allow_pickle=False) as arrays:
            values: NDArray[Any] = arrays[name]
        return values[index]

    return StoredVolume(shape=shape, dtype=dtype, load=load, name=name)


FORMAT = Format(
    name="NumPy archive",
    suffixes=(".npz",),
    volumes=list_file,
    voxel_size="none",
    read_errors=lambda: (ValueError, EOFError, LookupError, TypeError, zipfile.BadZipFile, zlib.error),
    signature=rb"PK\x03\x04|PK\x05\x06",
    holds=lambda path: frozenset(),
    written_as={".npz": ".npy"},
)
