"""What the compressed blocks of Zarr and HDF5 would take in memory, found out before any is decompressed."""

from __future__ import annotations

import bz2
import lzma
import math
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_FREE_BYTES = 2**28  # what a block may take in any case
_MOST_TIMES = 8  # its own size, for filters that make values smaller
_LARGEST_BLOCK = 2**29  # of a small array
_HEAD_BYTES, _LEAST_BYTES = 18, 8
_CHUNK_BYTES = 2**20
_ZSTD, _BZ2, _LZMA = b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\0"
_ZSTD_BLOCK = 2**17  # the most that a block of a frame holds
_ZLIB = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
ZLIB_TIMES = 1032
"""The most that zlib compresses."""


def checked_loader(array: Any) -> Callable[[tuple[int | slice, ...]], NDArray[Any]]:
    """Return what reads a part of a Zarr array; its blocks are checked once, before the first part is read."""
    check = cache(lambda: check_blocks(folder_of(array), array))

    def load(index: tuple[int | slice, ...]) -> NDArray[Any]:
        check()
        return np.asarray(array[index])

    return load


def folder_of(array: Any) -> Path:
    """Return the folder of a Zarr array."""
    return Path(str(array.store_path).removeprefix("file://"))


def check_blocks(folder: Path, array: Any) -> None:
    """Check the blocks of an array.

    Parameters
    ----------
    folder : Path
        Its folder.
    array : zarr.Array
        The array.

    Raises
    ------
    ValueError
        If they are much larger than the array, or would be when decompressed.
    """
    most = most_bytes(array, array.shards or array.chunks)
    has_lz4 = any(getattr(each, "codec_id", "") == "lz4" for each in array.compressors or ())
    for path, n_stored in _files(folder):
        if n_stored >= _LEAST_BYTES:
            with path.open("rb") as file:
                _check_block(file, n_stored, most, has_lz4=has_lz4)


def most_bytes(array: Any, stored: Sequence[int]) -> int:
    """Return what a stored block of an array may have decompressed.

    Parameters
    ----------
    array : zarr.Array or h5py.Dataset
        The array.
    stored : sequence of int
        The shape of what is compressed together.

    Raises
    ------
    ValueError
        If its blocks are much larger than the array.
    """
    size = int(array.dtype.itemsize)
    if math.prod(array.chunks) * size > max(_LARGEST_BLOCK, _MOST_TIMES * math.prod(array.shape) * size):
        raise ValueError(f"it says that its blocks have the shape {tuple(array.chunks)}")
    return _FREE_BYTES + _MOST_TIMES * math.prod(stored) * size


def bomb(found: int) -> ValueError:
    """Return the error for a block that would take too much memory."""
    return ValueError(f"a block of it would take {found / 1e9:.1f} GB or more when it is decompressed")


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if path.suffix != ".json" and not name.startswith(".z"):
                yield path, path.stat().st_size


def _check_block(file: BinaryIO, n_stored: int, most: int, *, has_lz4: bool) -> None:
    head = file.read(_HEAD_BYTES)
    found = 0
    if head.startswith(_ZSTD):
        found = _zstd_bytes(file, head, most)
    elif head[:1] == b"\x02" and int.from_bytes(head[12:16], "little") == n_stored:  # blosc
        found = int.from_bytes(head[4:8], "little")
    elif has_lz4:
        found = int.from_bytes(head[:4], "little")
    elif head.startswith(_ZLIB) and n_stored * ZLIB_TIMES > most:
        found = decompressed_bytes(file, lambda: zlib.decompressobj(wbits=47), most)
    elif head.startswith(_BZ2):
        found = decompressed_bytes(file, bz2.BZ2Decompressor, most)
    elif head.startswith(_LZMA):
        found = decompressed_bytes(file, lambda: lzma.LZMADecompressor(memlimit=most), most)
    if found > most:
        raise bomb(found)


def _zstd_bytes(file: BinaryIO, head: bytes, most: int) -> int:
    """Return the size in the header of a frame; without one, what its blocks can hold at most."""
    descriptor = head[4]
    is_single, n_size = bool(descriptor & 32), (0, 2, 4, 8)[descriptor >> 6]
    n_size = 1 if is_single and not n_size else n_size
    at = 5 + (not is_single) + (0, 1, 2, 4)[descriptor & 3]
    if n_size:
        return int.from_bytes(head[at : at + n_size], "little")
    found = 0
    file.seek(at)
    while found <= most and len(block := file.read(3)) == 3:
        number = int.from_bytes(block, "little")
        kind, n_bytes = number >> 1 & 3, number >> 3
        found += _ZSTD_BLOCK if kind == 2 else n_bytes  # the size is that of the compressed block only if it is one
        file.seek(1 if kind == 1 else n_bytes, os.SEEK_CUR)
        if number & 1:
            break
    return found


def decompressed_bytes(file: BinaryIO, new: Any, most: int) -> int:
    """Return how many bytes a file has decompressed, counted up to a limit; nothing is kept."""
    file.seek(0)
    found, decompressor, rest = 0, new(), b""
    try:
        while found <= most and (chunk := rest or file.read(_CHUNK_BYTES)):
            rest = b""
            if decompressor.eof:  # several members
                decompressor = new()
            found += len(decompressor.decompress(chunk, _CHUNK_BYTES))
            if isinstance(decompressor, bz2.BZ2Decompressor | lzma.LZMADecompressor):
                while found <= most and not decompressor.needs_input and not decompressor.eof:
                    found += len(decompressor.decompress(b"", _CHUNK_BYTES))
                rest = decompressor.unused_data if decompressor.eof else b""
            else:
                rest = decompressor.unconsumed_tail or decompressor.unused_data
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return found  # damage is explained when it is read
    return found
